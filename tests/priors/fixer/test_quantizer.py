"""The multi-scale quantiser: any sides, exactness, errors."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.errors import InputError, ShapeError
from unseen.priors.fixer.quantizer import MultiScaleQuantizer

CHANNELS = 4


def quantizer(patch_nums=(1, 2, 4), entries=16):
    torch.manual_seed(0)
    return MultiScaleQuantizer(patch_nums, range(len(patch_nums)), CHANNELS, entries, len(patch_nums))


@given(st.integers(1, 9), st.integers(1, 9))
def test_latents_of_any_sides_pass(height, width):
    q = quantizer()
    latents = torch.randn(2, CHANNELS, height, width)
    found = q.tokens(latents)
    sizes = q.sizes(height, width)
    assert [i.shape for i in found.indices] == [(2, h * w) for h, w in sizes]
    assert sizes[-1] == (height, width)
    assert q.inputs(found.indices, (height, width)).shape == (2, sum(h * w for h, w in sizes[1:]), CHANNELS)
    *_, fhat = q.sums(found.indices, (height, width))
    torch.testing.assert_close(fhat, found.fhat)
    # the last scale adds its entries as they are to what was there before
    last = q.embed(found.indices[-1]).transpose(1, 2).unflatten(2, (height, width))
    torch.testing.assert_close(latents - found.residual + last, fhat)


def test_maps_keep_the_proportions_of_the_latents():
    assert quantizer((1, 2, 3, 4)).sizes(4, 8) == [(1, 2), (2, 4), (3, 6), (4, 8)]


def test_nearest_entry():
    q = quantizer()
    latents = q.embed(torch.tensor([[3, 5, 7, 3]])).transpose(1, 2).unflatten(2, (2, 2))
    assert q.indices(2, latents).tolist() == [[3, 5, 7, 3]]


def test_the_last_scale_makes_no_cell_worse_where_nothing_is_an_entry():
    q = quantizer()
    with torch.no_grad():
        q.embedding.weight[0] = 0
    latents = torch.randn(1, CHANNELS, 8, 8)
    found = q.tokens(latents)
    left, before = (x.square().sum(1) for x in (latents - found.fhat, found.residual))
    assert (left <= before + 1e-6).all() and left.mean() < 0.9 * before.mean()


def test_gradients_reach_codebook_and_convolutions_but_not_through_tokens():
    q = quantizer()
    latents = torch.randn(1, CHANNELS, 4, 4, requires_grad=True)
    found = q.tokens(latents)
    assert not found.fhat.requires_grad
    *_, fhat = q.sums(found.indices, (4, 4))
    fhat.sum().backward()
    assert q.embedding.weight.grad.abs().sum() > 0
    assert [conv.weight.grad is not None for conv in q.quant_resi.qresi_ls] == [True, True, False]


def test_wrong_number_of_tokens():
    with pytest.raises(ShapeError, match="3 tokens at scale 1, expected 2 x 2 for latents of 4 x 4"):
        quantizer().add(1, torch.zeros(1, CHANNELS, 4, 4), torch.zeros(1, 3, dtype=torch.long))


def test_convolutions_that_are_not_there():
    with pytest.raises(InputError, match="expected a number below 2 for each of 2"):
        MultiScaleQuantizer((1, 2), (0, 2), CHANNELS, 8, 2)
