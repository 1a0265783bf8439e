"""Key maps: exact both ways, and the same as what diffusers, OpenCLIP's arithmetic and published names say."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from weight_samples import CLIP, PLAIN_UNET, RESAMPLER, UNET, UPSAMPLER, VAE, random_state, same_bits

from unseen.core.errors import InputError
from unseen.priors.weights.components import SPELLINGS
from unseen.priors.weights.image_encoder import clip_map
from unseen.priors.weights.links import KeyMismatchError, Remapped
from unseen.priors.weights.modules import build, example_inputs, load
from unseen.priors.weights.networks import NETWORKS, recognise
from unseen.priors.weights.published import PUBLISHED
from unseen.priors.weights.resampler import resampler_map
from unseen.priors.weights.tensors import InMemory
from unseen.priors.weights.unet import UNetShape, unet_map
from unseen.priors.weights.vae import VAEShape, vae_map

SHAPES = {"unet": UNET, "vae": VAE, "image_encoder": CLIP, "resampler": RESAMPLER, "upsampler": UPSAMPLER}
LAYOUTS = [(network.name, layout.name) for network in NETWORKS.values() for layout in network.layouts]


def mapped(state, key_map):
    view = Remapped(InMemory(state), key_map, "a test")
    found = {name: view.read(name) for name in view.entries}
    assert {n: tuple(t.shape) for n, t in found.items()} == {n: entry.shape for n, entry in view.entries.items()}
    return found


def round_trip(state, key_map):
    return mapped(mapped(state, key_map), key_map.reversed())


@pytest.mark.parametrize(("network", "layout"), LAYOUTS)
def test_every_layout_is_recognised_and_survives_a_round_trip_bit_for_bit(network, layout):
    shape = SHAPES[network]
    key_map = NETWORKS[network].layout(layout).map(shape)
    state = random_state(key_map.left, seed=1)
    found, there = recognise(key_map.left)
    assert (found.name, there.name) == (network, layout)
    assert there.read(key_map.left) == shape
    assert same_bits(round_trip(state, key_map), state)
    assert key_map.right.keys() == NETWORKS[network].layout("diffusers").map(shape).right.keys()


@given(
    widths=st.lists(st.integers(1, 3), min_size=1, max_size=4),
    layers=st.integers(1, 3),
    attention=st.lists(st.booleans(), min_size=4, max_size=4),
    linear=st.booleans(),
    camera=st.sampled_from([0, 12, 16]),
    image=st.booleans(),
)
@settings(max_examples=30)
def test_unets_of_any_size_are_read_back_from_both_layouts(widths, layers, attention, linear, camera, image):
    shape = UNetShape(4, 4, tuple(widths), layers, tuple(attention[: len(widths)]), 3, linear, camera, image)
    key_map = unet_map(shape)
    assert UNetShape.from_ldm(key_map.left) == shape
    assert UNetShape.from_diffusers(key_map.right) == shape
    state = random_state(key_map.left)
    assert same_bits(round_trip(state, key_map), state)


@given(widths=st.lists(st.integers(1, 3), min_size=1, max_size=4), layers=st.integers(1, 3))
@settings(max_examples=20)
def test_autoencoders_of_any_size_are_read_back_from_both_layouts(widths, layers):
    shape = VAEShape(tuple(widths), layers)
    key_map = vae_map(shape)
    assert VAEShape.from_ldm(key_map.left) == shape == VAEShape.from_diffusers(key_map.right)
    state = random_state(key_map.left)
    assert same_bits(round_trip(state, key_map), state)


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("input_blocks.0.0.weight", "conv_in.weight"),
        ("input_blocks.1.0.in_layers.0.weight", "down_blocks.0.resnets.0.norm1.weight"),
        ("input_blocks.3.0.op.weight", "down_blocks.0.downsamplers.0.conv.weight"),
        ("input_blocks.4.0.skip_connection.weight", "down_blocks.1.resnets.0.conv_shortcut.weight"),
        ("input_blocks.8.1.proj_in.weight", "down_blocks.2.attentions.1.proj_in.weight"),
        ("input_blocks.11.0.out_layers.3.bias", "down_blocks.3.resnets.1.conv2.bias"),
        (
            "middle_block.1.transformer_blocks.0.attn2.to_k_ip.weight",
            "mid_block.attentions.0.transformer_blocks.0.attn2.processor.to_k_ip.0.weight",
        ),
        ("middle_block.2.emb_layers.1.weight", "mid_block.resnets.1.time_emb_proj.weight"),
        ("output_blocks.2.1.conv.weight", "up_blocks.0.upsamplers.0.conv.weight"),
        ("output_blocks.5.2.conv.weight", "up_blocks.1.upsamplers.0.conv.weight"),
        ("output_blocks.11.1.norm.weight", "up_blocks.3.attentions.2.norm.weight"),
        ("camera_embed.2.bias", "class_embedding.linear_2.bias"),
        ("out.2.weight", "conv_out.weight"),
    ],
)
def test_names_of_imagedreams_unet(theirs, ours):
    links = unet_map(PUBLISHED["imagedream-unet"].shape).links
    assert [link.right[0][0] for link in links if link.left[0][0] == theirs] == [ours]


@pytest.mark.parametrize("shape", [PLAIN_UNET, UNetShape(4, 4, (32, 64), 1, (True, False), 24, True)])
def test_unet_agrees_with_diffusers_own_converter(shape):
    from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint

    state = random_state(unet_map(shape).left)
    theirs = convert_ldm_unet_checkpoint({f"model.diffusion_model.{n}": t for n, t in state.items()}, shape.config())
    assert same_bits(mapped(state, unet_map(shape)), theirs)


def test_autoencoder_agrees_with_diffusers_own_converter():
    from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

    state = random_state(vae_map(VAE).left)
    theirs = convert_ldm_vae_checkpoint({f"first_stage_model.{n}": t for n, t in state.items()}, VAE.config())
    assert same_bits(mapped(state, vae_map(VAE)), theirs)


def test_resampler_agrees_with_diffusers_own_converter():
    from diffusers import UNet2DConditionModel

    state = random_state(resampler_map(RESAMPLER).left)
    theirs = UNet2DConditionModel._convert_ip_adapter_image_proj_to_diffusers(
        SimpleNamespace(device="cpu", dtype=torch.float32), dict(state)
    )
    assert same_bits(mapped(state, resampler_map(RESAMPLER)), dict(theirs.state_dict()))


def openclip_forward(state, pixels, heads):
    """The vision transformer of OpenCLIP, written out with its own names."""
    patch = state["conv1.weight"].shape[-1]
    x = nn.functional.conv2d(pixels, state["conv1.weight"], stride=patch).flatten(2).mT
    x = torch.cat([state["class_embedding"].expand(len(x), 1, -1), x], 1) + state["positional_embedding"]

    def norm(x, name):
        return nn.functional.layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"])

    x = norm(x, "ln_pre")
    for i in range(CLIP.layers):
        block = f"transformer.resblocks.{i}"
        attention = nn.MultiheadAttention(CLIP.width, heads, batch_first=True)
        attention.load_state_dict({n: state[f"{block}.attn.{n}"] for n in attention.state_dict()})
        inner = norm(x, f"{block}.ln_1")
        x = x + attention(inner, inner, inner, need_weights=False)[0]
        hidden = norm(x, f"{block}.ln_2") @ state[f"{block}.mlp.c_fc.weight"].t() + state[f"{block}.mlp.c_fc.bias"]
        x = x + nn.functional.gelu(hidden) @ state[f"{block}.mlp.c_proj.weight"].t() + state[f"{block}.mlp.c_proj.bias"]
    return norm(x[:, 0], "ln_post") @ state["proj"]


@torch.no_grad()
def test_image_encoder_computes_what_openclip_computes():
    state = random_state(clip_map(CLIP).left)
    module = build(CLIP)
    load(module, Remapped(InMemory(state), clip_map(CLIP), "a test"))
    pixels = example_inputs(CLIP, 0)["pixel_values"]
    torch.testing.assert_close(module(pixels).image_embeds, openclip_forward(state, pixels, CLIP.heads))


@torch.no_grad()
def test_class_embedding_computes_mvdreams_camera_embedding():
    state = random_state(unet_map(UNET).left)
    module = build(UNET)
    load(module, Remapped(InMemory(state), unet_map(UNET), "a test"))
    inputs = example_inputs(UNET, 0)
    camera = inputs["class_labels"]
    hidden = nn.functional.silu(camera @ state["camera_embed.0.weight"].t() + state["camera_embed.0.bias"])
    expected = hidden @ state["camera_embed.2.weight"].t() + state["camera_embed.2.bias"]
    torch.testing.assert_close(module.get_class_embed(inputs["sample"], camera), expected)
    turned = module(**{**inputs, "class_labels": -camera}).sample
    assert not torch.allclose(turned, module(**inputs).sample)


def test_parts_of_mixed_precision_are_stacked_in_the_wider():
    key_map = clip_map(CLIP).reversed()
    state = random_state(key_map.left)
    queries = "vision_model.encoder.layers.0.self_attn.q_proj.weight"
    state[queries] = state[queries].half()
    view = Remapped(InMemory(state), key_map, "a test")
    name = "transformer.resblocks.0.attn.in_proj_weight"
    assert view.entries[name].dtype == view.read(name).dtype == torch.float32


def test_what_does_not_fit_is_named():
    key_map = unet_map(PLAIN_UNET)
    state = random_state(key_map.left)
    gone = [state.pop(n) for n in list(state) if ".in_layers.0." in n]
    state["time_embed.0.weight"] = torch.zeros(3, 3)
    state["lora_up.weight"] = torch.zeros(1)
    with pytest.raises(KeyMismatchError) as caught:
        Remapped(InMemory(state), key_map, "the U-Net")
    message = str(caught.value)
    assert (
        f"{len(gone)} missing: input_blocks.1.0.in_layers.0.weight" in message
        and f"and {len(gone) - 10} more" in message
    )
    assert "1 unused: lora_up.weight" in message
    assert "1 of another shape: time_embed.0.weight [3, 3] instead of [128, 32]" in message
    assert len(caught.value.missing) == len(gone)


def test_other_networks_are_unknown():
    with pytest.raises(InputError, match=r"unknown weights \(1 tensors: a.b"):
        recognise({"a.b": (1,)})


@given(st.lists(st.from_regex(r"[a-z0-9]+(_[a-z0-9]+)*", fullmatch=True), min_size=2, max_size=6))
def test_oxigafs_spellings_are_undone(parts):
    name = ".".join(parts)
    for spelling in SPELLINGS.values():
        assert spelling.read(spelling.write(name)) == name


def test_oxigafs_spelling_as_its_converter_writes_it():
    assert (
        SPELLINGS["underscore"].write("down_blocks.0.resnets.0.conv1.weight") == "down__blocks_0_resnets_0_conv1_weight"
    )
