"""Camera paths through little worlds: near eye height, in free space, neighbours seeing much the same."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import Float

from unseen.core.camera import Camera
from unseen.core.errors import InputError

if TYPE_CHECKING:
    from unseen.synthetic.worlds.world import LittleWorld

Move = Literal["orbit", "dolly", "pan", "walk", "arc"]
MOVES: tuple[Move, ...] = ("orbit", "dolly", "pan", "walk", "arc")
FOV_DEG = (50.0, 75.0)
EYE_M = {"room": (1.15, 1.65), "landscape": (1.3, 2.0)}
TRAVEL_M = {"room": (0.8, 1.6), "landscape": (1.2, 2.4)}
"""Distance between the first and the last camera. A generator that measures lengths by how far its cameras travel then
sees rooms up to some 8 and landscapes up to some 30 units away, never hundreds."""
PAN_ARM = 0.45
"""A panning camera stands this far from the axis it turns about, relative to what other moves travel."""
PAN_DEG = (60.0, 95.0)
WALK_TURN_DEG = 25.0
CLEAR_M = 0.30
CHECKED = 25
TRIES = 600
SUBJECT_SHARE = {"room": 0.06, "landscape": 0.02}
NEAR_SHARE, NEAREST_M = 0.12, 0.7
_SMALL = (32, 24)


@dataclass(frozen=True)
class CameraPath:
    """A move of a camera.

    Attributes:
        move: its kind.
        eye: where its middle is, metres, y up.
        heading_rad: where its middle looks, from -z toward +x.
        gaze_m: distance of what it looks at.
        pitch_m: height of that above the eye.
        travel_m: from first to last position (but see PAN_ARM).
        turn_rad: change of the heading, from first to last.
        backward: run from last to first.
        fov_y_rad: vertical field of view.
    """

    move: Move
    eye: tuple[float, float, float]
    heading_rad: float
    gaze_m: float
    pitch_m: float
    travel_m: float
    turn_rad: float
    backward: bool
    fov_y_rad: float

    def cameras(self, count: int, width: int, height: int) -> list[Camera]:
        """Cameras at even steps, both ends included.

        Raises:
            InputError: fewer than two cameras.
        """
        if count < 2:
            raise InputError(f"a path of {count} cameras: expected at least 2")
        return [self.at(i / (count - 1), width, height) for i in range(count)]

    def between(self, count: int, width: int, height: int) -> list[Camera]:
        """The count - 1 cameras halfway between those of `cameras`: nobody trains on them."""
        return [self.at((i + 0.5) / (count - 1), width, height) for i in range(count - 1)]

    def at(self, time: float, width: int, height: int) -> Camera:
        """The camera at one time in [0, 1]."""
        eye, target = self.look(time)
        return Camera.look_at(eye.tolist(), target.tolist(), width, height, fov_y_rad=self.fov_y_rad)

    def look(self, time: float) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
        """Position and point looked at."""
        s = (0.5 - time if self.backward else time - 0.5) * 1.0
        ahead, right = _level(self.heading_rad)
        turned, _ = _level(self.heading_rad + s * self.turn_rad)
        eye, up = np.array(self.eye), np.array([0.0, 1.0, 0.0])
        gaze = eye + self.gaze_m * ahead + self.pitch_m * up
        if self.move == "orbit":
            return eye + self.gaze_m * (ahead - turned), gaze
        if self.move == "arc":
            at = eye + s * self.travel_m * right + 0.12 * math.cos(math.pi * s) * up
            return at, gaze + 0.5 * s * self.travel_m * right
        if self.move == "pan":
            at = eye + PAN_ARM * self.travel_m * turned
            return at, at + self.gaze_m * turned + self.pitch_m * up
        sway = 0.08 * math.sin(2 * math.pi * s) if self.move == "walk" else 0.0
        at = eye + s * self.travel_m * ahead + sway * right
        return at, at + self.gaze_m * turned + self.pitch_m * up


def _level(heading: float) -> tuple[Float[np.ndarray, "3"], Float[np.ndarray, "3"]]:
    """Ahead and to the right."""
    c, s = math.cos(heading), math.sin(heading)
    return np.array([s, 0.0, -c]), np.array([c, 0.0, s])


def camera_path(world: LittleWorld, rng: np.random.Generator, move: Move | None = None) -> CameraPath:
    """A random path in free space that sees something.

    Args:
        world: where.
        rng: of all choices.
        move: kind of path; any without one.

    Raises:
        InputError: no such kind of path, or the world has no free space.
    """
    move = move or MOVES[int(rng.integers(len(MOVES)))]
    if move not in MOVES:
        raise InputError(f"a camera path of the kind {move!r}: expected one of {', '.join(MOVES)}")
    fallback = None
    for tried in range(TRIES):
        path = _drawn(world, rng, move)
        shrink = 0.99**tried
        path = replace(path, travel_m=path.travel_m * shrink, turn_rad=path.turn_rad * shrink)
        if not _free(world, path):
            continue
        if _sees(world, path):
            return path
        fallback = fallback or path
        if tried > TRIES // 8:
            return fallback
    if fallback is None:
        raise InputError(f"the {world.kind} of seed {world.seed} has no free space for a camera")
    return fallback


def _drawn(world: LittleWorld, rng: np.random.Generator, move: Move) -> CameraPath:
    """Any path of a kind, free or not."""
    if world.kind == "room":
        half = world.plan.high
        eye = np.array([rng.uniform(-0.6, 0.6) * half[0], 0.0, rng.uniform(0.2, 0.85) * half[2]])
        aim = np.array([rng.uniform(-0.5, 0.5) * half[0], rng.uniform(0.6, 1.2), rng.uniform(-0.8, -0.2) * half[2]])
    else:
        eye = np.array([rng.uniform(-1.5, 1.5), 0.0, rng.uniform(2.0, 5.0)])
        aim = np.array([rng.uniform(-2.0, 2.0), 0.0, rng.uniform(-4.5, -1.5)])
        aim[1] = world.floor_at(aim[0], aim[2]) + rng.uniform(0.9, 1.9)
    eye[1] = world.floor_at(eye[0], eye[2]) + rng.uniform(*EYE_M[world.kind])
    away = aim - eye
    gaze, travel = float(np.hypot(away[0], away[2])), float(rng.uniform(*TRAVEL_M[world.kind]))
    turn = {
        "orbit": 2 * math.asin(min(0.7, travel / (2 * gaze))),
        "pan": math.radians(rng.uniform(*PAN_DEG)),
        "walk": math.radians(rng.uniform(-WALK_TURN_DEG, WALK_TURN_DEG)),
    }.get(move, 0.0)
    return CameraPath(
        move, (float(eye[0]), float(eye[1]), float(eye[2])), math.atan2(away[0], -away[2]), gaze, float(away[1]),
        travel, turn, bool(rng.uniform() < 0.5), math.radians(rng.uniform(*FOV_DEG)),
    )  # fmt: skip


def _free(world: LittleWorld, path: CameraPath) -> bool:
    """Whether the path keeps clear of everything."""
    eyes = np.array([path.look(t)[0] for t in np.linspace(0, 1, CHECKED)])
    return bool(world.clearance_m(eyes).min() >= CLEAR_M)


def _sees(world: LittleWorld, path: CameraPath) -> bool:
    """Whether no view is filled by what is right before it, and its middle shows more than the place itself."""
    for time in (0.5, 0.0, 1.0):
        seen = world.photograph(path.at(time, *_SMALL))
        if float((seen.depth < NEAREST_M).mean()) > NEAR_SHARE:
            return False
        if time == 0.5 and float(np.isin(seen.things, world.subjects).mean()) < SUBJECT_SHARE[world.kind]:
            return False
    return True
