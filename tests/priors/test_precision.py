"""Half precision: what must stay in float32 does, and the rest does not."""

import copy
import types

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from diffusion_networks import little, tiny_unet, tiny_vae, unet_inputs
from unseen.core.errors import InputError
from unseen.priors.multiview.unet import MultiViewUNet
from unseen.priors.precision import apply_precision, resolve_dtype


def pipeline():
    return types.SimpleNamespace(unet=tiny_unet(), vae=tiny_vae(), upsampler=None, config={"steps": 2})


def seen(module):
    """Dtypes of a module's inputs and outputs."""
    dtypes = []
    module.register_forward_hook(lambda _, args, out: dtypes.append((args[0].dtype, out.dtype)))
    return dtypes


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@torch.no_grad()
def test_parts_that_stay_in_float32(dtype):
    prior = pipeline()
    before = copy.deepcopy((prior.unet.time_embedding.state_dict(), prior.vae.decoder.conv_out.state_dict()))
    apply_precision(prior, dtype)
    after = prior.unet.time_embedding.state_dict(), prior.vae.decoder.conv_out.state_dict()
    torch.testing.assert_close(after, before, rtol=0, atol=0)  # not rounded on the way
    wide = {n for n, p in prior.unet.named_parameters() if p.dtype == torch.float32}
    assert wide == {n for n, _ in prior.unet.named_parameters() if n.startswith("time_embedding.")}
    wide = {n for n, p in prior.vae.named_parameters() if p.dtype == torch.float32}
    assert wide == {"decoder.conv_out.weight", "decoder.conv_out.bias"}
    assert all(m.upcast_softmax for m in prior.unet.modules() if hasattr(m, "upcast_softmax"))

    embedding, last, first = seen(prior.unet.time_embedding.linear_1), seen(prior.vae.decoder), seen(prior.unet.conv_in)
    x, t, text = unet_inputs()
    assert prior.unet(x.to(dtype), t, text.to(dtype)).sample.dtype == dtype
    assert prior.vae.decode(x.to(dtype)).sample.dtype == torch.float32
    assert embedding == [(torch.float32, torch.float32)] and first == [(dtype, dtype)]
    assert last == [(dtype, torch.float32)]


@torch.no_grad()
def test_time_embedding_is_not_even_rounded_on_its_way():
    unet, (x, t, text) = tiny_unet(), unet_inputs()
    inputs = []
    unet.time_embedding.linear_1.register_forward_pre_hook(lambda _, args: inputs.append(args[0]))
    unet(x, t, text)
    apply_precision(unet, torch.bfloat16)
    unet(x.bfloat16(), t, text.bfloat16())
    assert torch.equal(inputs[0], inputs[1])
    assert not torch.equal(inputs[0], inputs[0].bfloat16().float())


@torch.no_grad()
def test_half_precision_is_near_and_float32_comes_back():
    prior, (x, t, text) = pipeline(), unet_inputs()
    full = prior.unet(x, t, text).sample
    apply_precision(prior, torch.bfloat16)
    half = prior.unet(x.bfloat16(), t, text.bfloat16()).sample.float()
    assert 0 < (half - full).abs().mean() < 0.03 * full.abs().mean()
    apply_precision(prior, torch.float32)
    assert {p.dtype for p in prior.unet.parameters()} == {torch.float32}
    assert prior.unet(x, t, text).sample.dtype == torch.float32
    assert len(prior.unet.time_embedding._forward_hooks) == 1  # hooks are replaced, not stacked


@torch.no_grad()
def test_softmax_of_attention_in_bf16_sums_in_float32():
    """4096 equal scores: each weight is 2^-12, which a sum in bf16 could not add up beyond 2^-4."""
    n = 4096
    q, k, v = torch.zeros(1, 1, 1, 8), torch.zeros(1, 1, n, 8), torch.ones(1, 1, n, 8)
    out = scaled_dot_product_attention(*(a.bfloat16() for a in (q, k, v)))
    torch.testing.assert_close(out.float(), torch.ones_like(out).float(), rtol=0, atol=2**-8)


@torch.no_grad()
def test_a_multi_view_network_steered_by_cameras():
    unet = MultiViewUNet(little("tiny-cameras")).eval()
    g = torch.Generator().manual_seed(0)
    x, t, tokens = torch.randn(1, 2, 4, 8, 8, generator=g), torch.tensor([500.0]), torch.randn(1, 3, 16, generator=g)
    poses = torch.eye(4).expand(1, 2, 4, 4)
    full = unet(x, t, tokens, cameras=poses)
    apply_precision(unet, torch.bfloat16)
    assert unet.model.class_embedding.linear_1.weight.dtype == torch.float32
    half = unet(x.bfloat16(), t, tokens.bfloat16(), cameras=poses.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half.float() - full).abs().mean() < 0.03 * full.abs().mean()


def test_names_of_dtypes():
    assert resolve_dtype("bf16") == torch.bfloat16
    with pytest.raises(InputError, match="fp64"):
        resolve_dtype("fp64")
