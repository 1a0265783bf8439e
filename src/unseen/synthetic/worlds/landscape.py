"""Little landscapes: a meadow, desert, snow or beach under one of four skies, with trees, rocks, a house, a lake."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from unseen.synthetic.color import Color, linear
from unseen.synthetic.worlds import nature
from unseen.synthetic.worlds.light import Mood
from unseen.synthetic.worlds.palette import COLORS
from unseen.synthetic.worlds.shapes import bounds, placed
from unseen.synthetic.worlds.terrain import DOME_M, Ground, Sky, blocks_of, bumps, height_at, lattice, slopes
from unseen.synthetic.worlds.things import Thing

GROUNDS = ("meadow", "desert", "snow", "beach")
SKIES = ("clear", "sunset", "cloudy", "night")
SKY_ODDS = (0.35, 0.25, 0.22, 0.18)
HORIZONS = {"meadow": ("hills", "mountains", ""), "desert": ("hills", "mountains", ""), "snow": ("hills", "mountains"),
            "beach": ("", "hills")}  # fmt: skip
GROWTH = {"meadow": ("tree", "pine", "bush", "rock"), "desert": ("cactus", "rock"), "snow": ("pine", "rock", "bush"),
          "beach": ("palm", "rock", "bush")}  # fmt: skip
CROWNS = ("green", "green", "green", "orange", "yellow", "pink", "red")
HOUSE_ODDS = {"meadow": 0.6, "desert": 0.25, "snow": 0.6, "beach": 0.35}
LAKE_ODDS = {"meadow": 0.35, "desert": 0.12, "snow": 0.2, "beach": 0.0}
PATH_ODDS = {"meadow": 0.45, "desert": 0.3, "snow": 0.3, "beach": 0.0}
COVERS: dict[str, tuple[Color, Color]] = {
    "meadow": ((0.42, 0.62, 0.28), (0.54, 0.68, 0.32)),
    "desert": ((0.88, 0.70, 0.44), (0.80, 0.58, 0.36)),
    "snow": ((0.92, 0.94, 0.98), (0.84, 0.89, 0.96)),
    "beach": ((0.93, 0.84, 0.62), (0.87, 0.76, 0.53)),
}
FAR: dict[str, tuple[Color, Color]] = {
    "meadow": ((0.34, 0.54, 0.27), (0.42, 0.48, 0.52)),
    "desert": ((0.78, 0.50, 0.32), (0.66, 0.38, 0.28)),
    "snow": ((0.86, 0.91, 0.97), (0.50, 0.56, 0.64)),
    "beach": ((0.40, 0.58, 0.33), (0.45, 0.50, 0.48)),
}
"""Of hills and of bare mountains."""
PATHS = {"meadow": (0.72, 0.59, 0.42), "desert": (0.66, 0.47, 0.30), "snow": (0.70, 0.70, 0.72)}
WATER, SHALLOW = (0.22, 0.50, 0.66), (0.45, 0.78, 0.78)
WATER_M, SHORE_M = -0.28, 1.5
STAGE_Z_M = -3.0
"""Around (0, 0, STAGE_Z_M) is what cameras look at; they stand toward +z."""
CLEAR_M = 1.2
TRIES = 25


class Scenery(NamedTuple):
    """A landscape before it is lit: `room.Plan`, its `time` one of SKIES, with ground and sky."""

    things: list[Thing]
    mood: Mood
    time: str
    low: Float[np.ndarray, "3"]
    high: Float[np.ndarray, "3"]
    ground: Ground
    sky: Sky


def plan_landscape(rng: np.random.Generator) -> Scenery:
    """Invent a landscape."""
    cover = GROUNDS[int(rng.integers(len(GROUNDS)))]
    time = SKIES[int(rng.choice(len(SKIES), p=SKY_ODDS))]
    horizon = HORIZONS[cover][int(rng.integers(len(HORIZONS[cover])))]
    lake = _lake(rng) if rng.uniform() < LAKE_ODDS[cover] else None
    bend = rng.uniform(-1, 1, 3) if rng.uniform() < PATH_ODDS[cover] else None
    things = [Thing(cover), Thing("sea" if cover == "beach" else "lake"), Thing("path"), Thing(horizon or cover),
              Thing("sky")]  # fmt: skip
    ground = _ground(rng, cover, horizon, lake, bend)
    taken: list[tuple[float, float, float]] = [] if lake is None else [(lake[0], lake[1], lake[2] + 0.5)]
    if rng.uniform() < HOUSE_ODDS[cover]:
        _build_house(rng, ground, bend, taken, things, cover == "snow", time == "night")
    _grow(rng, cover, ground, bend, taken, things)
    mood, sky = _weather(rng, time, cover)
    shapes = [s for thing in things for s in thing.shapes]
    low, high = bounds(shapes) if shapes else (np.array([-5.0, 0.0, -5.0]), np.array([5.0, 1.0, 5.0]))
    return Scenery(things, mood, time, low, high, ground, sky)


def _lake(rng: np.random.Generator) -> tuple[float, float, float]:
    """Where a lake is and how large."""
    return float(rng.uniform(-3, 3)), float(rng.uniform(-3.5, 0.5)), float(rng.uniform(1.9, 3.0))


def _path_x(bend: Float[np.ndarray, "3"], z: np.ndarray | float) -> np.ndarray | float:
    """Where a path is at a depth."""
    return 0.8 * bend[2] + 1.3 * bend[0] * np.sin(0.42 * z + 3 * bend[1])


def _ground(
    rng: np.random.Generator, cover: str, horizon: str, lake: tuple[float, float, float] | None,
    bend: Float[np.ndarray, "3"] | None,
) -> Ground:  # fmt: skip
    x, z = lattice()
    r = np.hypot(x, z)
    ring = np.clip((r - 11) / 17, 0, 1)
    ring = ring * ring * (3 - 2 * ring)
    beyond = np.clip((r - 30.5) / 5.0, 0, 1)  # hills end before the dome does: their skyline is their own
    heights = (0.30 if cover == "desert" else 0.18) * bumps(rng, 6.0) * np.clip(r / 5, 0.3, 1)
    if horizon == "hills":
        rise = 3.4 + 1.7 * bumps(rng, 9.0)
    elif horizon == "mountains":
        rise = 12.0 * (1 - np.abs(np.tanh(0.9 * bumps(rng, 12.0)))) + 1.1 * bumps(rng, 4.0)
    else:
        rise = 0.4 * bumps(rng, 9.0)
    sea = None
    if cover == "beach":
        turn = rng.uniform(-0.9, 0.9)
        sea = -z * math.cos(turn) + x * math.sin(turn) - SHORE_M + 0.7 * bumps(rng, 7.0)  # grows out to sea
        ring = ring * np.clip(1 - (sea + 4) / 6, 0, 1)
    heights += ring * rise * (1 - beyond * beyond * (3 - 2 * beyond))
    if sea is not None:
        heights -= 0.11 * np.clip(sea, 0, 14)
    if lake is not None:
        away = np.hypot(x - lake[0], (z - lake[1]) * 1.4) / lake[2] + 0.10 * bumps(rng, 2.5)
        basin = 1 / (1 + np.exp((away - 1) * 9))
        heights = heights * (1 - np.exp(-((away / 1.7) ** 4))) - 0.9 * basin
    return _painted(rng, cover, horizon, heights, ring, bend, lake is not None or sea is not None)


def _painted(
    rng: np.random.Generator, cover: str, horizon: str, heights: Float[np.ndarray, "G G"],
    ring: Float[np.ndarray, "G G"], bend: Float[np.ndarray, "3"] | None, wet: bool,
) -> Ground:  # fmt: skip
    """Colours and things of the ground; the water's surface is level."""
    x, z = lattice()
    a, b = (linear(c) for c in COVERS[cover])
    mix = np.clip(0.5 + 0.45 * bumps(rng, 2.2), 0, 1)[..., None]
    colors = a + mix * (b - a)
    things = np.zeros(heights.shape, np.int64)
    if horizon:
        hill, bare = (linear(c) for c in FAR[cover])
        far = np.clip((ring - 0.08) * 3, 0, 1)[..., None]
        slope = hill + mix * 0.12 * hill
        if horizon == "mountains":
            steep = np.clip((heights - 2.0) / 2.5 + 0.3 * bumps(rng, 3.0), 0, 1)[..., None]
            slope = slope + steep * (bare * (0.85 + 0.3 * mix) - slope)
            if cover != "desert":
                cap = np.clip((heights - 6.5) / 1.2 + 0.8 * bumps(rng, 2.5), 0, 1)[..., None]
                slope = slope + cap * (linear(nature.SNOW) - slope)
        colors = colors + far * (slope - colors)
        things[ring > 0.12] = 3
    if bend is not None:
        away = np.abs(x - _path_x(bend, z))
        share = (np.clip((0.62 - away) / 0.3, 0, 1) * np.clip((12 - np.hypot(x, z)) / 2, 0, 1))[..., None]
        colors = colors + share * (linear(PATHS[cover]) - colors)
        things[share[..., 0] > 0.5] = 2
    if wet:
        deep = np.clip((WATER_M - heights) / 0.5, 0, 1)[..., None]
        blue = linear(SHALLOW) + deep * (linear(WATER) - linear(SHALLOW))
        slope = np.hypot(*np.gradient(heights)) + 0.01  # the shore line runs between samples: blend over some
        under = np.clip(0.5 + (WATER_M - heights) / (2.5 * slope), 0, 1)[..., None]
        colors = colors + under * (blue - colors)
        things[heights < WATER_M] = 1
        heights = np.maximum(heights, WATER_M)
    return Ground(heights, slopes(heights), np.ascontiguousarray(colors), things, blocks_of(heights))


