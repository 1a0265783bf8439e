"""Multi-view head diffusion, put together: from a reference picture and normal maps to consistent views."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import interpolate

from unseen.core.errors import ShapeError
from unseen.io.atomic import PathLike
from unseen.priors.hub import model_folder
from unseen.priors.multiview.attention import KeyValueCache
from unseen.priors.multiview.colours import LostColours
from unseen.priors.multiview.config import LATENT_CHANNELS, MultiViewConfig
from unseen.priors.multiview.ddim import Schedule, denoise, guided
from unseen.priors.multiview.unet import MultiViewUNet
from unseen.priors.multiview.upsampling import BilinearUpsampler, LatentUpsampler, load_upsampler
from unseen.priors.pipeline import KeptPipeline

KIND = "unseen-multiview"
TINY = Path(__file__).with_name("tiny")

OnStep = Callable[[int, int, Tensor], None]
"""Told a step, of how many, and the clean latents as now believed, [V, 4, h, w]."""
OnView = Callable[[int, Tensor], None]
"""Told a view's index and its image [S, S, 3] as it is decoded."""


@dataclass(frozen=True)
class Reference:
    """Who is to be shown: what the networks keep of one or more pictures.

    Attributes:
        tokens: of the pictures, [1, R * Q, D].
        latents: of the pictures, scaled, [1, R, 4, h, w].
        text: tokens of a prompt, [1, T, D], or None.
        lost: colours the autoencoder loses of the pictures, where the model restores them.
    """

    tokens: Float[Tensor, "1 RQ D"]
    latents: Float[Tensor, "1 R 4 h w"]
    text: Float[Tensor, "1 T D"] | None = None
    lost: LostColours | None = None


