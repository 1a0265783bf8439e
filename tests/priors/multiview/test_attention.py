"""Against plain float64 evaluations of the formulas."""

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import Attention

from diffusion_networks import little, tiny_unet, unet_inputs
from unseen.core.errors import InputError
from unseen.priors.multiview.attention import FrameAttention, ImageTokenAttention, KeyValueCache, slice_attention
from unseen.priors.multiview.unet import MultiViewUNet


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def attend(x, context, q, k, v, heads):
    """Multi-head attention of rows x [L, C] to rows of context [M, D], one head after another."""
    queries, keys, values = x @ q.T, context @ k.T, context @ v.T
    width = queries.shape[1] // heads
    parts = []
    for h in range(heads):
        s = slice(h * width, (h + 1) * width)
        parts.append(softmax(queries[:, s] @ keys[:, s].T / np.sqrt(width)) @ values[:, s])
    return np.concatenate(parts, 1)


def layer(context=None):
    torch.manual_seed(0)
    return Attention(query_dim=12, cross_attention_dim=context, heads=3, dim_head=4).double()


def arrays(*modules):
    return [m.weight.detach().numpy() for m in modules]


def projected(attn, x):
    return x @ attn.to_out[0].weight.detach().numpy().T + attn.to_out[0].bias.detach().numpy()


def test_self_attention_is_dense_over_all_frames():
    attn, frames = layer(), 3
    attn.set_processor(FrameAttention("a"))
    x = torch.randn(2 * frames, 5, 12, dtype=torch.float64)
    got = attn(x, num_frames=frames).detach().numpy()
    for sample in range(2):
        rows = x[sample * frames : (sample + 1) * frames].reshape(-1, 12).numpy()
        expected = projected(attn, attend(rows, rows, *arrays(attn.to_q, attn.to_k, attn.to_v), 3))
        np.testing.assert_allclose(got[sample * frames : (sample + 1) * frames].reshape(-1, 12), expected, atol=1e-12)


@pytest.mark.parametrize("text", [0, 7])
@pytest.mark.parametrize("weight", [1.0, 0.4])
def test_image_tokens_have_a_branch_of_their_own(text, weight):
    attn, frames = layer(8), 2
    processor = ImageTokenAttention("a", 8, 12, weight).double()
    attn.set_processor(processor)
    x, tokens = torch.randn(2 * frames, 5, 12).double(), torch.randn(2, text + 4, 8).double()
    got = attn(x, encoder_hidden_states=tokens, num_frames=frames, num_image_tokens=4).detach().numpy()
    q, k, v, k_ip, v_ip = arrays(attn.to_q, attn.to_k, attn.to_v, processor.to_k_ip[0], processor.to_v_ip[0])
    for f in range(2 * frames):
        context = tokens[f // frames].numpy()
        expected = weight * attend(x[f].numpy(), context[text:], q, k_ip, v_ip, 3)
        if text:
            expected = expected + attend(x[f].numpy(), context[:text], q, k, v, 3)
        np.testing.assert_allclose(got[f], projected(attn, expected), atol=1e-12)


def test_slices_and_cache_change_nothing():
    attn = layer(8)
    processor = ImageTokenAttention("a", 8, 12).double()
    attn.set_processor(processor)
    x, tokens = torch.randn(4, 5, 12).double(), torch.randn(2, 6, 8).double()
    told = {"num_frames": 2, "num_image_tokens": 4}
    plain = attn(x, encoder_hidden_states=tokens, **told)
    cache = KeyValueCache()
    first = attn(x, encoder_hidden_states=tokens, cache=cache, **told)
    assert len(cache) == 2
    again = attn(x, encoder_hidden_states=torch.full_like(tokens, torch.nan), cache=cache, **told)  # never read
    processor.slice_size = 1
    sliced = attn(x, encoder_hidden_states=tokens, **told)
    for other in (first, again, sliced):
        torch.testing.assert_close(other, plain)


def test_recorders_see_queries_and_keys():
    attn = layer(8)
    processor = ImageTokenAttention("mid", 8, 12).double()
    attn.set_processor(processor)
    seen = {}
    processor.recorder = lambda name, q, k: seen.update({name: (tuple(q.shape), tuple(k.shape))})
    attn(
        torch.randn(4, 5, 12).double(),
        encoder_hidden_states=torch.randn(2, 6, 8).double(),
        num_frames=2,
        num_image_tokens=4,
    )
    assert seen == {"mid.text": ((2, 3, 10, 4), (2, 3, 2, 4)), "mid.image": ((2, 3, 10, 4), (2, 3, 4, 4))}


@torch.no_grad()
def test_a_sliced_network_gives_the_same_and_goes_back():
    unet, (x, t, text) = tiny_unet(), unet_inputs()
    before = unet(x, t, text).sample
    processors = dict(unet.attn_processors)
    assert slice_attention(unet, 1) == len(processors) > 0
    assert all("Sliced" in type(p).__name__ for p in unet.attn_processors.values())
    torch.testing.assert_close(unet(x, t, text).sample, before, rtol=1e-4, atol=1e-5)
    slice_attention(unet, None)
    assert {type(p) for p in unet.attn_processors.values()} == {type(p) for p in processors.values()}
    with pytest.raises(InputError, match="0 heads"):
        slice_attention(unet, 0)


@torch.no_grad()
def test_the_multi_view_network_keeps_its_processors_and_its_result():
    unet = MultiViewUNet(little()).eval()
    g = torch.Generator().manual_seed(0)
    x, tokens = torch.randn(1, 2, 4, 8, 8, generator=g), torch.randn(1, 3, 16, generator=g)
    inputs = (x, torch.tensor([500.0]), tokens)
    before, processors = unet(*inputs, normals=x), dict(unet.attention_processors)
    assert slice_attention(unet, 1) == len(processors)
    assert unet.attention_processors == processors and all(p.slice_size == 1 for p in processors.values())
    torch.testing.assert_close(unet(*inputs, normals=x), before, rtol=1e-4, atol=1e-5)
    slice_attention(unet, None)
    assert all(p.slice_size is None for p in processors.values())
