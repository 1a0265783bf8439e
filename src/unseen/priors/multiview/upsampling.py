"""Latents at twice the resolution: interpolated, by a small trained network, or by the published x2 diffusion upscaler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Generator, Tensor, nn
from torch.nn import functional as F

from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.io.atomic import PathLike, make_folder, write_bytes, write_json

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"


class LatentUpsampler(Protocol):
    """What doubles the side of VAE latents (scaled as the U-Net sees them)."""

    def __call__(
        self, latents: Float[Tensor, "N C h w"], generator: Generator | None = None
    ) -> Float[Tensor, "N C 2h 2w"]:
        """Latents at twice the side. `generator` feeds kinds that draw noise; None takes torch's own."""

    def save_pretrained(self, folder: PathLike) -> None:
        """Write it to a folder that `load_upsampler` reads."""


class BilinearUpsampler(nn.Module):
    """Interpolates latents: soft, but nothing is invented and nothing has to be trained."""

    def forward(
        self, latents: Float[Tensor, "N C h w"], generator: Generator | None = None
    ) -> Float[Tensor, "N C 2h 2w"]:
        """Latents at twice the side; pixel centres at +0.5."""
        return F.interpolate(latents, scale_factor=2, mode="bilinear", align_corners=False)

    def save_pretrained(self, folder: PathLike) -> None:
        """Write its name to `folder`."""
        write_json(make_folder(folder) / CONFIG, {"_class_name": type(self).__name__})


class ConvUpsampler(nn.Module):
    """What interpolation misses, added by a residual convolutional network (after EDSR, arXiv 1707.02921).

    Convolutions run at the small side; a pixel shuffle doubles it. A new network is bilinear interpolation exactly:
    its last layer starts at zero.

    Args:
        latent_channels: of the VAE.
        channels: of the features.
        blocks: residual blocks of two 3x3 convolutions.
    """

    def __init__(self, latent_channels: int = 4, channels: int = 64, blocks: int = 5) -> None:
        super().__init__()
        self.config = {"latent_channels": latent_channels, "channels": channels, "blocks": blocks}
        self.conv_in = nn.Conv2d(latent_channels, channels, 3, padding=1)
        self.blocks = nn.ModuleList([_ResidualBlock(channels) for _ in range(blocks)])
        self.widen = nn.Conv2d(channels, 4 * channels, 3, padding=1)
        self.conv_out = nn.Conv2d(channels, latent_channels, 3, padding=1)
        nn.init.zeros_(self.conv_out.weight)
        nn.init.zeros_(self.conv_out.bias)

    def forward(
        self, latents: Float[Tensor, "N C h w"], generator: Generator | None = None
    ) -> Float[Tensor, "N C 2h 2w"]:
        """Latents at twice the side; `generator` is not used.

        Raises:
            ShapeError: latents of another number of channels.
        """
        _check_channels(latents, self.config["latent_channels"])
        x = self.conv_in(latents)
        for block in self.blocks:
            x = block(x)
        detail = self.conv_out(F.silu(F.pixel_shuffle(self.widen(F.silu(x)), 2)))
        return F.interpolate(latents, scale_factor=2, mode="bilinear", align_corners=False) + detail

    def save_pretrained(self, folder: PathLike) -> None:
        """Write config.json and the weights to `folder`, as diffusers lays its models out."""
        place = make_folder(folder)
        write_bytes(place / WEIGHTS, save({k: v.detach().cpu().contiguous() for k, v in self.state_dict().items()}))
        write_json(place / CONFIG, {"_class_name": type(self).__name__, **self.config})

    @classmethod
    def from_pretrained(cls, folder: PathLike) -> ConvUpsampler:
        """Read what `save_pretrained` wrote; in float32 on the CPU, for inference.

        Raises:
            InputError: a file is missing.
            FormatError: a damaged file, or weights that are not this network's: each missing or unused name is told.
        """
        return cls._from_config(Path(folder), _read_config(Path(folder)))

    @classmethod
    def _from_config(cls, folder: Path, config: dict[str, Any]) -> ConvUpsampler:
        try:
            network = cls(**{k: v for k, v in config.items() if not k.startswith("_")})
        except TypeError as error:
            raise FormatError(f"{folder / CONFIG} is no config of a {cls.__name__}: {error}") from error
        try:
            network.load_state_dict({k: v.float() for k, v in _read_weights(folder / WEIGHTS).items()})
        except RuntimeError as error:
            raise FormatError(f"{folder / WEIGHTS} does not fit {CONFIG} beside it: {error}") from error
        return network.eval()


class _ResidualBlock(nn.Module):
    """Two convolutions beside the identity; nothing but the identity at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


def _check_channels(latents: Tensor, channels: int) -> None:
    if latents.dim() != 4 or latents.shape[1] != channels:
        raise ShapeError(f"latents have shape {tuple(latents.shape)}, expected [N, {channels}, h, w]")


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; expected a folder of a latent upsampler") from error
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise FormatError(f"{path} holds a {type(config).__name__}, expected an object")
    return config


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"no weights at {path}")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(f"{path} is not a readable safetensors file: {error}") from error