def _free(
    ground: Ground, bend: Float[np.ndarray, "3"] | None, taken: list[tuple[float, float, float]], x: float, z: float,
    radius: float,
) -> bool:  # fmt: skip
    """Whether a thing may stand there: on dry land, off the path, apart from others, not where cameras are."""
    if any(math.hypot(x - a, z - b) < radius + r for a, b, r in taken):
        return False
    if bend is not None and abs(x - float(_path_x(bend, z))) < radius + 0.5 and math.hypot(x, z) < 12:
        return False
    if abs(x) < CLEAR_M + 0.25 * max(z, 0) and z > -1.0:
        return False
    return height_at(ground.heights, x, z) > WATER_M + 0.06


def _build_house(
    rng: np.random.Generator, ground: Ground, bend: Float[np.ndarray, "3"] | None,
    taken: list[tuple[float, float, float]], things: list[Thing], snowy: bool, night: bool,
) -> None:  # fmt: skip
    wall, roof = (str(rng.choice(names)) for names in (
        ("white", "beige", "yellow", "pink", "mint", "blue"), ("red", "brown", "navy", "grey", "orange", "teal")))  # fmt: skip
    shapes = nature.house(rng, COLORS[wall], COLORS[roof], snowy, night)
    for _ in range(TRIES):
        x, z = float(rng.uniform(-3.5, 3.5)), float(rng.uniform(-6.5, -2.0))
        if _free(ground, bend, taken, x, z, 2.0):
            yaw = float(rng.uniform(-0.6, 0.6)) - 0.5 * math.atan2(x, 6 - z)
            made = placed(shapes, (x, height_at(ground.heights, x, z), z), yaw)
            things.append(Thing("house", wall, roof, tuple(made)))
            taken.append((x, z, 2.0))
            return


