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
        share: of the photos, in a row, beyond which only outside looks.
        start: where the row starts, as a share of where it may start.
        views: at most so many renders at a time, evenly spread; 0: all.
    """

    name: str
    strategy: Strategy
    fit: FitConfig
    iterations: tuple[int, ...] = ()
    every: int = 10
    share: float = 1.0
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
        length = min(photos, max(2, round(self.share * photos)))
        first = round(self.start * (photos - length))
        row = list(range(first, first + length))
        if self.strategy == "sparse":
            return row[:: self.every], [i for k, i in enumerate(row) if k % self.every]
        if self.strategy == "outside":
            reach = max(1, round(BEYOND * length))
            return row, [*range(max(0, first - reach), first), *range(first + length, min(photos, row[-1] + 1 + reach))]
        return [i for k, i in enumerate(row) if k % HELD_OUT_EVERY != HELD_OUT_EVERY // 2], row


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
            elif strategy == "outside":
                found.append(Shortage(strategy, strategy, self.fit, share=0.3, start=0.5, views=self.views))
            else:
                found.append(Shortage(strategy, strategy, self.fit, self.at, views=self.views))
        return tuple(found)


SMALL_FIT = FitConfig(max_splats=12_000, far_splats=500, init_random=4000, sh_degree=1, checkpoint_every=10_000)


@dataclass(frozen=True)
class SmallPlan(Plan):
    """For the small fixer: many short fits of small photos, every scene in its own measure.

    Half of the renders are of fits to few photos or from beyond them, the others go from the first steps of a fit to
    its end, where next to nothing is left to repair.
    """

    max_side: int = 192
    references: int = 3
    size: tuple[int, int] = (192, 144)
    photos: int = 40
    detail: float = 0.3
    views: int = 10

    def shortages(self, seed: int) -> tuple[Shortage, ...]:
        """Drawn from a scene's seed; the numbers of photos in their names are of forty."""
        rng = np.random.default_rng([seed, 0xC0DE])

        def between(low: float, high: float) -> int:
            return round(float(np.exp(rng.uniform(np.log(low), np.log(high)))))

        def fit(low: int, high: int, splats: int = SMALL_FIT.max_splats) -> FitConfig:
            return replace(SMALL_FIT, steps=between(low, high), max_splats=splats)

        found = [
            Shortage(f"sparse-{every}", "sparse", fit(low, high), every=every, views=self.views)
            for every, low, high in ((14, 300, 900), (8, 400, 1000), (5, 500, 1200), (2, 700, 1500))
        ]
        start = float(rng.uniform())
        found.append(Shortage("outside", "outside", fit(400, 900), share=0.3, start=start, views=self.views))
        found.append(Shortage("coarse", "coarse", fit(250, 600, between(800, 2500)), views=self.views))
        early = tuple(between(0.7 * step, 1.4 * step) for step in (40, 120, 350))
        share, long = float(rng.uniform(0.12, 0.3)), fit(1200, 1600)
        found.append(Shortage("underfitting", "underfitting", long, early, share=share, start=start, views=self.views))
        return tuple(found)


def _spread(numbers: Sequence[int], count: int) -> list[int]:
    """So many of the numbers, evenly spread; all for 0."""
    if not count or count >= len(numbers):
        return list(numbers)
    return [numbers[int((k + 0.5) * len(numbers) / count)] for k in range(count)]