class MultiViewDiffusion(KeptPipeline):
    """GAF's prior: p(views | reference, normals). Images are square, in [0, 1], over white, framed by `HeadPlace`.

    Args:
        config: what it is made of.
        unet, vae, image_encoder, resampler: its networks; vae is diffusers' AutoencoderKL, image_encoder transformers'
            CLIPVisionModel, resampler diffusers' IPAdapterPlusImageProjection.
        upsampler: doubles latents before they are decoded.

    Attributes:
        device: where it computes; its inputs are brought there.
    """

    kind = KIND
    config: MultiViewConfig

    def __init__(
        self, config: MultiViewConfig, unet: MultiViewUNet, vae: Any, image_encoder: Any, resampler: Any,
        upsampler: LatentUpsampler,
    ) -> None:  # fmt: skip
        from diffusers import DDIMScheduler

        self.config, self.unet, self.vae = config, unet, vae
        self.image_encoder, self.resampler, self.upsampler = image_encoder, resampler, upsampler
        self.scheduler = DDIMScheduler(**config.scheduler)
        self.schedule = Schedule.of(self.scheduler)

    @classmethod
    def random(cls, config: MultiViewConfig) -> MultiViewDiffusion:
        """With random weights: to train, and to measure speed."""
        from diffusers import AutoencoderKL
        from diffusers.models.embeddings import IPAdapterPlusImageProjection
        from transformers import CLIPVisionConfig, CLIPVisionModel

        return cls(
            config,
            MultiViewUNet(config),
            AutoencoderKL(**config.vae),
            CLIPVisionModel(CLIPVisionConfig(**config.image_encoder)),
            IPAdapterPlusImageProjection(**config.resampler),
            BilinearUpsampler(),
        )

    @property
    def image_size(self) -> int:
        """Side of the images it is fed."""
        return self.config.image_size

    @property
    def output_size(self) -> int:
        """Side of the images it makes with the latent upsampler."""
        return 2 * self.config.image_size

    @property
    def downsampling(self) -> int:
        """Side of an image over that of its latents."""
        return int(2 ** (len(self.config.vae["block_out_channels"]) - 1))

    @property
    def dtype(self) -> torch.dtype:
        """What the U-Net mostly computes in."""
        dtype: torch.dtype = self.unet.model.conv_in.weight.dtype
        return dtype

    def modules(self) -> dict[str, torch.nn.Module]:
        """The networks by the names of their folders."""
        own = {"upsampler": self.upsampler} if isinstance(self.upsampler, torch.nn.Module) else {}
        return self.components() | own

    # ---- weights

    def components(self) -> dict[str, torch.nn.Module]:
        """See `KeptPipeline.components`: all but the upsampler."""
        return {name: getattr(self, name) for name in COMPONENTS}

    @classmethod
    def from_pretrained(
        cls, name: PathLike, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32
    ) -> MultiViewDiffusion:
        """Load a model: "tiny", a folder, or the id of a repository on the hub.

        Raises:
            InputError: no such model, or another kind of model.
            FormatError: a damaged file, or weights that do not fit, named.
        """
        folder = TINY if str(name) == "tiny" else model_folder(name)
        model = cls.random(MultiViewConfig.of_folder(folder, KIND)).fill(folder)
        if (folder / "upsampler").is_dir():
            model.upsampler = load_upsampler(folder / "upsampler")
        if isinstance(model.upsampler, torch.nn.Module):
            model.upsampler.requires_grad_(False).eval()
        return model.to(device, None if dtype == torch.float32 else dtype)

    def save_pretrained(self, folder: PathLike, dtype: torch.dtype | None = None) -> None:
        """See `KeptPipeline.save_pretrained`; the upsampler keeps itself."""
        super().save_pretrained(folder, dtype)
        self.upsampler.save_pretrained(Path(folder) / "upsampler")

    # ---- conditions

    @torch.no_grad()
    def reference(self, images: Float[Tensor, "R S S 3"]) -> Reference:
        """What the networks keep of one or more pictures of a person."""
        self._check(images, "reference pictures")
        tokens = self.image_tokens(images)
        latents = self.encode(images)
        lost = LostColours.of(images, self.decode(latents)) if self.config.restores_colours else None
        return Reference(tokens.flatten(0, 1)[None], latents[None], lost=lost)

    def image_tokens(self, images: Float[Tensor, "R S S 3"]) -> Float[Tensor, "R Q D"]:
        """Image tokens of pictures: hidden states of the encoder's last layer but one, resampled (ImageDream)."""
        config = self.config
        side = config.image_encoder["image_size"]
        pixels = images.to(self.device, self.dtype).permute(0, 3, 1, 2)
        if side != pixels.shape[-1]:
            pixels = interpolate(pixels, (side, side), mode="bicubic", antialias=True, align_corners=False)
        mean, std = (pixels.new_tensor(v)[:, None, None] for v in (config.image_mean, config.image_std))
        hidden = self.image_encoder((pixels - mean) / std, output_hidden_states=True).hidden_states[-2]
        tokens: Tensor = self.resampler(hidden)
        return tokens

    @torch.no_grad()
    def encode(self, images: Float[Tensor, "N S S 3"]) -> Float[Tensor, "N 4 h w"]:
        """Scaled latents: means, nothing random."""
        pixels = images.to(self.device, self.vae.dtype).permute(0, 3, 1, 2)
        mean = self.vae.encode(2 * pixels - 1).latent_dist.mode()
        return (mean * self.vae.config.scaling_factor).to(self.dtype)

    @torch.no_grad()
    def decode(self, latents: Float[Tensor, "N 4 h w"]) -> Float[Tensor, "N S S 3"]:
        """Images of scaled latents."""
        pixels = self.vae.decode(latents.to(self.vae.dtype) / self.vae.config.scaling_factor).sample
        return as_images(pixels).clamp(0, 1)

    def _check(self, images: Tensor, what: str) -> None:
        multiple = self.downsampling
        if images.ndim != 4 or images.shape[-1] != 3 or images.shape[1] % multiple or images.shape[2] % multiple:
            raise ShapeError(
                f"{what} have shape {tuple(images.shape)}, expected [N, S, S, 3] with S divisible by {multiple}"
            )

    # ---- sampling

    def sample(
        self, reference: Reference, normals: Float[Tensor, "V S S 3"] | None, *, cameras: Tensor | None = None,
        steps: int = 20, guidance: float = 2.0, generator: Generator, upsample: bool = True,
        on_step: OnStep | None = None, on_view: OnView | None = None,
    ) -> Float[Tensor, "V O O 3"]:  # fmt: skip
        """Views from noise alone.

        Args:
            reference: who.
            normals: from where, [0, 1] (see `normal_images`), for models that normals steer.
            cameras: camera-to-world poses [V, 4, 4], for models that those steer.
            steps: DDIM steps.
            guidance: classifier-free guidance; 1 for none, at half the cost.
            generator: of the noise; on any device.
            upsample: double the latents before decoding.
            on_step, on_view: watchers.

        Raises:
            ShapeError: images of another shape.
        """
        conditions = self.conditions(normals, cameras)
        side = (self.image_size if normals is None else normals.shape[1]) // self.downsampling
        noise = self._noise((conditions.views, LATENT_CHANNELS, side, side), generator)
        times = self.schedule.timesteps(1.0, steps)
        start = self.schedule.noised(torch.zeros_like(noise), noise, times[0])
        latents = self._denoised(reference, conditions, start, times, guidance, on_step)
        return self._finished(latents, reference, upsample, generator, on_view)

    def denoise(
        self, reference: Reference, normals: Float[Tensor, "V S S 3"] | None, start: Float[Tensor, "V S S 3"], *,
        strength: float, cameras: Tensor | None = None, steps: int | None = None, guidance: float = 2.0,
        generator: Generator, upsample: bool = True, on_step: OnStep | None = None, on_view: OnView | None = None,
    ) -> Float[Tensor, "V O O 3"]:  # fmt: skip
        """Views from renders: noised to `strength` of the schedule, and denoised from there (GAF section 4.2). A step
        per 20 timesteps unless `steps` says otherwise; other arguments as `sample`."""
        self._check(start, "renders")
        times = self.schedule.timesteps(strength, steps)
        clean = self.encode(start)
        noisy = self.schedule.noised(clean, self._noise(clean.shape, generator), times[0])
        latents = self._denoised(reference, self.conditions(normals, cameras), noisy, times, guidance, on_step)
        return self._finished(latents, reference, upsample, generator, on_view)

    def score_distillation(
        self, reference: Reference, normals: Float[Tensor, "V S S 3"] | None, renders: Float[Tensor, "V S S 3"], *,
        t: float, cameras: Tensor | None = None, guidance: float = 2.0, generator: Generator,
    ) -> Float[Tensor, ""]:  # fmt: skip
        """A number whose gradient in the renders is that of score distillation (DreamFusion, equation 3, in latents):
        w(t) (predicted noise - noise), w = 1 - alpha; mean over the latents' entries."""
        time = self.schedule.timesteps(t, 1)[0]
        pixels = renders.to(self.device, self.vae.dtype).permute(0, 3, 1, 2)
        clean = self.vae.encode(2 * pixels - 1).latent_dist.mode() * self.vae.config.scaling_factor
        with torch.no_grad():
            noise = self._noise(clean.shape, generator)
            noisy = self.schedule.noised(clean.to(self.dtype), noise, time)
            predicted = self.predictor(reference, self.conditions(normals, cameras), guidance)(noisy, time)
            _, estimate = self.schedule.clean_and_noise(noisy, predicted, time)
            weight = 1 - float(self.schedule.alphas[time])
            target = clean.float() - weight * (estimate - noise).float()
        return 0.5 * (clean.float() - target).square().sum() / clean.numel()

    def conditions(self, normals: Tensor | None, cameras: Tensor | None) -> Conditions:
        """Where the views look from, as the U-Net takes it."""
        if normals is not None:
            self._check(normals, "normal maps")
            return Conditions(self.encode(normals)[None], None, len(normals))
        if cameras is None:
            raise ShapeError("neither normal maps nor cameras say where the views look from: give one")
        return Conditions(None, cameras.to(self.device, self.dtype)[None], len(cameras))

    def predictor(self, reference: Reference, at: Conditions, guidance: float) -> Callable[[Tensor, int], Tensor]:
        """The guided network as a function of noisy latents [V, 4, h, w] and a timestep."""
        text = 0 if reference.text is None else reference.text.shape[1]
        tokens = reference.tokens if reference.text is None else torch.cat([reference.text, reference.tokens], 1)
        rows = 1 if guidance == 1 else 2

        def both(x: Tensor) -> Tensor:
            """The condition and, for guidance, zeros: what the network was trained on where references were dropped."""
            return torch.cat([x, torch.zeros_like(x)][:rows])

        fixed: dict[str, Any] = {
            "tokens": both(tokens),
            "references": both(reference.latents),
            "normals": None if at.normals is None else at.normals.expand(rows, -1, -1, -1, -1),
            "cameras": None if at.cameras is None else at.cameras.expand(rows, -1, -1, -1),
            "num_text_tokens": text,
            "cache": KeyValueCache(),
        }

        def predict(noisy: Tensor, t: int) -> Tensor:
            times = torch.full((rows,), float(t), device=noisy.device)
            out = self.unet(noisy.expand(rows, *noisy.shape), times, **fixed)
            return out[0] if rows == 1 else guided(out[1], out[0], guidance)

        return predict

    @torch.no_grad()
    def _denoised(
        self, reference: Reference, at: Conditions, noisy: Tensor, times: list[int], guidance: float,
        on_step: OnStep | None,
    ) -> Tensor:  # fmt: skip
        return denoise(self.schedule, noisy, times, self.predictor(reference, at, guidance), on_step)

    @torch.no_grad()
    def _finished(
        self, latents: Tensor, reference: Reference, upsample: bool, generator: Generator, on_view: OnView | None
    ) -> Tensor:
        """Images of the views' latents, doubled before when asked, decoded one by one, lost colours given back."""
        if upsample:
            latents = self.upsampler(latents, generator)
        images = []
        for k in range(len(latents)):
            image = self.decode(latents[k : k + 1])
            images.append((image if reference.lost is None else reference.lost.restored(image))[0])
            if on_view is not None:
                on_view(k, images[-1])
        return torch.stack(images)

    def _noise(self, shape: tuple[int, ...], generator: Generator) -> Tensor:
        return torch.randn(shape, generator=generator, device=generator.device).to(self.device, self.dtype)


COMPONENTS = ("unet", "vae", "image_encoder", "resampler")


@dataclass(frozen=True)
class Conditions:
    """Where views look from.

    Attributes:
        normals: latents of the normal maps, [1, V, 4, h, w], or None.
        cameras: camera-to-world poses, [1, V, 4, 4], or None.
        views: V.
    """

    normals: Tensor | None
    cameras: Tensor | None
    views: int


def as_images(pixels: Float[Tensor, "N 3 S S"]) -> Float[Tensor, "N S S 3"]:
    """What an autoencoder gives, about [-1, 1], as images about [0, 1]."""
    return (pixels.float() / 2 + 0.5).permute(0, 2, 3, 1)
