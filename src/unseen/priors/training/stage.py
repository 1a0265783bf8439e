"""One stage of a training: steps of AdamW on a loss, averaged weights, checkpoints that continue bit-exact."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor, nn

from unseen.core.errors import InputError
from unseen.fit.distributed import Ranks
from unseen.io.tensors import load_tensors, save_tensors

MOMENTS = ("step", "exp_avg", "exp_avg_sq")
RANKS = 64
"""No more processes than that share a batch."""
CHECKPOINT_KIND, CHECKPOINT_VERSION = "unseen-training-checkpoint", 1


def common(generator: Generator) -> Generator:
    """Of what a stage draws its batch with, one that all processes of the step have alike."""
    return Generator().manual_seed(generator.initial_seed() // RANKS)


@dataclass(frozen=True)
class StagePlan:
    """How a stage runs.

    Attributes:
        steps: optimiser steps.
        batch: samples per step, over all processes.
        rate: highest learning rate; it rises for `warmup` steps and falls along a cosine to a twentieth.
        warmup: steps.
        weight_decay: of AdamW.
        ema: share of the averaged weights kept per step; less at first.
        clip: largest norm of the gradient.
        bf16: compute in bfloat16 where torch does so safely (autocast).
    """

    steps: int
    batch: int
    rate: float
    warmup: int = 100
    weight_decay: float = 0.01
    ema: float = 0.999
    clip: float = 1.0
    bf16: bool = False

    def rate_at(self, step: int) -> float:
        """Learning rate of a step."""
        rise = min(1.0, (step + 1) / max(self.warmup, 1))
        return self.rate * rise * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


class Stage:
    """Trains some modules.

    Args:
        name: of the stage.
        modules: what to train, by name.
        loss: of a batch of so many samples drawn with a generator.
        plan: how.
        seed: of everything random.
        device: where to compute.
        ranks: the processes that share the batch.

    A loss may have a `companion`, a stage of its own that it steps itself; checkpoints hold it as well.
    """

    def __init__(
        self, name: str, modules: Mapping[str, nn.Module], loss: Callable[[int, Generator], Tensor], plan: StagePlan,
        seed: int, device: torch.device, ranks: Ranks | None = None,
    ) -> None:  # fmt: skip
        ranks = ranks or Ranks()
        if plan.batch % ranks.count:
            raise InputError(f"a batch of {plan.batch} cannot be shared by {ranks.count} processes: take a multiple")
        self.name, self.modules, self.loss, self.plan = name, dict(modules), loss, plan
        self.seed, self.device, self.ranks = seed, device, ranks
        self.weights: dict[str, nn.Parameter] = {
            f"{m}.{k}": p for m, module in self.modules.items() for k, p in module.named_parameters()
        }
        for module in self.modules.values():
            module.train().requires_grad_(True)
        self.optimizer = torch.optim.AdamW(
            self.weights.values(), lr=plan.rate, betas=(0.9, 0.99), weight_decay=plan.weight_decay, fused=True
        )
        self.average = {k: p.detach().clone() for k, p in self.weights.items()}
        self.iteration = 0
        self.companion: Stage | None = getattr(loss, "companion", None)
        if self.companion is not None:
            self.companion.ranks = ranks

    @property
    def done(self) -> bool:
        """Whether all steps have run."""
        return self.iteration >= self.plan.steps

    def step(self) -> float:
        """One step; returns the loss of this process's samples."""
        plan, ranks = self.plan, self.ranks
        generator = Generator().manual_seed((self.seed * 1_000_003 + self.iteration) * RANKS + ranks.rank)
        for group in self.optimizer.param_groups:
            group["lr"] = plan.rate_at(self.iteration)
        compute = torch.autocast(self.device.type, torch.bfloat16) if plan.bf16 else nullcontext()
        with compute:
            loss = self.loss(plan.batch // ranks.count, generator)
        (loss / ranks.count).backward()
        gradients = [p.grad for p in self.weights.values() if p.grad is not None]
        ranks.add_up(gradients)
        nn.utils.clip_grad_norm_(self.weights.values(), plan.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.iteration += 1
        keep = min(plan.ema, (1 + self.iteration) / (10 + self.iteration))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), list(self.weights.values()), 1 - keep)
        return loss.item()

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """The modules as `finish` would leave them, to look at on the way."""
        now = {name: p.detach().clone() for name, p in self.weights.items()}
        with torch.no_grad():
            for name, p in self.weights.items():
                p.copy_(self.average[name])
            for module in self.modules.values():
                module.eval()
            yield
            for name, p in self.weights.items():
                p.copy_(now[name])
        for module in self.modules.values():
            module.train()

    def finish(self) -> None:
        """Give the modules their averaged weights, for use."""
        with torch.no_grad():
            for name, p in self.weights.items():
                p.copy_(self.average[name])
        for module in self.modules.values():
            module.eval().requires_grad_(False)

    def save(self, path: Path) -> None:
        """Write a checkpoint atomically; only the first of several processes does.

        Raises:
            ResourceError: the machine refuses the write.
        """
        if self.ranks.first:
            at = {"at": self.iteration}
            tensors = self._tensors()
            if self.companion is not None:
                tensors |= {f"companion.{k}": t for k, t in self.companion._tensors().items()}
                at["companion_at"] = self.companion.iteration
            save_tensors(path, CHECKPOINT_KIND, CHECKPOINT_VERSION, tensors, self._identity() | at)
        self.ranks.wait()

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same stage.

        Raises:
            InputError: the checkpoint belongs to another training.
        """
        state, info = load_tensors(path, CHECKPOINT_KIND, CHECKPOINT_VERSION)
        if {k: info.get(k) for k in self._identity()} != self._identity():
            raise InputError(f"{path} belongs to another training (seed, plan or stage): remove it to start anew")
        self._restore(state, info["at"])
        if self.companion is not None:
            theirs = {k.removeprefix("companion."): t for k, t in state.items() if k.startswith("companion.")}
            self.companion._restore(theirs, info["companion_at"])

    def _tensors(self) -> dict[str, Tensor]:
        """All that goes on: weights, their averages, the optimiser's moments."""
        tensors: dict[str, Tensor] = {f"weight.{k}": p for k, p in self.weights.items()}
        tensors |= {f"average.{k}": p for k, p in self.average.items()}
        for k, p in self.weights.items():
            for part, value in self.optimizer.state[p].items():
                tensors[f"{part}.{k}"] = value
        return tensors

    def _restore(self, state: Mapping[str, Tensor], iteration: int) -> None:
        with torch.no_grad():
            for k, p in self.weights.items():
                p.copy_(state[f"weight.{k}"])
                self.average[k].copy_(state[f"average.{k}"])
                # what never had a gradient (keys of text, where there is none) has no state
                found = {part: state[f"{part}.{k}"] for part in MOMENTS if f"{part}.{k}" in state}
                if found:
                    self.optimizer.state[p] = {part: t.clone().to(p.device) for part, t in found.items()}
        self.iteration = iteration

    def _identity(self) -> dict[str, object]:
        return {"stage": self.name, "seed": self.seed, "plan": asdict(self.plan)}
