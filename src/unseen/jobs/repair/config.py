"""Settings of the loop around a fixer."""

from __future__ import annotations

from dataclasses import dataclass

from unseen.core.errors import InputError

FINAL_RATE = 0.1
"""`FitConfig.final_rate` of a repair: what is nearly settled when views join is not thrown about by them."""


@dataclass(frozen=True)
class RepairConfig:
    """Settings of `Rounds`: when views are made, from where, and what they count for."""

    rounds: int = 4
    """How often views are made."""
    start: float = 0.5
    """Share of the steps before the first round; the others follow evenly. The first half adds and removes splats."""
    views: int = 12
    """Views made per round."""
    capacity: int = 36
    """Views kept; the oldest go first."""
    references: int = 3
    """Photos shown to the fixer beside each view, at most."""
    share: float = 0.8
    """Share of the steps after the first round that look at a made view besides the photos."""
    weight: float = 0.5
    """Weight of a made view against a photo."""
    angle_deg: float = 60.0
    """How far around what they look at cameras leave those of photos in the last round."""

    def __post_init__(self) -> None:
        if self.rounds < 1 or self.views < 1 or self.capacity < 1 or self.references < 0:
            raise InputError(
                f"{self.rounds} rounds of {self.views} views with {self.references} references, of which "
                f"{self.capacity} are kept: expected at least 1 of each and 0 references"
            )
        if not (0 < self.start < 1 and 0 <= self.share <= 1 and 0 <= self.weight <= 1 and 0 < self.angle_deg <= 90):
            raise InputError(
                f"start {self.start}, share {self.share}, weight {self.weight}, angle {self.angle_deg}: expected start "
                "in (0, 1), share and weight in [0, 1], an angle in (0, 90] degrees"
            )

    def begins(self, steps: int) -> list[int]:
        """Steps before which rounds begin, of a fit of so many."""
        first = round(self.start * steps)
        return sorted({first + (steps - first) * k // self.rounds for k in range(self.rounds)})
