"""Little worlds: what a seed holds, what a camera sees of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
from jaxtyping import Float

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.synthetic.worlds.captions import NOUNS, VISIBLE_SHARE, caption_landscape, caption_room
from unseen.synthetic.worlds.landscape import Scenery, plan_landscape
from unseen.synthetic.worlds.light import Light, lit_by
from unseen.synthetic.worlds.room import Plan, plan_room
from unseen.synthetic.worlds.shading import View, view
from unseen.synthetic.worlds.shapes import Table, depth_inside, tabled
from unseen.synthetic.worlds.terrain import height_at
from unseen.synthetic.worlds.things import Thing

Kind = Literal["room", "landscape"]
KINDS: tuple[Kind, ...] = ("room", "landscape")
WET = ("lake",)


@dataclass(frozen=True)
class LittleWorld:
    """A room or a landscape. Metres, y up; cameras stand toward +z and look toward -z.

    Attributes:
        kind: room or landscape.
        seed: that all of it came from.
        plan: its things and its light.
    """

    kind: Kind
    seed: int
    plan: Plan | Scenery = field(repr=False)

    @classmethod
    def sample(cls, seed: int, kind: Kind | None = None) -> LittleWorld:
        """Invent a world; without a kind, either.

        Raises:
            InputError: there is no such kind.
        """
        rng = np.random.default_rng([seed, 0x11E])
        drawn = KINDS[int(rng.integers(len(KINDS)))]
        kind = kind or drawn
        if kind not in KINDS:
            raise InputError(f"a little world of the kind {kind!r}: expected one of {', '.join(KINDS)}")
        return cls(kind, seed, plan_room(rng) if kind == "room" else plan_landscape(rng))

    @property
    def things(self) -> list[Thing]:
        """All that it holds; `View.things` counts in this order."""
        return self.plan.things

    @cached_property
    def table(self) -> Table:
        """All its shapes."""
        shapes = [(s, i) for i, thing in enumerate(self.things) for s in thing.shapes]
        return tabled([s for s, _ in shapes], [i for _, i in shapes])

    @cached_property
    def light(self) -> Light:
        """Its light, with shadows."""
        return lit_by(self.plan.mood, self.table, self.plan.low, self.plan.high)

    @cached_property
    def subjects(self) -> list[int]:
        """Indices of the things that are not the place itself."""
        return [i for i, thing in enumerate(self.things) if thing.noun in NOUNS and (thing.shapes or thing.noun in WET)]

    def caption(self, rng: np.random.Generator, *, seen: Collection[int] | None = None, full: bool = False) -> str:
        """One way to describe it; `unseen.synthetic.worlds.captions` has the grammar.

        Args:
            rng: of the choice of words and of what is left out.
            seen: indices of the things that may be named; all without it.
            full: leave nothing out.
        """
        things = [thing for i, thing in enumerate(self.things) if seen is None or i in seen]
        describe = caption_room if self.kind == "room" else caption_landscape
        return describe(things, self.plan.time, rng, full=full)

    def seen_in(self, views: Iterable[View]) -> frozenset[int]:
        """Indices of the things that are large enough in some view to be named."""
        seen: set[int] = set()
        for shot in views:
            counts = np.bincount(shot.things[shot.things >= 0], minlength=len(self.things))
            seen.update(np.flatnonzero(counts >= VISIBLE_SHARE * shot.things.size).tolist())
        return frozenset(seen)

    def photograph(self, camera: Camera) -> View:
        """What a camera inside the world sees."""
        outdoors = (self.plan.ground, self.plan.sky) if isinstance(self.plan, Scenery) else None
        return view(self.table, self.light, outdoors, camera)

    def clearance_m(self, points: Float[np.ndarray, "P 3"]) -> Float[np.ndarray, "P"]:
        """At least how far points are from any surface, metres; below 0: maybe inside something."""
        room = -depth_inside(self.table, points)
        if not isinstance(self.plan, Scenery):
            return room
        heights = self.plan.ground.heights
        above = np.array([p[1] - height_at(heights, p[0], p[2]) for p in points])
        return np.minimum(room, above)

    def floor_at(self, x: float, z: float) -> float:
        """Height of the ground."""
        return height_at(self.plan.ground.heights, x, z) if isinstance(self.plan, Scenery) else 0.0
