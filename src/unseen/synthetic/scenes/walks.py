"""Ways of filming: strolls through a place, a dome of circles around a thing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.paths import spline

DIAGONAL_35MM = 43.267  # of the 36 x 24 mm frame that focal lengths are compared by
LAPS = ("across", "ahead", "aside")


def focal_px(width: int, height: int, focal_35mm: float) -> float:
    """Focal length in pixels from its equivalent at 35 mm film, by the diagonal as the makers of cameras count."""
    return focal_35mm / DIAGONAL_35MM * math.hypot(width, height)


def stroll(
    stops: Sequence[tuple[float, float]],
    count: int,
    *,
    width: int,
    height: int,
    focal_35mm: float = 24.0,
    eye_m: tuple[float, float] = (0.95, 1.75),
    gaze_m: tuple[float, float] = (0.6, 1.5),
    seed: int = 0,
) -> list[Camera]:
    """A person films a place: several laps along the stops, across the middle, ahead along the way, and aside at what
    stands along the walls, at changing heights.

    Args:
        stops: floor positions (x, z) of a closed way that keeps clear of things, in metres.
        count: photographs.
        width, height: of the photographs, in pixels.
        focal_35mm: focal length, equivalent at 35 mm film.
        eye_m, gaze_m: lowest and highest camera, and lowest and highest point looked at.
        seed: of heights and turns.

    Raises:
        InputError: fewer than three stops, or no photograph.
    """
    if len(stops) < 3:
        raise InputError(f"a stroll of {len(stops)} stops: expected at least 3")
    rng = np.random.default_rng([seed, 0x3A1])
    way, middle = np.asarray(stops, float), np.mean(np.asarray(stops, float), 0)
    keys, focal = [], focal_px(width, height, focal_35mm)
    for lap in LAPS:
        for i, stop in enumerate(way):
            ahead = way[(i + 1) % len(way)] - way[i - 1]
            ahead /= np.linalg.norm(ahead)
            inward = (middle - stop) / max(float(np.linalg.norm(middle - stop)), 1e-6)
            direction = {"across": inward, "ahead": ahead + 0.45 * inward, "aside": ahead - 0.4 * inward}[lap]
            turn = rng.normal(scale=0.12)
            c, s = math.cos(turn), math.sin(turn)
            direction = np.array([[c, s], [-s, c]]) @ direction / np.linalg.norm(direction)
            place = stop + rng.normal(scale=0.06, size=2)
            eye = (place[0], rng.uniform(*eye_m), place[1])
            gaze = place + (2.5 if lap == "across" else 2.0) * direction
            keys.append(Camera.look_at(eye, (gaze[0], rng.uniform(*gaze_m), gaze[1]), width, height, focal_px=focal))
    return spline(keys, count, closed=True)


def dome(
    count: int,
    *,
    target: tuple[float, float, float],
    radius_m: tuple[float, float],
    width: int,
    height: int,
    focal_35mm: float = 35.0,
    elevation_rad: tuple[float, float] = (0.2, 1.1),
    turns: float = 4.0,
    seed: int = 0,
) -> list[Camera]:
    """Rising circles around a thing, nearer and farther in turn.

    Args:
        count: photographs.
        target: middle of the thing.
        radius_m: least and greatest distance.
        width, height: of the photographs, in pixels.
        focal_35mm: focal length, equivalent at 35 mm film.
        elevation_rad: first and last angle above the horizontal.
        turns: circles in all.
        seed: of the small wander of the gaze.
    """
    rng = np.random.default_rng([seed, 0xD03E])
    wander = np.cumsum(rng.normal(scale=0.012, size=(count, 3)), 0)
    wander -= np.linspace(0, 1, count)[:, None] * wander[-1:]
    cameras = []
    for i in range(count):
        t = i / max(count - 1, 1)
        azimuth, elevation = 2 * math.pi * turns * t, elevation_rad[0] + (elevation_rad[1] - elevation_rad[0]) * t
        radius = radius_m[0] + (radius_m[1] - radius_m[0]) * (0.5 + 0.5 * math.sin(2 * math.pi * 2.7 * t))
        level = radius * math.cos(elevation)
        offset = np.array([level * math.sin(azimuth), radius * math.sin(elevation), level * math.cos(azimuth)])
        gaze = np.asarray(target) + np.clip(wander[i], -0.08, 0.08)
        focal = focal_px(width, height, focal_35mm)
        cameras.append(Camera.look_at(np.asarray(target) + offset, gaze, width, height, focal_px=focal))
    return cameras
