"""What diagnostics tell is true: the layer a NaN starts in, what is attended, the steps of a strip."""

import pytest
import torch
from torch import nn

from diffusion_networks import little, tiny_unet, unet_inputs
from unseen.core.errors import InputError
from unseen.io.images import read_image_float
from unseen.priors.multiview.diagnostics import (
    AttentionMaps,
    DenoisingStrip,
    LayerNonFiniteError,
    nonfinite_guard,
    recording,
)
from unseen.priors.multiview.unet import MultiViewUNet


@torch.no_grad()
def test_the_guard_names_the_layer_a_nan_starts_in():
    unet, (x, t, text) = tiny_unet(), unet_inputs()
    expected = unet(x, t, text).sample
    with nonfinite_guard({"unet": unet}):
        assert torch.equal(unet(x, t, text).sample, expected)
    layer = "mid_block.resnets.0.conv2"
    unet.get_submodule(layer).weight[0, 0, 0, 0] = torch.nan
    with (
        pytest.raises(LayerNonFiniteError, match="weights hold such values") as caught,
        nonfinite_guard({"unet": unet}),
    ):
        unet(x, t, text)
    assert caught.value.layer == f"unet.{layer}"
    low, high = caught.value.inputs
    assert -100 < low < 0 < high < 100
    unet(x, t, text)  # the guard is gone


@torch.no_grad()
def test_the_guard_tells_an_overflow_from_a_bad_input():
    network = nn.Sequential(nn.Linear(2, 2, bias=False), nn.ReLU())
    network[0].weight.fill_(3e38)
    with nonfinite_guard({"net": network}):
        with pytest.raises(LayerNonFiniteError, match="overflows") as caught:
            network(torch.tensor([[1.0, 1.0]]))
        assert caught.value.layer == "net.0" and caught.value.inputs == (1, 1) and caught.value.outputs is None
        with pytest.raises(LayerNonFiniteError, match="fed"):
            network(torch.tensor([[torch.nan, 0.0]]))


@torch.no_grad()
def test_the_guard_looks_into_containers():
    class Pair(nn.Module):
        def forward(self, *, x):
            return {"sample": (x, x / 0)}

    guarded, other = Pair(), Pair()
    with nonfinite_guard({"pair": guarded}):
        other(x=torch.ones(1))
        with pytest.raises(LayerNonFiniteError) as caught:
            guarded(x=torch.ones(1))
    assert caught.value.layer == "pair" and caught.value.inputs == (1, 1)


def multi_view_run(unet, seed=0):
    g = torch.Generator().manual_seed(seed)
    x, tokens = torch.randn(1, 2, 4, 8, 8, generator=g), torch.randn(1, 3, 16, generator=g)
    with torch.no_grad():
        return unet(x, torch.tensor([500.0]), tokens, normals=x)


def test_attention_maps_are_softmax_of_what_the_layers_attend_with(tmp_path):
    unet = MultiViewUNet(little()).eval()
    expected = multi_view_run(unet)
    seen = {}
    maps = AttentionMaps("mid_block|down_blocks.1", side=512)

    def both(name, query, key):
        seen[name] = (query.double(), key.double())
        maps(name, query, key)

    with recording(unet, both):
        assert torch.equal(multi_view_run(unet), expected)
    assert set(maps.maps) < set(seen)
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn1"
    query, key = seen[name]
    assert query.shape[2] == key.shape[2] == 2 * 4 * 4  # all pixels of both views, halved once
    truth = (query @ key.mT / query.shape[-1] ** 0.5).softmax(-1).mean((0, 1))
    torch.testing.assert_close(maps.maps[name].double(), truth, rtol=1e-4, atol=1e-6)
    assert maps.maps[name.replace("attn1", "attn2.image")].shape == (32, 3)
    assert all(p.recorder is None for p in unet.attention_processors.values())
    written = maps.save(tmp_path)
    assert sorted(written) == sorted(p.name for p in tmp_path.iterdir())
    assert read_image_float(tmp_path / f"{name}.png").max() == 1


def test_long_attention_is_averaged_and_calls_too():
    g = torch.Generator().manual_seed(0)
    maps = AttentionMaps(side=4)
    truth = []
    for _ in range(3):
        q, k = torch.randn(1, 2, 8, 3, generator=g), torch.randn(1, 2, 12, 3, generator=g)
        maps("layer", q, k)
        truth.append((q @ k.mT / 3**0.5).softmax(-1).mean((0, 1)).view(4, 2, 4, 3).mean((1, 3)))
    torch.testing.assert_close(maps.maps["layer"], torch.stack(truth).mean(0))
    with pytest.raises(InputError, match="one size"):
        maps("layer", q, k[:, :, :2])


def test_recording_needs_a_multi_view_network():
    with pytest.raises(InputError, match="MultiViewUNet"), recording(nn.Linear(1, 1), print):
        pass


def test_a_strip_shows_views_by_steps(tmp_path):
    def decode(latents):
        return latents.mean(1, keepdim=True).expand(-1, 3, -1, -1).permute(0, 2, 3, 1)

    strip = DenoisingStrip(decode, columns=3)
    views = torch.arange(2.0)[:, None, None, None]
    for step in range(9):
        strip(step, 9, (views + step / 8).expand(2, 4, 5, 5) / 2)
    assert strip.image().shape == (10, 15, 3)
    torch.testing.assert_close(strip.image()[::5, ::5, 0], torch.tensor([[2.0, 5, 8], [10, 13, 16]]) / 16)
    strip.save(tmp_path / "strip.png")
    assert read_image_float(tmp_path / "strip.png").shape == (10, 15, 3)
    with pytest.raises(InputError, match="on_step"):
        DenoisingStrip(decode).save(tmp_path / "none.png")
    short = DenoisingStrip(decode, columns=8)
    for step in range(2):
        short(step, 2, torch.zeros(1, 4, 5, 5))
    assert len(short.previews) == 2
