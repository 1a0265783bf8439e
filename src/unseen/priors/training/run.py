"""The runs of a recipe's stages: checkpoints found and left, losses noted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from unseen.fit.distributed import Ranks
from unseen.fit.loop import run_loop
from unseen.io.atomic import make_folder, write_json
from unseen.io.curves import Curves
from unseen.priors.training.stage import Stage

Progress = Callable[[str, int, int], None]
"""Told the name of what is done, how much of it is, and of how much."""
Watch = Callable[[Stage, float], None]
"""Called after every step with the stage and its loss."""


class TrainLog:
    """Mean losses, seconds, and what else is measured, kept from run to run; for TensorBoard too, in curves/ beside it.

    Args:
        path: of the log.
        ranks: only the first of them writes.
    """

    EVERY = 25

    def __init__(self, path: Path, ranks: Ranks) -> None:
        self.path, self.ranks = path, ranks
        self.entries: list[dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else []
        self._losses: list[float] = []
        self._since = time.perf_counter()
        self.curves = Curves(path.with_name("curves")) if ranks.first else None

    def note(self, stage: Stage, loss: float) -> None:
        """Remember a step."""
        self._losses.append(loss)
        if stage.iteration % self.EVERY == 0 or stage.done:
            now = time.perf_counter()
            entry = {"stage": stage.name, "step": stage.iteration, "loss": sum(self._losses) / len(self._losses)}
            entry["seconds"] = round(now - self._since, 2)
            self._losses, self._since = [], now
            self._add(stage, entry)

    def measured(self, stage: Stage, **values: float) -> None:
        """Remember what was found of a stage besides its loss."""
        self._add(stage, {"stage": stage.name, "step": stage.iteration, **values})

    def _add(self, stage: Stage, entry: dict[str, Any]) -> None:
        self.entries.append(entry)
        if self.curves is not None:
            write_json(self.path, self.entries)
            for name in entry.keys() - {"stage", "step", "seconds"}:
                self.curves.scalar(f"{stage.name}/{name}", entry[name], stage.iteration)

    def close(self) -> None:
        """Nothing more follows: curves are written out."""
        if self.curves is not None:
            self.curves.close()

    def resume(self, stage: Stage) -> None:
        """Forget what an earlier run noted of a stage after the step it goes on from."""
        self.entries = [e for e in self.entries if e["stage"] != stage.name or e["step"] <= stage.iteration]
        self._since = time.perf_counter()


def run_stage(
    stage: Stage, folder: Path, log: TrainLog, progress: Progress, watchers: Sequence[Watch] = ()
) -> None:  # fmt: skip
    """Run what is left of a stage, going on from its checkpoint in `folder`; its modules end with averaged weights."""
    checkpoint = make_folder(folder) / f"{stage.name}.safetensors"
    if checkpoint.is_file():
        stage.load(checkpoint)
    log.resume(stage)
    told: list[Watch] = [log.note, lambda s, _: progress(s.name, s.iteration, s.plan.steps)]
    run_loop(stage, checkpoint, 250, False, [*told, *watchers])
    stage.finish()
