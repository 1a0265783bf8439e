"""How fits are made poor, on purpose, in as many ways as renders turn out poor by themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from unseen.core.errors import InputError
from unseen.fit.config import FitConfig

Strategy = Literal["sparse", "outside", "underfitting", "coarse"]
STRATEGIES: tuple[Strategy, ...] = ("sparse", "outside", "underfitting", "coarse")
HELD_OUT_EVERY = 8
"""Of underfitting and coarse fits: every so-many-th photo is not fitted, but rendered like the others."""
OUTSIDE_SHARE = 0.3
"""Of the photos, in a row, that a fit sees whose renders look beyond them."""
BEYOND = 0.5
"""How far beyond, as a share of that row, on either side."""


@dataclass(frozen=True)
class Shortage:
    """One fit that is short of something.

    Attributes:
        name: unique in a plan, part of paths.
        strategy: sparse: every so-many-th photo is fitted, the others are rendered. outside: photos in a row are
            fitted, those before and after them are rendered. underfitting: renders early in the fit, of all photos.
            coarse: the same with too few splats.
        fit: settings; the last render is at its end.
        iterations: when else to render, in steps.
        every: sparse: of the photos that are fitted.
        start: outside: where the row starts, as a share of where it may start.
        views: at most so many renders at a time, evenly spread; 0: all.
    """

    name: str
    strategy: Strategy
    fit: FitConfig
    iterations: tuple[int, ...] = ()
    every: int = 10
    start: float = 0.0
    views: int = 0

    def __post_init__(self) -> None:
        if self.strategy not in STRATEGIES:
            raise InputError(f"there is no strategy {self.strategy!r}: expected some of {', '.join(STRATEGIES)}")
        if any(not 0 < step <= self.fit.steps for step in self.iterations):
            raise InputError(f"renders of {self.name} at steps {self.iterations}: expected 1 to {self.fit.steps}")
        if self.every < 2 or self.views < 0:
            raise InputError(
                f"every {self.every}-th photo kept, {self.views} views: expected at least 2, and 0 or more"
            )

    @property
    def stops(self) -> list[int]:
        """All steps after which views are rendered."""
        return sorted({*self.iterations, self.fit.steps})

    def split(self, photos: int) -> tuple[list[int], list[int]]:
        """Numbers of the photos that are fitted, and of those whose views are rendered.

        Raises:
            InputError: there are too few photos.
        """
        kept, shown = self._parts(photos)
        if len(kept) < 2 or not shown:
            raise InputError(f"{photos} photos are too few for {self.name}: it would fit {len(kept)} of them")
        return kept, _spread(shown, self.views)

    def _parts(self, photos: int) -> tuple[list[int], list[int]]:
        everything = list(range(photos))
        if self.strategy == "sparse":
            return everything[:: self.every], [i for i in everything if i % self.every]
        if self.strategy == "outside":
            length = max(2, round(OUTSIDE_SHARE * photos))
            first = round(self.start * (photos - length))
            reach = max(1, round(BEYOND * length))
            before, after = everything[max(0, first - reach) : first], everything[first + length :][:reach]
            return everything[first : first + length], before + after
        return [i for i in everything if i % HELD_OUT_EVERY != HELD_OUT_EVERY // 2], everything


@dataclass(frozen=True)
class Plan(ABC):
    """What is made of every scene.

    Attributes:
        max_side: photos are halved until no side is longer, pixels.
        references: kept per triplet, at most.
        size: of photos of invented scenes, width and height in pixels.
        photos: of an invented scene.
        detail: of an invented scene's surfaces.
    """

    max_side: int
    references: int
    size: tuple[int, int]
    photos: int
    detail: float

    @abstractmethod
    def shortages(self, seed: int) -> tuple[Shortage, ...]:
        """The fits of a scene."""


@dataclass(frozen=True)
class FullPlan(Plan):
    """As published: long fits of whole photos, every N-th photo kept, or early steps of a fit to all of them.

    Attributes:
        strategies: which.
        every: one sparse fit for each.
        at: early steps to render at.
        fit: settings.
        views: as `Shortage.views`.
    """

    max_side: int = 960
    references: int = 3
    size: tuple[int, int] = (960, 540)
    photos: int = 200
    detail: float = 2.0
    strategies: tuple[Strategy, ...] = ("sparse", "underfitting")
    every: tuple[int, ...] = (10,)
    at: tuple[int, ...] = (1000,)
    fit: FitConfig = field(default_factory=FitConfig)
    views: int = 0

    def shortages(self, seed: int) -> tuple[Shortage, ...]:
        """The same for every scene."""
        found: list[Shortage] = []
        for strategy in self.strategies:
            if strategy == "sparse":
                found += [Shortage(f"sparse-{n}", "sparse", self.fit, every=n, views=self.views) for n in self.every]
            elif strategy == "coarse":
                few = replace(self.fit, max_splats=self.fit.max_splats // 16, far_splats=self.fit.far_splats // 16)
                found.append(Shortage("coarse", "coarse", few, views=self.views))
            else:
                at = self.at if strategy == "underfitting" else ()
                found.append(Shortage(strategy, strategy, self.fit, at, start=0.5, views=self.views))
        return tuple(found)


SMALL_FIT = FitConfig(max_splats=6000, far_splats=500, init_random=2000, sh_degree=1, checkpoint_every=10_000)


@dataclass(frozen=True)
class SmallPlan(Plan):
    """For the small fixer: many short fits of small photos, every scene in its own measure.

    Half of the renders are of fits to few photos or beyond them, the others go from the first steps of a fit to its
    end, where there is next to nothing to repair.
    """

    max_side: int = 192
    references: int = 3
    size: tuple[int, int] = (192, 144)
    photos: int = 40
    detail: float = 0.3
    views: int = 8

    def shortages(self, seed: int) -> tuple[Shortage, ...]:
        """Drawn for a scene of so many photos, from the seed."""
        rng = np.random.default_rng([seed, 0xC0DE])

        def fit(low: int, high: int, splats: int = SMALL_FIT.max_splats) -> FitConfig:
            steps = round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))
            return replace(SMALL_FIT, steps=steps, max_splats=splats)

        found = [
            Shortage(f"sparse-{every}", "sparse", fit(*steps), every=every, views=self.views)
            for every, steps in ((14, (150, 400)), (8, (200, 500)), (5, (300, 700)))
        ]
        found.append(Shortage("outside", "outside", fit(200, 500), start=float(rng.uniform()), views=self.views))
        splats = round(float(np.exp(rng.uniform(np.log(500), np.log(1500)))))
        found.append(Shortage("coarse", "coarse", fit(200, 500, splats), views=self.views))
        early = tuple(round(float(step * rng.uniform(0.7, 1.4))) for step in (40, 120, 350))
        found.append(Shortage("underfitting", "underfitting", fit(1200, 1600), early, views=self.views))
        return tuple(found)


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """So many of the numbers, evenly spread; all for 0."""
    if not count or count >= len(numbers):
        return list(numbers)
    return [numbers[int((k + 0.5) * len(numbers) / count)] for k in range(count)]
