"""Latents at twice the side: interpolated, by a small trained network, or by the published x2 diffusion upscaler."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
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
from unseen.priors.loading import read_object

CONFIG = "config.json"
WEIGHTS = "diffusion_pytorch_model.safetensors"
_TEXT_STATES = "empty_prompt.safetensors"


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
        self.conv_out = _zeroed(nn.Conv2d(channels, latent_channels, 3, padding=1))

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
        place = Path(folder)
        config = _config(place)
        try:
            network = cls(**{k: v for k, v in config.items() if not k.startswith("_")})
        except TypeError as error:
            raise FormatError(f"{place / CONFIG} is no config of a {cls.__name__}: {error}") from error
        try:
            network.load_state_dict({k: v.float() for k, v in _read_weights(place / WEIGHTS).items()})
        except RuntimeError as error:
            raise FormatError(f"{place / WEIGHTS} does not fit {CONFIG} beside it: {error}") from error
        return network.eval()


class _ResidualBlock(nn.Module):
    """Two convolutions beside the identity; nothing but the identity at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = _zeroed(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C h w"]:
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


def _zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class KDiffusionUpsampler(nn.Module):
    """The published x2 latent upscaler: a diffusion U-Net in k-diffusion's parametrisation, conditioned on the latents.

    Starts from noise at twice the side. The network sees the noisy latents beside the given ones (nearest
    neighbours); its output F gives the clean latents x / (s^2 + 1) + s / sqrt(s^2 + 1) F at noise level s (Karras et
    al., arXiv 2206.00364, table 1, with unit data). Euler steps lead s along the scheduler's levels; the log-linear
    ones end at 0.03, not at 0, as in diffusers' pipeline. No guidance.

    Args:
        unet: diffusers' UNet2DConditionModel with twice `latent_channels` inputs and `latent_channels` + 1 outputs.
        scheduler: diffusers' EulerDiscreteScheduler that takes clean samples.
        hidden_states: of the text the network is told, for the empty prompt, [tokens, width].
        pooled: of that text, [width].
        steps: Euler steps; GAF takes 10.

    Raises:
        InputError: a scheduler that takes predicted noise or velocities, or fewer steps than one.
        ShapeError: text states of another width than the network's.
    """

    NOISE_CHANNELS = 64
    """Half the width of what tells the network how noisy the given latents are: ones, then zeros, for not at all."""

    hidden_states: Tensor
    pooled: Tensor
    unet: Any

    def __init__(
        self,
        unet: Any,
        scheduler: Any,
        hidden_states: Float[Tensor, "T W"],
        pooled: Float[Tensor, "P"],
        steps: int = 10,
    ) -> None:
        super().__init__()
        if scheduler.config.prediction_type not in ("sample", "original_sample"):
            raise InputError(
                f"the upscaler's scheduler takes {scheduler.config.prediction_type}: set its prediction_type to sample"
            )
        if steps < 1:
            raise InputError(f"{steps} upsampling steps asked for, expected at least 1")
        expected = (unet.config.cross_attention_dim, unet.config.time_cond_proj_dim - 2 * self.NOISE_CHANNELS)
        if (hidden_states.dim(), hidden_states.shape[-1], *pooled.shape) != (2, *expected):
            raise ShapeError(
                f"text states have shapes {tuple(hidden_states.shape)} and {tuple(pooled.shape)}, "
                f"expected [T, {expected[0]}] and [{expected[1]}]"
            )
        self.unet, self.scheduler, self.steps = unet, scheduler, steps
        self.register_buffer("hidden_states", hidden_states)
        self.register_buffer("pooled", pooled)

    @torch.no_grad()
    def forward(
        self, latents: Float[Tensor, "N C h w"], generator: Generator | None = None
    ) -> Float[Tensor, "N C 2h 2w"]:
        """Latents at twice the side; their sides must be such that the network can halve 2h and 2w (by 8).

        Raises:
            ShapeError: latents of another number of channels.
        """
        _check_channels(latents, self.unet.config.in_channels // 2)
        given = F.interpolate(latents, scale_factor=2, mode="nearest")
        self.scheduler.set_timesteps(self.steps, device=latents.device)
        place = latents.device if generator is None else generator.device
        noise = torch.randn(given.shape, generator=generator, device=place)
        x = noise.to(latents.device) * self.scheduler.init_noise_sigma
        for t, sigma in zip(self.scheduler.timesteps, self.scheduler.sigmas, strict=False):  # levels outnumber steps
            self.scheduler.scale_model_input(x, t)  # finds the step; scaling itself is part of `denoised`
            x = self.scheduler.step(self.denoised(x, float(sigma), given), t, x).prev_sample
        return x.to(latents.dtype)

    def denoised(
        self, noisy: Float[Tensor, "N C H W"], sigma: float, given: Float[Tensor, "N C H W"]
    ) -> Float[Tensor, "N C H W"]:
        """The network's estimate of the clean latents.

        Args:
            noisy: clean latents plus `sigma` times unit noise.
            sigma: standard deviation of the noise.
            given: the latents to double, already at this side.
        """
        n, variance = len(noisy), sigma**2 + 1
        exact = self.pooled.new_tensor([1.0, 0.0]).repeat_interleave(self.NOISE_CHANNELS)
        output = self.unet(
            torch.cat([noisy / variance**0.5, given], dim=1).to(exact.dtype),
            torch.tensor(0.25 * math.log(sigma), device=noisy.device),
            encoder_hidden_states=self.hidden_states.expand(n, -1, -1),
            timestep_cond=torch.cat([exact, self.pooled]).expand(n, -1),
        ).sample
        clean = output[:, :-1].to(noisy.dtype)  # the last channel is a variance nobody reads
        return noisy / variance + sigma / variance**0.5 * clean

    def save_pretrained(self, folder: PathLike) -> None:
        """Write unet/, scheduler/, the text states and config.json to `folder`."""
        place = make_folder(folder)
        self.unet.save_pretrained(place / "unet")
        self.scheduler.save_pretrained(place / "scheduler")
        states = {"hidden_states": self.hidden_states, "pooled": self.pooled}
        write_bytes(place / _TEXT_STATES, save({k: v.cpu().contiguous() for k, v in states.items()}))
        write_json(place / CONFIG, {"_class_name": type(self).__name__, "steps": self.steps})

    @classmethod
    def from_pretrained(cls, folder: PathLike, steps: int | None = None) -> KDiffusionUpsampler:
        """Read what `save_pretrained` wrote, or the published upscaler in diffusers' layout.

        The published folder holds no text states: its text encoder makes those of the empty prompt, once.

        Args:
            folder: unet/ and scheduler/, with text states or with text_encoder/ and tokenizer/.
            steps: Euler steps; None takes those the folder names, else 10.

        Raises:
            InputError: a part is missing.
            FormatError: a part is damaged or does not fit.
        """
        from diffusers import EulerDiscreteScheduler, UNet2DConditionModel

        place = Path(folder)
        with _parts_of(place):
            unet, report = UNet2DConditionModel.from_pretrained(place / "unet", output_loading_info=True)
            scheduler = EulerDiscreteScheduler.from_pretrained(place / "scheduler")
            states = _read_weights(place / _TEXT_STATES) if (place / _TEXT_STATES).is_file() else _empty_prompt(place)
        wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
        if wrong:
            raise FormatError(f"the weights in {place / 'unet'} are not the upscaler's: {wrong}")
        if steps is None:
            steps = _config(place).get("steps", 10) if (place / CONFIG).is_file() else 10
        return cls(unet, scheduler, states["hidden_states"], states["pooled"], steps).eval()


def load_upsampler(folder: PathLike) -> BilinearUpsampler | ConvUpsampler | KDiffusionUpsampler:
    """The latent upsampler in `folder`: one of this package's, or the published x2 upscaler in diffusers' layout.

    Raises:
        InputError: no upsampler there, or one of an unknown kind.
        FormatError: a damaged file, or weights that do not fit.
    """
    place = Path(folder)
    if (place / "unet").is_dir():
        return KDiffusionUpsampler.from_pretrained(place)
    config = _config(place)
    name = config.get("_class_name")
    if name == BilinearUpsampler.__name__:
        return BilinearUpsampler()
    if name == ConvUpsampler.__name__:
        return ConvUpsampler.from_pretrained(place)
    raise InputError(
        f"{place / CONFIG} names {name!r}: expected BilinearUpsampler, ConvUpsampler, or a folder with unet/"
    )


def _empty_prompt(folder: Path) -> dict[str, Tensor]:
    """Last hidden states [T, W] and pooled state [W] of the empty prompt, by the folder's own text encoder."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    encoder = CLIPTextModel.from_pretrained(folder / "text_encoder").eval()
    ids = tokenizer("", padding="max_length", max_length=tokenizer.model_max_length, return_tensors="pt").input_ids
    with torch.no_grad():
        states = encoder(ids, output_hidden_states=True)
    return {"hidden_states": states.hidden_states[-1][0], "pooled": states.pooler_output[0]}


@contextmanager
def _parts_of(folder: Path) -> Iterator[None]:
    """What diffusers and transformers say of a missing or damaged part, as one of our errors."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read the upscaler in {folder}: {error}") from error
    except (SafetensorError, ValueError, RuntimeError, KeyError) as error:
        raise FormatError(f"the upscaler in {folder} is damaged: {error}") from error


def _check_channels(latents: Tensor, channels: int) -> None:
    if latents.dim() != 4 or latents.shape[1] != channels:
        raise ShapeError(f"latents have shape {tuple(latents.shape)}, expected [N, {channels}, h, w]")


def _config(folder: Path) -> dict[str, Any]:
    return read_object(folder / CONFIG, "the folder of a latent upsampler")


def _read_weights(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise InputError(f"no weights at {path}")
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(f"{path} is not a readable safetensors file: {error}") from error
