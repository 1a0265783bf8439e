"""Difix, put together: renders and photos in, repaired renders out, in one step of diffusion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unseen.io.atomic import PathLike
from unseen.priors.fixer.difix.config import DifixConfig
from unseen.priors.fixer.difix.unet import mixing_unet
from unseen.priors.fixer.difix.vae import SkipVAE
from unseen.priors.fixer.fixing import Fixed, agreement, check_views
from unseen.priors.fixer.tiling import Tiling, fit_in
from unseen.priors.multiview.ddim import Schedule
from unseen.priors.pipeline import Pipeline

WITHOUT_REFERENCES = "difix"
"""Last part of the name of the published model that was trained without photos; `difix_ref` was with them."""


class Difix(Pipeline):
    """A fixer. The render is taken for a picture with a little noise: its latents, to which none is added, are denoised
    in one step, with what the references show (Difix3D+, section 4).

    Args:
        config: what it is made of.
        unet: of `mixing_unet`.
        vae: the autoencoder.
        prompt: states of the text, [1, T, D].

    Attributes:
        device: where it computes; its inputs are brought there.
        batch: tiles worked on at once.
    """

    def __init__(self, config: DifixConfig, unet: Any, vae: SkipVAE, prompt: Float[Tensor, "1 T D"]) -> None:
        from diffusers import DDIMScheduler

        self.config, self.unet, self.vae, self.prompt = config, unet, vae, prompt
        self.schedule = Schedule.of(DDIMScheduler(**config.scheduler))
        self.batch = 4

    @classmethod
    def random(cls, config: DifixConfig) -> Difix:
        """With random weights: to measure speed, and for tests."""
        prompt = torch.randn(1, config.tokens, config.unet["cross_attention_dim"])
        model = cls(config, mixing_unet(config.unet), SkipVAE(config.vae), prompt)
        for module in model.modules().values():
            module.requires_grad_(False).eval()
        return model

    @classmethod
    def from_pretrained(
        cls, name: PathLike, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, *,
        base: PathLike | None = None, references: bool | None = None,
    ) -> Difix:  # fmt: skip
        """Load `nvidia/difix`, `nvidia/difix_ref`, a folder with what those have, or a .pkl that Difix's own training
        wrote.

        Args:
            name: of the repository, folder or file.
            device, dtype: where and in what it computes; what lower precision would harm stays in float32.
            base: SD-Turbo, which a .pkl goes without: a folder or a repository; SD-Turbo's own when None.
            references: whether photos are looked at; when None, unless the model is named `difix`, which has not
                learned to.

        Raises:
            InputError: no such model, or a part of it is missing.
            KeyMismatchError: weights that are missing, unused or of another shape, named.
            FormatError: a damaged file, or one that holds more than tensors and plain values.
            ResourceError: it is not on this machine and cannot be fetched.
        """
        from unseen.priors.fixer.difix.published import open_difix

        config, unet, vae, prompt = open_difix(name, base)
        looks = Path(str(name)).name.partition("@")[0] != WITHOUT_REFERENCES if references is None else references
        model = cls(replace(config, references=looks), unet, vae, prompt)
        return model.to(device, None if dtype == torch.float32 else dtype)

    def modules(self) -> dict[str, nn.Module]:
        """The networks by the names of their folders."""
        return {"unet": self.unet, "vae": self.vae}

    # ---- repairing

    @torch.no_grad()
    def fix(
        self, renders: Float[Tensor, "V H W 3"], references: Sequence[Float[Tensor, "R H W 3"]], *, seed: int = 0
    ) -> Fixed:
        """Repair renders (see `Fixer.fix`). Nothing is random: `seed` changes nothing.

        Raises:
            ShapeError: renders or references that do not fit each other.
            NonFiniteError: NaN or infinity in them.
        """
        check_views(renders, references)
        images = torch.empty_like(renders, dtype=torch.float32)
        for v, render in enumerate(renders):
            photos = references[v].to(render) if self.config.references else render.new_empty(0, *render.shape)
            views = torch.cat([render[None], photos]).to(self.device, torch.float32)
            images[v] = self._fixed(views.movedim(-1, 1) * 2 - 1).movedim(0, -1).to(images)
        return Fixed(images, agreement(images, renders.to(images)))

    def _fixed(self, views: Float[Tensor, "W 3 H W"]) -> Float[Tensor, "3 H W"]:
        """The first view repaired, in [0, 1], from views in [-1, 1]."""
        planes, fitting = fit_in(views, self.config.multiple, self.config.multiple)
        size = planes.shape[2:]
        if max(size) <= self.config.largest:
            made = self.step(planes[None])
        else:
            side = min(self.config.largest, *size)
            tiling = Tiling(side, min(self.config.overlap, side // 2))
            tiles = tiling.cut(planes).unflatten(0, (len(planes), -1)).transpose(0, 1)
            made = tiling.join(torch.cat([self.step(some) for some in tiles.split(self.batch)]), *size)
        return (fitting.undo(made)[0] / 2 + 0.5).clamp(0, 1)

    def step(self, views: Float[Tensor, "B W 3 H W"]) -> Float[Tensor, "B 3 H W"]:
        """First views repaired, about [-1, 1], of groups of views that see each other.

        Args:
            views: in [-1, 1], sides divisible by `config.multiple`.
        """
        samples, count = views.shape[:2]
        latents, entered = self.vae.encode(views.flatten(0, 1).to(self.vae.dtype))
        clean = self.clean(latents.float(), count).unflatten(0, (samples, count))[:, 0]
        kept = [features.unflatten(0, (samples, count))[:, 0] for features in entered]
        return self.vae.decode(clean.to(self.vae.dtype), kept).float()

    def clean(self, latents: Float[Tensor, "BW 4 h w"], views: int) -> Float[Tensor, "BW 4 h w"]:
        """What the U-Net takes latents to be without their noise, `views` rows after each other seeing each other."""
        prompt = self.prompt.to(self.device, self.unet.dtype).expand(len(latents), -1, -1)
        predicted = self.unet(
            latents.to(self.unet.dtype),
            self.config.timestep,
            prompt,
            cross_attention_kwargs={"num_frames": views},
            return_dict=False,
        )[0]
        return self.schedule.clean_and_noise(latents, predicted.float(), self.config.timestep)[0]
