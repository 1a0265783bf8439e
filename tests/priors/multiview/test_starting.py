"""Published layouts, small: what GAF starts from."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from unseen.core.errors import InputError
from unseen.priors.multiview import MultiViewConfig, MultiViewDiffusion
from unseen.priors.multiview.starting import start_from
from unseen.priors.weights import KeyMismatchError
from unseen.priors.weights.image_encoder import CLIPShape, clip_map
from unseen.priors.weights.resampler import ResamplerShape, resampler_map
from unseen.priors.weights.unet import UNetShape, unet_map
from unseen.priors.weights.vae import VAEShape, vae_map

UNET = UNetShape(4, 4, (32, 64), 1, (True, False), 24, True, camera_dim=16, image_tokens=True)
VAE, CLIP = VAEShape((32, 64), 1), CLIPShape(64, 2, 128, 14, 5, 24)
RESAMPLER = ResamplerShape(64, 24, 16, 64, 4, 4, 64)


def noise(shapes, prefix):
    generator = torch.Generator().manual_seed(len(prefix))
    return {prefix + name: 0.1 * torch.randn(size, generator=generator) for name, size in shapes.items()}


def checkpoint(unet=UNET):
    """As ImageDream publishes one: LDM's names."""
    state = noise(unet_map(unet).left, "model.diffusion_model.") | noise(vae_map(VAE).left, "vae_model.")
    if unet.image_tokens:
        state |= noise(resampler_map(RESAMPLER).left, "model.diffusion_model.image_embed.")
    return state | noise(clip_map(CLIP).left, "clip_model.model.visual.")


@pytest.fixture
def model():
    plain = MultiViewConfig.named("sd21")

    def told(shape):
        return {k: v for k, v in shape.config().items() if not k.startswith("_") and k != "architectures"}

    unet = told(UNET) | {"in_channels": 8}
    unet = {k: v for k, v in unet.items() if "class_embed" not in k}
    torch.manual_seed(0)
    return MultiViewDiffusion.random(
        replace(plain, unet=unet, vae=told(VAE), image_encoder=told(CLIP), resampler=told(RESAMPLER))
    )


def test_a_checkpoint_of_imagedream_is_taken_over_but_for_the_camera(model, tmp_path):
    state = checkpoint()
    save_file(state, tmp_path / "a.safetensors")
    assert start_from(model, tmp_path / "a.safetensors") == {
        "unet": [], "vae": [], "image_encoder": [], "resampler": [],
    }  # fmt: skip
    first = model.unet.model.conv_in.weight
    assert torch.equal(first[:, :4], state["model.diffusion_model.input_blocks.0.0.weight"]) and not first[:, 4:].any()
    key = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k_ip.weight"
    layer = model.unet.attention_processors["down_blocks.0.attentions.0.transformer_blocks.0.attn2"]
    assert torch.equal(layer.to_k_ip[0].weight, state[key])
    assert torch.equal(model.vae.encoder.conv_in.weight, state["vae_model.encoder.conv_in.weight"])


def test_stable_diffusion_leaves_the_image_tokens_keys_as_they_were(model, tmp_path):
    save_file(checkpoint(replace(UNET, camera_dim=0, image_tokens=False)), tmp_path / "a.safetensors")
    before = {n: t.clone() for n, t in model.unet.model.state_dict().items() if "_ip." in n}
    own = start_from(model, tmp_path / "a.safetensors")
    assert own["unet"] == list(before) and "resampler" not in own
    assert all(torch.equal(model.unet.model.state_dict()[n], t) for n, t in before.items())


def test_what_is_missing_or_too_much_is_named(model, tmp_path):
    state = checkpoint()
    del state["model.diffusion_model.out.0.weight"]
    save_file(state, tmp_path / "a.safetensors")
    with pytest.raises(KeyMismatchError, match=r"out\.0\.weight"):
        start_from(model, tmp_path / "a.safetensors")
    save_file(checkpoint() | {"model.diffusion_model.stranger": torch.zeros(1)}, tmp_path / "b.safetensors")
    with pytest.raises(KeyMismatchError, match="stranger"):
        start_from(model, tmp_path / "b.safetensors")


def test_other_sizes_and_other_networks_are_refused(model, tmp_path):
    wide = UNetShape(4, 4, (32, 96), 1, (True, False), 24, True, image_tokens=True)
    save_file(checkpoint(wide), tmp_path / "a.safetensors")
    with pytest.raises(KeyMismatchError, match="instead of"):
        start_from(model, tmp_path / "a.safetensors")
    save_file({"some.weight": torch.zeros(2)}, tmp_path / "b.safetensors")
    with pytest.raises(InputError):
        start_from(model, tmp_path / "b.safetensors")
