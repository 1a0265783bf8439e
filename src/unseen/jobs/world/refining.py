"""A short fit of a made world to the views it was made from: what windows and merging spoilt is brought back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from unseen.core.gaussians import Gaussians
from unseen.fit.config import FitConfig
from unseen.fit.loop import run_loop
from unseen.fit.metrics import psnr
from unseen.fit.splats import SplatOptimizer
from unseen.fit.targets import over
from unseen.fit.trainer import SceneTrainer, extent_of
from unseen.io.photos import HeldPictures
from unseen.io.photoset import Picture
from unseen.jobs.progress import Reporter
from unseen.priors.world.cameras import WorldCameras, normalized
from unseen.render.scene import view_gaussians


class FixedNumber:
    """A strategy that neither adds nor removes splats."""

    def needs_statistics(self, step: int) -> bool:
        """Never."""
        return False

    def after_step(self, splats: SplatOptimizer, step: int, rate: float, generator: torch.Generator) -> None:
        """Nothing."""


def refined(
    gaussians: Gaussians, views: Sequence[Picture], held: Sequence[Picture], steps: int, seed: int, reporter: Reporter
) -> tuple[Gaussians, dict[str, Any]]:
    """Fit the Gaussians to `views`, their number unchanged, and judge by views in between that the fit does not see.

    Args:
        gaussians: in the caller's frame, on the CPU.
        views: along the path, with their cameras in the caller's frame.
        held: views in between.
        steps: of the fit, one view each.
        seed: of the order of views.
        reporter: told of progress.

    Returns:
        the Gaussians, those given where the fit made one of the two worse; `psnr_db` before and after, of `views` and
        `between`, and whether the fit was `kept`.
    """
    frame = normalized(WorldCameras.of([view.camera for view in views]).values)[1]
    moved = [_normalised(pictures, frame) for pictures in (views, held)]
    start = frame.gaussians_to_network(gaussians)
    degree = start.sh_degree
    config = FitConfig(steps=steps, max_splats=len(start), sh_degree=degree, sh_start=degree, coarse=0.0)
    extent = extent_of([picture.camera for picture in moved[0]])
    trainer = SceneTrainer(
        HeldPictures(moved[0]), range(len(views)), start, config, extent, seed, torch.device("cpu"),
        strategy=FixedNumber(),
    )  # fmt: skip
    watch = [lambda t, _: reporter.stage("refining", t.iteration, steps)]
    run_loop(trainer, None, steps, False, watch)
    after = trainer.gaussians()
    report: dict[str, Any] = {
        name: {"before": _mean_psnr(start, pictures), "after": _mean_psnr(after, pictures)}
        for name, pictures in zip(("views", "between"), moved, strict=True)
    }
    kept = all(value["before"] is None or value["after"] >= value["before"] for value in report.values())
    return frame.to_caller(after) if kept else gaussians, {"steps": steps, "kept": kept, "psnr_db": report}


def _normalised(pictures: Sequence[Picture], frame: Any) -> list[Picture]:
    """Pictures with their cameras in the networks' frame."""
    if not pictures:
        return []
    width, height = pictures[0].camera.width, pictures[0].camera.height
    values = frame.to_network(WorldCameras.of([picture.camera for picture in pictures]).values)
    cameras = WorldCameras(values).cameras(width, height)
    return [replace(picture, camera=camera) for picture, camera in zip(pictures, cameras, strict=True)]


def _mean_psnr(gaussians: Gaussians, pictures: Sequence[Picture]) -> float | None:
    """Mean PSNR on white; None without pictures."""
    white = torch.ones(3)
    values: list[Tensor] = []
    for picture in pictures:
        values.append(psnr(view_gaussians(gaussians, picture.camera).image, over(picture.image, picture.alpha, white)))
    return float(torch.stack(values).mean()) if values else None