def _grow(
    rng: np.random.Generator, cover: str, ground: Ground, bend: Float[np.ndarray, "3"] | None,
    taken: list[tuple[float, float, float]], things: list[Thing],
) -> None:  # fmt: skip
    """One or two kinds of things, several of each, most of them ahead of the cameras."""
    kinds = rng.permutation(len(GROWTH[cover]))[: int(rng.integers(1, 3))]
    if not any(k == 0 for k in kinds) and rng.uniform() < 0.8:
        kinds = np.array([0, kinds[0]])
    for k in kinds:
        noun = GROWTH[cover][k]
        crown = str(rng.choice(CROWNS)) if noun == "tree" else ""
        count = int(rng.choice([1, 2, 4, 6, 8, 11])) if noun not in ("rock", "bush") else int(rng.integers(2, 7))
        for n in range(count):
            shapes = nature.MAKERS[noun](rng, COLORS[crown or "green"], cover == "snow")
            radius = 0.75 if noun not in ("rock", "bush") else 0.5
            for _ in range(TRIES):
                turn = rng.normal(scale=0.75) if n < 3 or rng.uniform() < 0.75 else rng.uniform(-math.pi, math.pi)
                away = float(rng.uniform(2.5, 5.5) if n == 0 else 2.5 + 7.5 * math.sqrt(rng.uniform()))
                x, z = away * math.sin(turn), 2.5 - away * math.cos(turn)
                if _free(ground, bend, taken, float(x), float(z), radius):
                    made = placed(shapes, (x, height_at(ground.heights, x, z), z), float(rng.uniform(0, 6.28)))
                    things.append(Thing(noun, crown, shapes=tuple(made)))
                    taken.append((float(x), float(z), radius))
                    break


