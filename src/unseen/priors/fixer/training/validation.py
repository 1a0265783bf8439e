"""What a fixer in training makes of held-out triplets, the way it will be used: tokens decoded one scale after
another, through the bridge."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.fit.metrics import psnr
from unseen.io.atomic import make_folder
from unseen.io.images import write_image
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.fixer.training.triplets import TripletBatch, Triplets
from unseen.priors.training.run import TrainLog
from unseen.priors.training.stage import Stage

EVERY = 250
COUNT, SHOWN = 16, 6
"""Triplets that are judged, and those of them that are drawn."""


class Validation:
    """Notes PSNR of the renders and of what the fixer makes of them; a watcher of the stages.

    Leaves a picture per look in `folder`, a column per triplet: render, reference, repaired, truth.

    Args:
        model: with its averaged weights while it is looked at.
        triplets: held-out ones, of the model's size.
        folder: of the pictures.
        log: of the numbers.
    """

    def __init__(self, model: FixerPipeline, triplets: Triplets, folder: Path, log: TrainLog) -> None:
        self.model, self.folder, self.log = model, folder, log
        step = max(1, len(triplets) // COUNT)
        self.batch = triplets.middle(list(range(0, len(triplets), step))[:COUNT])

    def __call__(self, stage: Stage, loss: float) -> None:
        """Look, every so many steps and at the end."""
        if stage.ranks.first and (stage.iteration % EVERY == 0 or stage.done):
            with stage.averaged():
                fixed = self.fixed()
            values = {"psnr_render": mean_psnr(self.batch.renders, self.batch.truths)}
            self.log.measured(stage, **values, psnr=mean_psnr(fixed, self.batch.truths))
            strip = drawn(self.batch, fixed)
            write_image(make_folder(self.folder) / f"{stage.name}-{stage.iteration:06d}.png", strip)
            if self.log.curves is not None:
                self.log.curves.image(stage.name, strip, stage.iteration)

    def fixed(self) -> Float[Tensor, "N S S 3"]:
        """The renders as the model repairs them now."""
        references = [photos[there] for photos, there in zip(self.batch.references, self.batch.known, strict=True)]
        return self.model.fix(self.batch.renders, references).images


def mean_psnr(images: Float[Tensor, "N S S 3"], truths: Float[Tensor, "N S S 3"]) -> float:
    """dB, the mean over pictures."""
    return sum(float(psnr(image, truth)) for image, truth in zip(images, truths, strict=True)) / len(images)


def drawn(batch: TripletBatch, fixed: Float[Tensor, "N S S 3"]) -> Float[Tensor, "H W 3"]:
    """Render, first reference if there is one, repaired and truth, below each other."""
    columns = [batch.renders, *batch.references.unbind(1)[:1], fixed, batch.truths]
    return torch.cat([torch.cat(list(images[:SHOWN]), 1) for images in columns])
