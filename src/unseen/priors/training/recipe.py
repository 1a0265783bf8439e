"""What the recipes of all priors share: their samples' files, the runs of their stages, what they leave."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import Generator, Tensor, nn

import unseen
from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.io.arrays import array_files
from unseen.io.atomic import make_folder, write_json
from unseen.priors.training.run import Progress, TrainLog, Watch, run_stage
from unseen.priors.training.stage import Stage, StagePlan


class Plan(Protocol):
    """All settings of a training, a dataclass."""

    @property
    def weights(self) -> str:
        """Precision the result is kept in, a name of torch's."""


class Model(Protocol):
    """What a recipe trains."""

    def save_pretrained(self, folder: Path, dtype: torch.dtype) -> None:
        """Leave it as a folder."""


P = TypeVar("P", bound=Plan)


@dataclass(frozen=True)
class Training(Generic[P]):
    """One training.

    Attributes:
        out: folder of checkpoints, log and the model.
        plan: settings.
        samples: folder of what to learn from, an .npz each; invented ones that it lacks are made, unless `given`.
        given: train on the samples found there and make none.
        start: what to start from, None for random weights.
        seed: of everything random.
        device: where to compute.
        workers: processes that make samples.
    """

    out: Path
    plan: P
    samples: Path
    given: bool = False
    start: Path | None = None
    seed: int = 0
    device: str = "cpu"
    workers: int = 2


class Recipe:
    """Runs a training's stages, going on from whatever its folder holds of the same training.

    Args:
        training: what to do.
        ranks: the processes that share batches.
        progress: told of every step.

    Raises:
        ResourceError: the machine refuses a write.
    """

    def __init__(self, training: Training[Any], ranks: Ranks, progress: Progress) -> None:
        self.training, self.ranks, self.progress = training, ranks, progress
        self.device = torch.device(training.device)
        self.log = TrainLog(make_folder(training.out) / "log.json", ranks)

    def stage(
        self, name: str, modules: Mapping[str, nn.Module], loss: Callable[[int, Generator], Tensor], plan: StagePlan,
        watchers: Sequence[Watch] = (),
    ) -> None:  # fmt: skip
        """Run a stage; one of 0 steps is left out.

        Raises:
            InputError: the checkpoints are of another training.
        """
        if plan.steps:
            stage = Stage(name, modules, loss, plan, self.training.seed, self.device, self.ranks)
            run_stage(stage, self.training.out / "checkpoints", self.log, self.progress, watchers)

    def leave(self, model: Model, samples: int) -> None:
        """Write out/model, with the recipe and the log beside the weights."""
        training, folder = self.training, self.training.out / "model"
        self.log.close()
        if self.ranks.first:
            model.save_pretrained(folder, getattr(torch, training.plan.weights))
            recipe = {"unseen": unseen.__version__, "seed": training.seed, "samples": samples}
            recipe["plan"] = asdict(training.plan)  # type: ignore[call-overload]
            before = None if training.start is None else training.start / "recipe.json"
            if before is not None and before.is_file():
                recipe["started_from"] = json.loads(before.read_text())
            write_json(folder / "recipe.json", recipe)
            write_json(folder / "log.json", self.log.entries)
        self.ranks.wait()


def given_samples(folder: Path, what: str) -> list[Path]:
    """The samples a folder holds.

    Raises:
        InputError: none.
    """
    paths = array_files(folder)
    if not paths:
        raise InputError(f"no {what} (*.npz) in {folder}")
    return paths


def invented_seeds(count: int, held_out_from: int, what: str) -> range:
    """Seeds of invented samples to train on.

    Raises:
        InputError: more than are not kept for judging.
    """
    if count > held_out_from:
        raise InputError(f"{count} {what} asked for, expected at most {held_out_from}: the others judge")
    return range(count)
