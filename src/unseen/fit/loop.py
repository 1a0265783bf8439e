"""The loop every fit runs in: step, tell, keep a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar


class Trainer(Protocol):
    """Something fitted step by step."""

    iteration: int

    @property
    def done(self) -> bool:
        """Whether all steps have run."""

    def step(self) -> float:
        """One step; returns the loss."""

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically."""

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same run."""


T = TypeVar("T", bound=Trainer)


def run_loop(
    trainer: T,
    checkpoint: Path | None,
    every: int,
    resume: bool,
    watchers: Sequence[Callable[[T, float], None]] = (),
) -> None:
    """Step until done.

    Args:
        trainer: what to step.
        checkpoint: file to keep, None for none.
        every: steps between checkpoints; the last step is always kept.
        resume: start from the checkpoint, if it is there.
        watchers: called after every step with the trainer and the loss.

    Raises:
        InputError: the checkpoint belongs to another run.
        ResourceError: the machine refuses to write it.
    """
    if resume and checkpoint is not None and checkpoint.is_file():
        trainer.load(checkpoint)
    while not trainer.done:
        loss = trainer.step()
        for watch in watchers:
            watch(trainer, loss)
        if checkpoint is not None and (trainer.iteration % every == 0 or trainer.done):
            trainer.save(checkpoint)
