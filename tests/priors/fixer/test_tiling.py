"""Tiling: nothing is lost, nothing shows, any size."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.errors import InputError, ShapeError
from unseen.priors.fixer.tiling import Tiling, fit_in

SIDES = st.integers(8, 40)
OVERLAPS = st.integers(0, 7)


@given(SIDES, SIDES, OVERLAPS)
def test_any_plane_comes_back(height, width, overlap):
    tiling = Tiling(8, overlap)
    planes = torch.randn(2, 3, height, width, dtype=torch.float64)
    torch.testing.assert_close(tiling.join(tiling.cut(planes), height, width), planes)


@given(SIDES, SIDES, OVERLAPS)
def test_tiles_cover_the_plane_and_stay_inside(height, width, overlap):
    tiling = Tiling(8, overlap)
    for side in (height, width):
        starts = tiling.starts(side)
        assert starts[0] == 0 and starts[-1] == side - 8 and starts == sorted(set(starts))
        assert all(b - a <= 8 - overlap for a, b in pairwise(starts))


@given(OVERLAPS, st.integers(1, 3))
def test_weights_of_neighbours_add_up_to_one(overlap, tiles):
    tiling = Tiling(8, overlap)
    side = 8 + tiles * (8 - overlap)
    window = tiling.feather()
    total = torch.zeros(side, side)
    for i, j in tiling.places(side, side):
        total[i : i + 8, j : j + 8] += window
    assert window.min() > 0
    if overlap <= 4:  # at most two tiles over each other, but for the plane's own border
        inside = total[overlap : side - overlap, overlap : side - overlap]
        torch.testing.assert_close(inside, torch.ones_like(inside))


def test_tiles_that_differ_leave_no_step():
    """Two tiles of brightness 0 and 1: the change is spread over the whole overlap."""
    tiling = Tiling(32, 8)
    tiles = torch.stack([torch.zeros(1, 32, 32), torch.ones(1, 32, 32)])
    joined = tiling.join(tiles, 32, 56)[0, 0]
    steps = joined[:, 1:] - joined[:, :-1]
    assert steps.min() >= 0
    assert steps.max() < 1.05 * torch.pi / 2 / 8
    assert torch.equal(joined[:, :24], torch.zeros(32, 24)) and torch.equal(joined[:, 32:], torch.ones(32, 24))


def test_tiles_of_pixels_lie_over_those_of_latents():
    latents = Tiling(32, 8)
    assert latents.scaled(16).places(544, 960) == [(16 * i, 16 * j) for i, j in latents.places(34, 60)]


@given(st.integers(3, 50), st.integers(3, 50))
def test_pictures_made_to_fit_come_back(height, width):
    rows, columns = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    planes = torch.stack([rows + 0 * columns, 0 * rows + columns, torch.full((height, width), 0.3)])[None]
    fitted, fit = fit_in(planes, multiple=8, least=16)
    assert min(fitted.shape[2:]) >= 16 and not any(side % 8 for side in fitted.shape[2:])
    back = fit.undo(fitted)
    assert back.shape == planes.shape
    if min(height, width) >= 16:
        assert torch.equal(back, planes)
    else:  # enlarged, and shrunk again
        assert (back - planes).abs().max() < 0.1
        torch.testing.assert_close(back[:, 2], planes[:, 2])


def test_pictures_are_not_squashed():
    _, fit = fit_in(torch.zeros(1, 1, 100, 300), multiple=16, least=512)
    assert fit.scaled == (512, 1536)


def test_a_side_shorter_than_a_tile():
    with pytest.raises(ShapeError, match="a side of 5 is shorter than a tile of 8"):
        Tiling(8, 2).cut(torch.zeros(1, 1, 16, 5))


def test_tiles_that_do_not_advance():
    with pytest.raises(InputError, match="expected 0 <= overlap < tile"):
        Tiling(8, 8)


def test_tiles_of_another_plane():
    with pytest.raises(ShapeError, match="3 tiles, expected 2 for each plane of 8 x 14"):
        Tiling(8, 2).join(torch.zeros(3, 1, 8, 8), 8, 14)
