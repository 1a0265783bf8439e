"""Networks as they are published: their sizes, and where each fact is written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from unseen.core.errors import InputError
from unseen.priors.weights.image_encoder import CLIPShape
from unseen.priors.weights.networks import NETWORKS
from unseen.priors.weights.resampler import ResamplerShape
from unseen.priors.weights.tensors import Shape
from unseen.priors.weights.unet import UNetShape
from unseen.priors.weights.upsampler import UpsamplerShape
from unseen.priors.weights.vae import VAEShape

_SD2_WIDTHS, _SD2_ATTENTION = (320, 640, 1280, 1280), (True, True, True, False)


@dataclass(frozen=True)
class Published:
    """A published network.

    Attributes:
        network: its name in `NETWORKS`.
        shape: its sizes.
        source: where they are written.
    """

    network: str
    shape: Any
    source: str

    def shapes(self, layout: str = "diffusers") -> dict[str, Shape]:
        """Its inventory: shape by name in one of its network's layouts."""
        return NETWORKS[self.network].layout(layout).map(self.shape).left


PUBLISHED = {
    "sd21-unet": Published(
        "unet",
        UNetShape(4, 4, _SD2_WIDTHS, 2, _SD2_ATTENTION, 1024, True),
        "unet/config.json of stabilityai/stable-diffusion-2-1",
    ),
    "mvdream-unet": Published(
        "unet",
        UNetShape(4, 4, _SD2_WIDTHS, 2, _SD2_ATTENTION, 1024, True, camera_dim=16),
        "mvdream/configs/sd-v2-base.yaml of bytedance/MVDream",
    ),
    "imagedream-unet": Published(
        "unet",
        UNetShape(4, 4, _SD2_WIDTHS, 2, _SD2_ATTENTION, 1024, True, camera_dim=16, image_tokens=True),
        "configs/sd_v2_base_ipmv.yaml of bytedance/ImageDream; camera_dim from unet/config.json of "
        "ashawkey/imagedream-ipmv-diffusers, whose fp16 file of 1.88 GB is this U-Net and the resampler",
    ),
    "imagedream-resampler": Published(
        "resampler",
        ResamplerShape(1280, 1024, 1024, 768, 16, 4, 4096),
        "openaimodel.py of bytedance/ImageDream (image_embed)",
    ),
    "sd21-vae": Published(
        "vae", VAEShape((128, 256, 512, 512), 2), "vae/config.json of stabilityai/stable-diffusion-2-1"
    ),
    "clip-vit-h14": Published(
        "image_encoder",
        CLIPShape(1280, 32, 5120, 14, 257, 1024),
        "image_encoder/config.json published with IP-Adapter (laion/CLIP-ViT-H-14-laion2B-s32B-b79K)",
    ),
    "sd-x2-latent-upscaler": Published(
        "upsampler",
        UpsamplerShape(8, 5, (384, 384, 768, 768), 4, 768, 896),
        "unet/config.json of stabilityai/sd-x2-latent-upscaler, whose fp16 file has 745 MB",
    ),
}
"""By the names `unseen weights verify --inventory` takes."""


def published(name: str) -> Published:
    """The published network of that name; raises InputError if there is none."""
    if name not in PUBLISHED:
        raise InputError(f"no inventory {name!r}: expected a JSON file or one of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
