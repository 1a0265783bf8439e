"""The resampler of image tokens against a plain float64 evaluation of the perceiver of IP-adapter and ImageDream."""

import numpy as np
import torch
from diffusers.models.embeddings import IPAdapterPlusImageProjection
from scipy.special import erf


def norm(x, layer):
    x = x - x.mean(-1, keepdims=True)
    x = x / np.sqrt((x**2).mean(-1, keepdims=True) + layer.eps)
    return x * layer.weight.detach().numpy() + layer.bias.detach().numpy()


def linear(x, layer):
    bias = 0 if layer.bias is None else layer.bias.detach().numpy()
    return x @ layer.weight.detach().numpy().T + bias


def test_latents_attend_to_the_image_and_to_themselves():
    torch.manual_seed(0)
    resampler = IPAdapterPlusImageProjection(
        embed_dims=10, output_dims=7, hidden_dims=8, depth=2, dim_head=4, heads=2, num_queries=3, ffn_ratio=4
    ).double()
    image = torch.randn(1, 5, 10).double()
    x, latents = linear(image[0].numpy(), resampler.proj_in), resampler.latents[0].detach().numpy()
    for block in resampler.layers:
        queries = norm(latents, block.ln1)
        context = np.concatenate([norm(x, block.ln0), queries])
        q = linear(queries, block.attn.to_q)
        k, v = (linear(context, layer) for layer in (block.attn.to_k, block.attn.to_v))
        heads = []
        for h in (slice(0, 4), slice(4, 8)):
            scores = np.exp(q[:, h] @ k[:, h].T / 2)
            heads.append(scores / scores.sum(-1, keepdims=True) @ v[:, h])
        latents = latents + linear(np.concatenate(heads, -1), block.attn.to_out[0])
        first, second = block.ff[1].net[0].proj, block.ff[1].net[2]
        hidden = linear(norm(latents, block.ff[0]), first)
        latents = latents + linear(hidden * 0.5 * (1 + erf(hidden / np.sqrt(2))), second)
    expected = norm(linear(latents, resampler.proj_out), resampler.norm_out)
    np.testing.assert_allclose(resampler(image)[0].detach().numpy(), expected, atol=1e-10)
