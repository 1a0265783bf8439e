"""Colour fixes: what they take from the render and what they keep of the picture."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.errors import InputError, ShapeError
from unseen.priors.fixer.colour import (
    fix_colours,
    match_low_frequencies,
    match_statistics,
    split_frequencies,
    statistics,
)


def noise(seed, height=24, width=20):
    return torch.rand(2, height, width, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(st.integers(0, 99), st.floats(0.5, 2), st.floats(-0.3, 0.3))
def test_a_change_of_light_is_undone(seed, gain, offset):
    render = noise(seed)
    assert (match_statistics(gain * render + offset, render) - render).abs().max() < 2e-3
    torch.testing.assert_close(match_low_frequencies(render + offset, render), render)


@given(st.integers(0, 99), st.floats(-0.05, 0.05), st.sampled_from(["wavelet", "adain"]))
def test_a_small_shift_is_undone_but_for_a_few_percent(seed, offset, how):
    render = noise(seed)
    left = fix_colours(render + offset, render, how) - render
    assert left.abs().max() <= 0.03 * abs(offset) + 1e-9


@pytest.mark.parametrize("how", ["wavelet", "adain"])
def test_what_was_repaired_stays_and_the_rest_is_corrected(how):
    """The render has a black hole, which the fixer has filled; it has also made everything a little too bright."""
    truth = 0.4 + 0.2 * noise(3, 96, 96)
    render = truth.clone()
    render[:, 16:80, 16:80] = 0
    fixed = fix_colours(truth + 0.03, render, how)
    assert (fixed - truth)[:, 24:72, 24:72].abs().max() < 0.035
    assert (fixed - truth)[:, :12].abs().max() < 0.01


@given(st.integers(0, 99))
def test_fixing_with_itself_changes_nothing(seed):
    image = noise(seed)
    for how in ("adain", "wavelet", "none"):
        torch.testing.assert_close(fix_colours(image, image, how), image)


@given(st.integers(0, 99), st.integers(1, 5))
def test_frequencies_add_up(seed, levels):
    image = noise(seed)
    details, low = split_frequencies(image, levels)
    torch.testing.assert_close(details + low, image)
    assert low.std() < image.std() / 2


def test_a_constant_has_no_details():
    details, low = split_frequencies(torch.full((1, 9, 7, 3), 0.4))
    assert details.abs().max() < 1e-6 and (low - 0.4).abs().max() < 1e-6


def test_statistics_are_taken_over():
    image, style = noise(1), noise(2, 9, 31) * 0.5 + 0.2
    mean, deviation = statistics(match_statistics(image, style))
    wanted_mean, wanted_deviation = statistics(style)
    torch.testing.assert_close(mean, wanted_mean)
    torch.testing.assert_close(deviation, wanted_deviation, rtol=1e-3, atol=0)


def test_wavelet_keeps_details_and_takes_colours_from_place_to_place():
    rows = torch.linspace(0, 1, 96)[:, None, None]
    render = torch.cat([rows.expand(96, 96, 1), torch.full((96, 96, 2), 0.5)], 2)[None]
    details = 0.1 * torch.tensor([1.0, -1.0]).repeat(48).expand(96, 96)[..., None]
    fixed = match_low_frequencies(0.2 + details.expand(1, 96, 96, 3), render)
    inside = slice(32, -32)  # further from the border than the widest kernel reaches
    torch.testing.assert_close(fixed[:, inside, inside], (render + details)[:, inside, inside])


def test_renders_of_another_size():
    with pytest.raises(ShapeError, match=r"\(2, 24, 20, 3\), their renders \(2, 9, 31, 3\)"):
        fix_colours(noise(1), noise(2, 9, 31), "wavelet")


def test_another_way():
    with pytest.raises(InputError, match="no colour fix 'lab': expected wavelet, adain or none"):
        fix_colours(noise(1), noise(1), "lab")
