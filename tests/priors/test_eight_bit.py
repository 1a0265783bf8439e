"""Weights in eight bits: bounded error, a quarter of the memory, strict names."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from diffusion_networks import tiny_unet, unet_inputs
from unseen.core.errors import InputError, NonFiniteError
from unseen.priors import eight_bit
from unseen.priors.eight_bit import EightBitConv2d, EightBitLinear, decode, encode, fp8_linear, store_in_eight_bits
from unseen.priors.precision import apply_precision

KINDS = ("int8", "fp8")


@given(st.integers(0, 2**31), st.integers(1, 5), st.integers(1, 40), st.floats(-20, 20))
def test_error_bounds(seed, rows, columns, exponent):
    g = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=g, dtype=torch.float64) * 2.0**exponent
    weight[0, 0] = 0
    weight = weight.float()
    largest = weight.abs().amax(1, keepdim=True)
    slack = 1 + 1e-5
    error = (decode(*encode(weight, "int8"), torch.float32) - weight).abs()
    assert (error <= largest / 254 * slack).all()
    error = (decode(*encode(weight, "fp8"), torch.float32) - weight).abs()
    assert (error <= torch.maximum(weight.abs() / 16, largest * 2**-10 / 448) * slack).all()


@pytest.mark.parametrize("kind", KINDS)
def test_zero_and_tiny_channels(kind):
    weight = torch.tensor([[0.0, 0.0], [1e-30, -1e-30], [3e38, 0.0]])
    out = decode(*encode(weight, kind), torch.float32)
    assert out.isfinite().all() and (out[0] == 0).all()
    torch.testing.assert_close(out, weight, rtol=0.005, atol=0)


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_layers_compute_with_their_widened_weights(kind):
    torch.manual_seed(0)
    linear = nn.Linear(5, 3)
    conv = nn.Conv2d(4, 6, 3, stride=2, padding=1, dilation=2, groups=2, bias=False)
    for layer, new, x in (
        (linear, EightBitLinear(linear, kind), torch.randn(2, 5)),
        (conv, EightBitConv2d(conv, kind), torch.randn(2, 4, 9, 9)),
    ):
        expected = copy.deepcopy(layer)
        expected.weight.copy_(new.weight)
        torch.testing.assert_close(new(x), expected(x))
        assert (new.weight - layer.weight).abs().max() > 0


@pytest.mark.parametrize(("kind", "near"), [("int8", 0.03), ("fp8", 0.1)])
@torch.no_grad()
def test_a_network_stays_near_in_a_quarter_of_the_memory(kind, near):
    unet, (x, t, text) = tiny_unet(), unet_inputs()
    full = unet(x, t, text).sample
    sizes = {n: p.numel() for n, p in unet.named_parameters()}
    assert store_in_eight_bits(unet, kind) > 30
    out = unet(x, t, text).sample
    assert 0 < (out - full).abs().mean() < near * full.abs().mean()
    assert type(unet.conv_in) is nn.Conv2d and type(unet.time_embedding.linear_1) is nn.Linear

    swapped = [m for m in unet.modules() if isinstance(m, (EightBitLinear, EightBitConv2d))]
    held = sum(m.codes.nbytes + m.scale.nbytes for m in swapped)
    assert held < 0.3 * 4 * sum(m.codes.numel() for m in swapped)
    assert sum(m.codes.numel() for m in swapped) > 0.8 * sum(sizes.values())


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_casting_leaves_codes_and_scales_alone(kind):
    unet, (x, t, text) = tiny_unet(), unet_inputs()
    store_in_eight_bits(unet, kind)
    full = unet(x, t, text).sample
    layer = unet.down_blocks[0].resnets[0].conv1
    codes, scale = layer.codes, layer.scale.clone()
    apply_precision(unet, torch.bfloat16)
    assert layer.codes.dtype == codes.dtype and torch.equal(layer.scale, scale) and layer.bias.dtype == torch.bfloat16
    assert layer.weight.dtype == torch.bfloat16
    half = unet(x.bfloat16(), t, text.bfloat16()).sample
    assert half.dtype == torch.bfloat16
    assert (half.float() - full).abs().mean() < 0.03 * full.abs().mean()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_state_dicts_are_strict(kind):
    stored, other = tiny_unet(0), tiny_unet(1)
    store_in_eight_bits(stored, kind)
    with pytest.raises(RuntimeError, match=r"conv1\.codes"):
        stored.load_state_dict(other.state_dict())
    store_in_eight_bits(other, kind)
    other.load_state_dict(stored.state_dict())
    inputs = unet_inputs()
    assert torch.equal(other(*inputs).sample, stored(*inputs).sample)


def test_gradients_reach_the_input():
    layer = EightBitLinear(nn.Linear(3, 2), "int8")
    x = torch.ones(1, 3, requires_grad=True)
    layer(x).sum().backward()
    torch.testing.assert_close(x.grad[0], layer.weight.sum(0))


def test_what_cannot_be_stored_is_told():
    network = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(InputError, match="int4"):
        store_in_eight_bits(network, "int4")
    network[0].weight.data[0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match="weight of 0 "):
        store_in_eight_bits(network, "int8")
    with pytest.raises(InputError, match="reflect"):
        store_in_eight_bits(nn.Sequential(nn.Conv2d(1, 1, 3, padding=1, padding_mode="reflect")), "fp8")


def test_products_of_fp8_are_near_those_of_wide_numbers():
    """Rows of any size: each has a scale of its own."""
    torch.manual_seed(0)
    layer = nn.Linear(64, 32)
    x = torch.randn(2, 5, 64) * torch.tensor([1e-3, 1.0, 1e3, 0.0, 7.0])[:, None]
    codes, scale = encode(layer.weight, "fp8")
    found = fp8_linear(x, codes, scale, layer.bias)
    wanted = nn.functional.linear(x, decode(codes, scale, torch.float32), layer.bias)
    row = x.abs().amax(-1, keepdim=True)
    assert found.shape == wanted.shape and found.dtype == x.dtype
    assert ((found - wanted).abs() <= 0.12 * row + 1e-3).all()
    torch.testing.assert_close(found[:, 3], wanted[:, 3], atol=1e-6, rtol=1e-2)


def test_fp8_is_multiplied_natively_where_that_can_be(monkeypatch):
    layers = nn.Sequential(nn.Linear(32, 16), nn.Linear(16, 3)).requires_grad_(False)
    widened = nn.Sequential(nn.Linear(32, 16)).requires_grad_(False)
    store_in_eight_bits(layers, "fp8")
    store_in_eight_bits(widened, "fp8", native=False)
    calls = []
    monkeypatch.setattr(eight_bit, "multiplies_fp8", lambda device: True)
    monkeypatch.setattr(eight_bit, "fp8_linear", lambda *given: calls.append(given) or fp8_linear(*given))
    layers(torch.randn(4, 32))  # the second layer's width is not divisible by 16
    widened(torch.randn(4, 32))
    assert len(calls) == 1
