"""The scenes by name, and the ways each is filmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.synthetic.scenes import courtyard, room, table
from unseen.synthetic.scenes.scene import Scene
from unseen.synthetic.scenes.walks import dome, stroll


@dataclass(frozen=True)
class Plan:
    """A scene's maker (of a seed), and its cameras: of a number of photographs, width, height and seed."""

    build: Callable[[int], Scene]
    cameras: Callable[[int, int, int, int], list[Camera]]


def _through_room(count: int, width: int, height: int, seed: int) -> list[Camera]:
    return stroll(room.WAY, count, width=width, height=height, seed=seed)


def _around_table(count: int, width: int, height: int, seed: int) -> list[Camera]:
    return dome(count, target=table.TARGET, radius_m=(1.35, 2.1), width=width, height=height, seed=seed)


def _through_courtyard(count: int, width: int, height: int, seed: int) -> list[Camera]:
    heights = {"eye_m": (1.1, 1.9), "gaze_m": (0.7, 2.3)}
    return stroll(courtyard.WAY, count, width=width, height=height, seed=seed, **heights)


SCENES = {
    "room": Plan(room.build_room, _through_room),
    "table": Plan(table.build_table, _around_table),
    "courtyard": Plan(courtyard.build_courtyard, _through_courtyard),
}
"""The scenes that can be made from a seed."""


def plan_of(name: str) -> Plan:
    """The plan of a scene.

    Raises:
        InputError: there is no scene of that name.
    """
    if name not in SCENES:
        raise InputError(f"there is no scene {name!r}: expected one of {', '.join(SCENES)}")
    return SCENES[name]
