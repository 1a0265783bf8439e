"""A picture of work under way, for those who wait for it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.fit.trainer import SceneTrainer
from unseen.io.images import write_image
from unseen.render.scene import render_gaussians

PREVIEW = "preview.jpg"
"""Its name below a job's folder."""
SIDE = 480
"""Its longer side at most, pixels."""
EVERY_S, SHARE = 5.0, 0.02
"""Seconds between two, and of the time that they may cost at most."""


class Trained(Protocol):
    """A fit that goes on in steps."""

    @property
    def done(self) -> bool:
        """Whether all of them are taken."""


T = TypeVar("T", bound=Trained)


class Preview(Generic[T]):
    """Renews OUT/preview.jpg while a fit goes on, and once more at its end; a watcher of the fit's loop.

    Args:
        out: the job's folder.
        picture: shows the fit as it is, [H, W, 3], and leaves it as it is.
    """

    def __init__(self, out: Path, picture: Callable[[T], Float[Tensor, "H W 3"]]) -> None:
        self.out, self.picture = out, picture
        self._due = time.monotonic() + EVERY_S

    def __call__(self, trainer: T, _: float) -> None:
        began = time.monotonic()
        if began < self._due and not trainer.done:
            return
        write_image(self.out / PREVIEW, self.picture(trainer))
        now = time.monotonic()
        self._due = now + max(EVERY_S, (now - began) / SHARE)


def small(camera: Camera) -> Camera:
    """A camera whose pictures do for a preview."""
    factor = min(1.0, SIDE / max(camera.width, camera.height))
    return camera.resized(max(1, round(camera.width * factor)), max(1, round(camera.height * factor)))


def scene_picture(trainer: SceneTrainer) -> Float[Tensor, "H W 3"]:
    """A scene from where its first photo was taken, on black."""
    return render_gaussians(trainer.gaussians(), small(trainer.pictures[trainer.fitted[0]].camera), 0.0)


def views_picture(images: Float[Tensor, "N H W 3"]) -> Float[Tensor, "H W 3"]:
    """The first, the middle and the last of some views, side by side."""
    return torch.cat([images[i] for i in sorted({0, len(images) // 2, len(images) - 1})], 1)
