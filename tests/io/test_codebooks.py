import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.core.gaussians import Gaussians
from unseen.io.codebooks import fit_codebook, fit_palette, nearest
from unseen.io.ordering import by_visibility, spatial_order


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.floats(-1e6, 1e6, width=32), max_size=600))
def test_no_value_is_farther_than_the_anchors_allow(values):
    array = np.array(values)
    book = fit_codebook(array)
    assert book.shape == (256,) and (np.diff(book) >= 0).all()
    found = book[nearest(book, array)]
    assert (np.abs(found - array)[:, None] <= np.abs(book - array[:, None]) + 1e-9).all()  # the nearest
    if len(array):
        assert np.abs(found - array).max() <= np.ptp(array) / 126 + 1e-9


def test_a_codebook_follows_the_density_and_holds_a_few_values_exactly():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.normal(0, 0.1, 50_000), [100.0]])
    book = fit_codebook(values)
    error = np.abs(book[nearest(book, values)] - values)
    even = np.ptp(values) / 255 / 4  # mean error of 256 even steps
    assert error.mean() < even / 50 and error[-1] == 0
    few = np.array([0.1, 0.1, -3.0, 7.0])
    assert np.allclose(fit_codebook(few)[nearest(fit_codebook(few), few)], few, atol=10 / 126)


def test_a_small_palette_is_the_vectors_themselves():
    vectors = torch.randn(50, 9)
    palette, labels = fit_palette(vectors, 64)
    assert torch.equal(palette[labels], vectors)


def test_a_palette_finds_the_groups_there_are():
    g = torch.Generator().manual_seed(0)
    centres = torch.randn(20, 6, generator=g) * 5
    vectors = centres[torch.randint(20, (4000,), generator=g)] + 0.01 * torch.randn(4000, 6, generator=g)
    palette, labels = fit_palette(vectors, 600)
    assert len(palette) <= 600 and labels.min() >= 0 and labels.max() < len(palette)
    error = (palette[labels] - vectors).square().mean().sqrt()
    assert error < 0.01  # a centroid per centre would leave 0.01
    again, same = fit_palette(vectors, 600)
    assert torch.equal(again, palette) and torch.equal(same, labels)


def test_a_palette_beats_random_entries_by_far():
    g = torch.Generator().manual_seed(1)
    vectors = torch.randn(20_000, 3, generator=g)
    palette, labels = fit_palette(vectors, 1024)
    error = (palette[labels] - vectors).square().sum(1).mean()
    picked = vectors[torch.randperm(20_000, generator=g)[:1024]]
    assert error < 0.7 * torch.cdist(vectors, picked).min(1).values.square().mean()


@pytest.mark.parametrize("values", [torch.zeros(5000, 4), torch.full((5000, 4), 1e30)])
def test_a_palette_of_equal_or_huge_vectors(values):
    palette, labels = fit_palette(values, 1000)
    assert palette.isfinite().all() and len(palette[labels]) == 5000


def test_spatial_order_is_a_permutation_that_keeps_neighbours_together():
    means = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0))
    order = spatial_order(means)
    assert torch.equal(order.sort().values, torch.arange(2000))
    steps = means[order].diff(dim=0).norm(dim=1).mean()
    assert steps < 0.2 * means.diff(dim=0).norm(dim=1).mean()
    grid = torch.cartesian_prod(*[torch.arange(2.0)] * 3)  # x is the lowest bit
    assert grid[spatial_order(grid)].tolist() == [[x, y, z] for z in (0, 1) for y in (0, 1) for x in (0, 1)]
    assert spatial_order(torch.zeros(0, 3)).tolist() == [] and spatial_order(torch.ones(3, 3)).tolist() == [0, 1, 2]


def test_visibility_counts_the_face_not_the_thickness():
    g = Gaussians.from_rgb(
        torch.zeros(3, 3), torch.tensor([[0.1, 0.1, 1e-6], [0.05, 0.05, 0.05], [0.1, 0.1, 0.1]]), torch.ones(3, 4),
        torch.tensor([0.9, 0.9, 0.1]), torch.zeros(3, 3),
    )  # fmt: skip
    assert by_visibility(g).tolist() == [0, 1, 2]
