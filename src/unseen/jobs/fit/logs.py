"""Curves of a fit for TensorBoard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from unseen.fit.trainer import SceneTrainer
from unseen.jobs.progress import Reporter

Watch = Callable[[SceneTrainer, float], None]
EVERY = 50
"""Steps between entries; the loss is their mean."""


class TensorBoardLog:
    """Writes loss and number of splats; a watcher of the fit's loop."""

    def __init__(self, writer: Any) -> None:
        self.writer, self.sum, self.count = writer, 0.0, 0

    @classmethod
    def open(cls, folder: Path, reporter: Reporter) -> TensorBoardLog | None:
        """A log in `folder`, or None with a note where tensorboard is not installed."""
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            reporter.note("no TensorBoard curves: pip install tensorboard to have them")
            return None
        return cls(SummaryWriter(str(folder)))

    def __call__(self, trainer: SceneTrainer, loss: float) -> None:
        """Note a step."""
        self.sum, self.count = self.sum + loss, self.count + 1
        if trainer.iteration % EVERY == 0 or trainer.done:
            self.writer.add_scalar("loss", self.sum / self.count, trainer.iteration)
            self.writer.add_scalar("splats", len(trainer.splats), trainer.iteration)
            self.sum, self.count = 0.0, 0

    def close(self) -> None:
        """Flush."""
        self.writer.close()
