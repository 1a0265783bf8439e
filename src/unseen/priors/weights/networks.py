"""The networks weights are known of, the layouts each is published in, and how a layout is recognised.

Every layout has a map to diffusers' (transformers' for the image encoder); two layouts meet there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights import image_encoder, resampler, unet, upsampler, vae
from unseen.priors.weights.links import KeyMap, identity
from unseen.priors.weights.tensors import Shape

Shapes = Mapping[str, Shape]


@dataclass(frozen=True)
class Layout:
    """One way to name and fold the tensors of a network.

    Attributes:
        landmark: a tensor that only this layout has, with `rank` axes.
        read: the network's sizes from the tensors' shapes.
        map: to diffusers' layout, from the sizes.
    """

    name: str
    landmark: str
    rank: int
    read: Callable[[Shapes], Any]
    map: Callable[[Any], KeyMap]

    def fits(self, shapes: Shapes) -> bool:
        """Whether the landmark is there."""
        return len(shapes.get(self.landmark, ())) == self.rank


@dataclass(frozen=True)
class Network:
    """A network by its folder's name.

    Attributes:
        title: what messages call it.
        file: its file in a folder of networks.
    """

    name: str
    title: str
    layouts: tuple[Layout, ...]
    file: str = "diffusion_pytorch_model.safetensors"

    def layout(self, name: str) -> Layout:
        """The layout of that name."""
        return next(layout for layout in self.layouts if layout.name == name)


def _oxigaf_camera(name: str) -> str:
    return name.replace("class_embedding.linear_", "camera_embedding.linear")


def _read_oxigaf_unet(shapes: Shapes) -> unet.UNetShape:
    found = {n.replace("camera_embedding.linear", "class_embedding.linear_"): size for n, size in shapes.items()}
    return unet.UNetShape.from_diffusers(found)


def _read_bare_clip(shapes: Shapes) -> image_encoder.CLIPShape:
    outside = "visual_projection."
    found = {n if n.startswith(outside) else image_encoder.PREFIX + n: size for n, size in shapes.items()}
    return image_encoder.CLIPShape.from_transformers(found)


_FIRST = "down_blocks.0.resnets.0"
_ATTENTION = "encoder.mid_block.attentions.0"
_PATCHES = "embeddings.patch_embedding.weight"
_CLASS = "embeddings.class_embedding"
_VAE, _UNET, _CLIP = vae.VAEShape, unet.UNetShape, image_encoder.CLIPShape

NETWORKS = {
    network.name: network
    for network in (
        Network("unet", "U-Net", (
            Layout("ldm", "input_blocks.0.0.weight", 4, _UNET.from_ldm, unet.unet_map),
            Layout("oxigaf", "camera_embedding.linear1.weight", 2, _read_oxigaf_unet,
                   lambda shape: identity(unet.unet_map(shape).right).respelled(_oxigaf_camera)),
            Layout("diffusers", f"{_FIRST}.time_emb_proj.weight", 2, _UNET.from_diffusers,
                   lambda shape: identity(unet.unet_map(shape).right)),
        )),
        Network("vae", "autoencoder", (
            Layout("ldm", "encoder.down.0.block.0.conv1.weight", 4, _VAE.from_ldm, vae.vae_map),
            Layout("oxigaf-0.1.1", f"{_ATTENTION}.to_qkv.weight", 4, _VAE.from_diffusers, vae.old_oxigaf_vae_map),
            Layout("oxigaf", f"{_ATTENTION}.to_q.weight", 4, _VAE.from_diffusers, vae.oxigaf_vae_map),
            Layout("diffusers-0.17", f"{_ATTENTION}.query.weight", 2, _VAE.from_diffusers, vae.old_vae_map),
            Layout("diffusers", f"{_ATTENTION}.to_q.weight", 2, _VAE.from_diffusers,
                   lambda shape: identity(vae.vae_map(shape).right)),
        )),
        Network("image_encoder", "CLIP image encoder", (
            Layout("openclip", "conv1.weight", 4, _CLIP.from_openclip, image_encoder.clip_map),
            Layout("oxigaf-0.1.1", _CLASS, 3, _read_bare_clip, image_encoder.old_oxigaf_clip_map),
            Layout("oxigaf", _CLASS, 1, _read_bare_clip, image_encoder.bare_clip_map),
            Layout("diffusers", f"{image_encoder.PREFIX}{_PATCHES}", 4, _CLIP.from_transformers,
                   lambda shape: identity(image_encoder.clip_map(shape).right)),
        ), "model.safetensors"),
        Network("resampler", "resampler", (
            Layout("ldm", "layers.0.0.to_q.weight", 2, resampler.ResamplerShape.from_ldm, resampler.resampler_map),
            Layout("diffusers", "layers.0.attn.to_q.weight", 2, resampler.ResamplerShape.from_diffusers,
                   lambda shape: identity(resampler.resampler_map(shape).right)),
        )),
        Network("upsampler", "latent upscaler", (
            Layout("diffusers", f"{_FIRST}.norm1.linear.weight", 2, upsampler.UpsamplerShape.from_diffusers,
                   lambda shape: identity(upsampler.upsampler_shapes(shape))),
        )),
    )
}  # fmt: skip
"""By the names of their folders."""


def recognise(shapes: Shapes, among: str | None = None) -> tuple[Network, Layout]:
    """The network and the layout tensors belong to; `among` names the network if it is known.

    Raises:
        InputError: no layout known here fits.
    """
    networks = [NETWORKS[among]] if among else list(NETWORKS.values())
    for network in networks:
        for layout in network.layouts:
            if layout.fits(shapes):
                return network, layout
    expected = ", ".join(f"{network.title} ({'/'.join(x.name for x in network.layouts)})" for network in networks)
    names = ", ".join(list(shapes)[:3])
    raise InputError(
        f"unknown weights ({len(shapes)} tensors: {names}, ...): expected {expected}; see --map for others"
    )
