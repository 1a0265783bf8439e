"""Batches of filmed worlds: the views a model is to make, others to judge its Gaussians by, pictures and captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from unseen.priors.world.cameras import WorldCameras, normalized, ray_map
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.sampling import Conditions
from unseen.priors.world.text import TextEncoder
from unseen.priors.world.vae import ImageCodec
from unseen.synthetic.worlds import WorldShots

PICTURED, SPOKEN = 0.7, 0.7
"""Shares of the samples that come with a picture, and of those that come with a caption besides; without a picture a
caption is always there."""


@dataclass(frozen=True)
class Pick:
    """What is asked of one world.

    Attributes:
        world: its number.
        views: numbers of the views to make, in the path's order or against it, [N].
        others: of views to judge by, [M].
        picture: which of `views` is shown, None when none is.
        prompt: in words, may be empty when a picture is shown.
    """

    world: int
    views: Int[Tensor, "N"]
    others: Int[Tensor, "M"]
    picture: int | None
    prompt: str


@dataclass(frozen=True)
class Truth:
    """Views of one world, in the frame of the first view made.

    Attributes:
        cameras: of the views to make, then of the others, [N + M, 11].
        images: in [0, 1], [N + M, H, W, 3].
        distances: from the camera, in the network's units, of every second pixel of the views to make, [N, H/2, W/2].
    """

    cameras: Float[Tensor, "V 11"]
    images: Float[Tensor, "V H W 3"]
    distances: Float[Tensor, "N h w"]


class FilmedWorlds:
    """Worlds in memory.

    Args:
        paths: of `WorldShots`.
        config: of the model.
        device: where batches are put.
    """

    def __init__(self, paths: Sequence[Path], config: WorldConfig, device: torch.device | str = "cpu") -> None:
        self.shots = [WorldShots.load(path) for path in paths]
        self.config, self.device = config, torch.device(device)
        self.cameras = [WorldCameras.of(s.cameras).values for s in self.shots]
        self.latents: Tensor | None = None

    def encode(self, codec: ImageCodec, at_once: int = 4) -> None:
        """Keep the latents of all views, float16: what the codec makes of them does not change any more."""
        with torch.no_grad(), torch.autocast(self.device.type, torch.bfloat16):
            parts = []
            for k in range(0, len(self.shots), at_once):
                images = np.concatenate([s.images for s in self.shots[k : k + at_once]])
                parts.append(codec.encode(self._images(images)).half().cpu())
        self.latents = torch.cat(parts).unflatten(0, (len(self.shots), -1))

    def singles(self, count: int, generator: Generator) -> Float[Tensor, "N H W 3"]:
        """Views of any worlds, half of them mirrored."""
        worlds = torch.randint(len(self.shots), (count,), generator=generator).tolist()
        views = [int(torch.randint(len(self.shots[w].images), (1,), generator=generator)) for w in worlds]
        images = self._images(np.stack([self.shots[w].images[v] for w, v in zip(worlds, views, strict=True)]))
        mirrored = (torch.rand(count, generator=generator) < 0.5).to(self.device)
        return torch.where(mirrored[:, None, None, None], images.flip(2), images)

    def picks(self, count: int, others: int, generator: Generator, *, shown: float = PICTURED) -> list[Pick]:
        """So many worlds, each with `config.views` views spread over its path and `others` of the rest; a share
        `shown` of them with a picture."""

        def number(below: int) -> int:
            return int(torch.randint(below, (1,), generator=generator))

        found = []
        for _ in range(count):
            world = number(len(self.shots))
            shots = self.shots[world]
            stride = max(1, len(shots.images) // self.config.views)
            first = number(len(shots.images) - stride * (self.config.views - 1))
            views = first + stride * torch.arange(self.config.views)
            rest = [v for v in range(len(shots.images)) if v not in views.tolist()]
            chosen = torch.randperm(len(rest), generator=generator)[:others]
            views = views.flip(0) if number(2) else views
            pictured, spoken = (torch.rand(2, generator=generator) < torch.tensor([shown, SPOKEN])).tolist()
            prompt = shots.captions[number(len(shots.captions))] if spoken or not pictured else ""
            picture = number(self.config.views) if pictured else None
            found.append(Pick(world, views, torch.tensor(rest, dtype=torch.long)[chosen], picture, prompt))
        return found

    def conditions(self, picks: Sequence[Pick], text: TextEncoder) -> tuple[Conditions, Float[Tensor, "B C N h w"]]:
        """What the model is asked, and the clean latents it is to find; after `encode`."""
        assert self.latents is not None
        clean = torch.stack([self.latents[p.world][p.views].float() for p in picks]).to(self.device).transpose(1, 2)
        cameras = torch.stack([normalized(self.cameras[p.world][p.views])[0] for p in picks]).to(self.device)
        image = torch.zeros_like(clean)
        for k, pick in enumerate(picks):
            if pick.picture is not None:
                image[k, :, pick.picture] = clean[k, :, pick.picture]
        rays = ray_map(cameras, *clean.shape[-2:]).transpose(1, 2)
        return Conditions(cameras, rays, image, text.encode([p.prompt for p in picks])), clean

    def truth(self, pick: Pick) -> Truth:
        """The views of a pick as they are."""
        shots, chosen = self.shots[pick.world], torch.cat([pick.views, pick.others])
        frame = normalized(self.cameras[pick.world][pick.views])[1]
        cameras = frame.to_network(self.cameras[pick.world][chosen])
        depths = torch.from_numpy(shots.depths[pick.views.numpy()][:, ::2, ::2].astype(np.float32))
        distances = depths * _slant(shots.K, *depths.shape[1:]) / float(frame.scale)
        images = self._images(shots.images[chosen.numpy()])
        return Truth(cameras.to(self.device), images, distances.to(self.device))

    def _images(self, images: np.ndarray) -> Tensor:
        return torch.from_numpy(images).to(self.device).float() / 255


def _slant(k: np.ndarray, height: int, width: int) -> Float[Tensor, "h w"]:
    """Distance per depth along the axis, for every second pixel."""
    y, x = (2 * torch.arange(n) + 0.5 for n in (height, width))
    u, v = (x - k[0, 2]) / k[0, 0], (y - k[1, 2]) / k[1, 1]
    return (u.square()[None] + v.square()[:, None] + 1).sqrt().float()
