"""World models by name, opened when they are needed in the way that fits the memory, and kept for the next request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from unseen.jobs.progress import Reporter
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.pipeline import WorldPipeline, config_of, is_published
from unseen.priors.world.plan import Text, Weights, WorldPlan, open_planned, plan_world, running


@dataclass(frozen=True)
class Overrides:
    """What of the plan is given instead of chosen by the memory at hand; see `plan_world`."""

    dtype: str | None = None
    weights: Weights | None = None
    offload: bool | None = None
    text: Text | None = None
    queries: int | None = None
    batch: int | None = None


class Models:
    """Keeps one model open.

    Args:
        device: where models compute.
        overrides: of their plans.
    """

    def __init__(self, device: torch.device, overrides: Overrides | None = None) -> None:
        self.device, self.overrides = device, overrides or Overrides()
        self._key: tuple[Any, ...] | None = None
        self._open: tuple[WorldPipeline, WorldPlan] | None = None

    def config(self, name: str) -> WorldConfig:
        """A model's configuration, without its weights: a mistake in a request does not wait for them.

        Raises:
            InputError: no such model.
            FormatError: its description is damaged.
        """
        return WorldConfig.named("flashworld") if is_published(name) else config_of(name)

    @contextmanager
    def running(self, name: str, views: int, size: tuple[int, int], reporter: Reporter) -> Iterator[WorldPipeline]:
        """The model, ready within the block to make so many views of that width and height at a time. How it runs is
        planned, and noted, where it is not open for such already.

        Raises:
            InputError: no such model, or an override that cannot be.
            FormatError: damaged weights.
            ResourceError: too little memory.
        """
        key, opened = (name, views, size), self._open
        if opened is None or self._key != key:
            opened = self._open = None  # two do not fit in memory
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            plan = plan_world(self.config(name), views, (size[1], size[0]), self.device, **vars(self.overrides))
            for line in plan.lines():
                reporter.note(line)
            opened = open_planned(name, plan), plan
            self._key, self._open = key, opened
        with running(*opened) as model:
            yield model