def _weather(rng: np.random.Generator, time: str, cover: str) -> tuple[Mood, Sky]:
    """Sun (at night the moon) and sky."""
    side = 1 if rng.uniform() < 0.5 else -1
    azimuth = side * math.radians(float(rng.uniform(35, 95)))
    elevation = math.radians(float(rng.uniform(32, 55)))
    disc, stars, clouds, haze = math.cos(0.05), 0.0, 0.0, 0.45
    cloud = np.array([0.92, 0.92, 0.94])
    if time == "sunset":
        azimuth, elevation = side * math.radians(float(rng.uniform(100, 165))), math.radians(float(rng.uniform(9, 16)))
        sun, ambient = np.array([1.15, 0.55, 0.25]), np.array([0.62, 0.50, 0.56])
        zenith, horizon, glow = (0.36, 0.34, 0.62), (0.98, 0.62, 0.42), (1.0, 0.80, 0.45)
        clouds, cloud = (0.42, linear((0.95, 0.55, 0.50))) if rng.uniform() < 0.5 else (0.0, cloud)
        disc, haze = math.cos(0.075), 0.6
    elif time == "cloudy":
        sun, ambient = np.array([0.18, 0.18, 0.18]), np.array([0.72, 0.74, 0.78])
        zenith, horizon, glow = (0.58, 0.65, 0.74), (0.80, 0.84, 0.88), (0.80, 0.84, 0.88)
        clouds, cloud, disc = 0.75, linear((0.90, 0.91, 0.93)), 2.0
        if rng.uniform() < 0.5:  # white clouds in a blue sky
            sun, ambient = np.array([0.55, 0.51, 0.43]), np.array([0.48, 0.52, 0.58])
            zenith, horizon, glow = (0.30, 0.54, 0.86), (0.74, 0.86, 0.95), (0.95, 0.96, 0.92)
            clouds, cloud = 0.36, np.array([0.92, 0.92, 0.94])
    elif time == "night":
        azimuth, elevation = side * math.radians(float(rng.uniform(130, 165))), math.radians(float(rng.uniform(22, 32)))
        sun, ambient = np.array([0.13, 0.17, 0.28]), np.array([0.17, 0.21, 0.34])
        zenith, horizon, glow = (0.05, 0.07, 0.20), (0.17, 0.22, 0.42), (0.25, 0.32, 0.52)
        stars, haze, disc = 0.85, 0.5, math.cos(0.06)
    else:
        sun, ambient = np.array([0.62, 0.57, 0.46]), np.array([0.44, 0.49, 0.56])
        zenith, horizon, glow = (0.27, 0.52, 0.88), (0.72, 0.87, 0.97), (0.95, 0.96, 0.92)
    c = math.cos(elevation)
    toward = np.array([c * math.sin(azimuth), math.sin(elevation), c * math.cos(azimuth)])
    tint = linear(COVERS[cover][0])
    outdoors = np.array([[-9.0, -9.0, -9.0], [9.0, 9.0, 9.0]]) * DOME_M
    mood = Mood(toward, sun, ambient, 0.35 + 0.35 * float(tint.mean()), (), np.zeros((0, 2, 3)), outdoors)
    sky = Sky(
        linear(zenith), linear(horizon), linear(glow), toward, disc, clouds, cloud, stars, int(rng.integers(1 << 30)),
        haze, 4,
    )  # fmt: skip
    return mood, sky
