"""Where to look next: from the photos' cameras outward, toward a path or toward what the photos leave open.

Nothing here knows of any camera but those of the photos that are fitted, and of the path a person asks for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.core.paths import between
from unseen.core.rotations import axis_angle_to_matrix
from unseen.jobs.repair.evidence import Witness, apart, checked_camera, hear, nearest, seen_from, spread_of
from unseen.jobs.repair.gate import LEAST_EVIDENCE

CANDIDATES = 4
"""Cameras looked at for each one chosen."""
LOOK_SIDE = 96
"""Longer side, in pixels, of the renders by which cameras are chosen."""
NEIGHBOURS = 3
"""A way leads from each photo's camera to so many others."""
LEAST_OVERLAP = 0.3
"""Share of a view that photos must see: beyond, there is nothing to check it by."""
CLOSEST = 0.3
"""How near things may be in front of a camera, as a share of how near they are to the nearest photo's."""
GAP = 0.35
"""How unlike two chosen cameras must be, as a share of how far they may be from the photos'."""


@dataclass(frozen=True)
class Candidate:
    """A camera, how much of its view the photos leave open, 0 to 1, and whether it can be used."""

    camera: Camera
    open: float
    usable: bool


def path_cameras(path: Sequence[Camera], witnesses: Sequence[Witness], reach: float, count: int) -> list[Camera]:
    """Cameras on the way from the nearest photo's to some of a path, evenly spread along it, with the photo's lens.

    Args:
        path: in the world of the photos' cameras.
        witnesses: the photos.
        reach: share of the way, in (0, 1].
        count: how many.
    """
    chosen = torch.linspace(0, len(path) - 1, min(count, len(path))).round().long().tolist()
    scale = spread_of(witnesses)
    cameras = []
    for target in (path[i] for i in chosen):
        start = min((w.full for w in witnesses), key=lambda camera: apart(target, camera, scale))
        cameras.append(between(start, target, reach))
    return cameras


def open_cameras(
    splats: Gaussians, witnesses: Sequence[Witness], reach: float, angle_rad: float, count: int,
    generator: torch.Generator, antialiased: bool,
) -> list[Camera]:  # fmt: skip
    """Cameras that see most of what the photos leave open, among random ones around and between the photos'.

    Args:
        splats: as they are.
        witnesses: the photos.
        reach: how far to go: share of the way half-way to a neighbour, and of the angle, in (0, 1].
        angle_rad: farthest turn around what a photo's camera looks at.
        count: at most so many; fewer where too little can be checked, or things are in the way.
        generator: of everything random.
        antialiased: as the splats are fitted.
    """
    found = []
    for camera in random_cameras(witnesses, reach, angle_rad, CANDIDATES * count, generator):
        candidate = looked_at(splats, camera, witnesses, antialiased)
        if candidate.usable:
            found.append(candidate)
    found.sort(key=lambda candidate: -candidate.open)
    gap, scale, chosen = GAP * reach * angle_rad, spread_of(witnesses), list[Camera]()
    for candidate in found:
        if len(chosen) < count and all(apart(candidate.camera, camera, scale) >= gap for camera in chosen):
            chosen.append(candidate.camera)
    return chosen


def random_cameras(
    witnesses: Sequence[Witness], reach: float, angle_rad: float, count: int, generator: torch.Generator
) -> list[Camera]:
    """Cameras turned around what a photo's looks at, and, every second one, on the way to one of its neighbours."""
    scale, cameras = spread_of(witnesses), []
    for k in range(count):
        own = witnesses[int(torch.randint(len(witnesses), (1,), generator=generator))]
        drawn, side, angle = torch.rand(3, generator=generator).tolist()
        share = reach * (0.5 + 0.5 * drawn)
        others = sorted((w.full for w in witnesses if w is not own), key=lambda c: apart(own.full, c, scale))
        camera = own.full
        if k % 2 and others:
            camera = between(camera, others[min(int(side * NEIGHBOURS), len(others) - 1)], 0.5 * share)
        cameras.append(orbited(camera, focus_of(own), share * angle_rad * (1.0 - 0.5 * (k % 2)), 2 * math.pi * angle))
    return cameras


def looked_at(splats: Gaussians, camera: Camera, witnesses: Sequence[Witness], antialiased: bool) -> Candidate:
    """A camera judged by a small render."""
    small = checked_camera(camera, LOOK_SIDE)
    view = seen_from(splats, small, antialiased)
    heard = hear(view, small, witnesses)
    settled = float(heard.settled.mean())
    free = _near_depth(view.depth) >= CLOSEST * _near_depth(nearest(camera, witnesses)[0].depth)
    return Candidate(camera, 1 - settled, free and heard.overlap >= LEAST_OVERLAP and settled >= LEAST_EVIDENCE)


def orbited(camera: Camera, distance: float, angle_rad: float, direction_rad: float) -> Camera:
    """The camera turned around the point `distance` ahead of it, toward a direction in its image (0: right)."""
    axis = torch.tensor([math.sin(direction_rad), math.cos(direction_rad), 0.0]) * angle_rad
    turn, point = axis_angle_to_matrix(axis), torch.tensor([0.0, 0.0, distance])
    matrix = torch.eye(4, dtype=camera.world_to_camera.dtype)
    matrix[:3, :3], matrix[:3, 3] = turn, point - turn @ point
    return replace(camera, world_to_camera=matrix @ camera.world_to_camera)


def focus_of(witness: Witness) -> float:
    """How far ahead of a photo's camera lies what it looks at: the median depth."""
    known = witness.depth[witness.depth > 0]
    return float(known.median()) if len(known) else 1.0


def _near_depth(depth: Float[Tensor, "H W"]) -> float:
    """Depth of what is nearest, but for a twentieth of the pixels."""
    known = depth[depth > 0]
    return float(known.quantile(0.05)) if len(known) else 0.0
