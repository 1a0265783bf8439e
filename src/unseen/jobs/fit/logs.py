"""Curves of a fit for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from unseen.fit.trainer import SceneTrainer
from unseen.io.curves import Curves
from unseen.jobs.progress import Reporter

Watch = Callable[[SceneTrainer, float], None]
EVERY = 50
"""Steps between entries; the loss is their mean."""


class TensorBoardLog:
    """Writes loss and number of splats; a watcher of the fit's loop."""

    def __init__(self, curves: Curves) -> None:
        self.curves, self.sum, self.count = curves, 0.0, 0

    @classmethod
    def open(cls, folder: Path, reporter: Reporter) -> TensorBoardLog | None:
        """A log in `folder`, or None with a note where tensorboard is not installed."""
        curves = Curves(folder)
        if not curves.kept:
            reporter.note("no TensorBoard curves: pip install tensorboard to have them")
            return None
        return cls(curves)

    def __call__(self, trainer: SceneTrainer, loss: float) -> None:
        """Note a step."""
        self.sum, self.count = self.sum + loss, self.count + 1
        if trainer.iteration % EVERY == 0 or trainer.done:
            self.curves.scalar("loss", self.sum / self.count, trainer.iteration)
            self.curves.scalar("splats", len(trainer.splats), trainer.iteration)
            self.sum, self.count = 0.0, 0

    def close(self) -> None:
        """Flush."""
        self.curves.close()
