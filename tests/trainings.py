"""What tests of all recipes do: compare models, and interrupt a training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from unseen.priors.training.stage import Stage


def state_of(model) -> dict[str, torch.Tensor]:
    """All weights of a pipeline by name."""
    return {f"{name}.{k}": v for name, module in model.modules().items() for k, v in module.state_dict().items()}


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def interrupted(monkeypatch, train: Callable[[], object], out: Path, at: int, without: tuple[str, ...] = ()) -> None:
    """Run a training that is killed at its step number `at`, and again until it ends; it leaves a checkpoint after
    every step, but for the stages named in `without`, which others keep."""
    step, count = Stage.step, 0

    def killed(self):
        nonlocal count
        count += 1
        if count == at:
            raise KeyboardInterrupt
        loss = step(self)
        if self.name not in without:
            self.save(out / "checkpoints" / f"{self.name}.safetensors")
        return loss

    monkeypatch.setattr(Stage, "step", killed)
    (out / "checkpoints").mkdir(parents=True)
    with pytest.raises(KeyboardInterrupt):
        train()
    monkeypatch.setattr(Stage, "step", step)
    train()
