"""Baked light against what physics says."""

import numpy as np
import pytest

from unseen.core import InputError
from unseen.render.mesh.rays import ray_mesh
from unseen.synthetic.scenes import SceneBuilder
from unseen.synthetic.scenes.baking import Lamp, Window, bake
from unseen.synthetic.scenes.materials import Material, pack
from unseen.synthetic.scenes.shapes import Shape, join, panel
from unseen.synthetic.scenes.sky import Sky

NIGHT = Sky(np.array([0, 1.0, 0]), np.zeros(3), np.zeros(3), np.zeros(3), 0)
BLACK = Material(np.full((4, 4, 3), 0.004, np.float32), 0.1)


def lit(shape: Shape, *, sky: Sky = NIGHT, windows=(), lamps=()) -> np.ndarray:
    mesh = (
        shape.vertices,
        shape.normals,
        shape.uvs,
        shape.faces.astype(np.int32),
        np.zeros(len(shape.faces), np.int32),
    )
    far = np.zeros(len(shape.faces), bool)
    return bake(mesh, pack([BLACK]), ray_mesh(mesh[0], mesh[3]), (sky, False, windows, lamps), far, 1).light


def at(shape: Shape, light: np.ndarray, *point: float) -> float:
    return float(light[np.argmin(np.linalg.norm(shape.vertices - point, axis=1)), 0])


def floor(size: float = 4.0, step: float = 0.1) -> Shape:
    return panel((-size / 2, 0, size / 2), (size, 0, 0), (0, 0, -size), step)


def test_a_lamp_falls_off_with_the_square_of_distance_and_the_cosine() -> None:
    ground = floor()
    light = lit(ground, lamps=[Lamp((0, 1.0, 0), 0.02, (1.0, 1.0, 1.0))])
    assert abs(at(ground, light, 0, 0, 0) - 1) < 0.03
    assert abs(at(ground, light, 1, 0, 0) - 2**-1.5) < 0.03


def test_what_stands_between_casts_a_shadow() -> None:
    ground, screen = floor(), panel((-0.3, 0.5, 0.3), (0.6, 0, 0), (0, 0, -0.6), 0.1)
    both = join([ground, screen])
    light = lit(both, lamps=[Lamp((0, 1.0, 0), 0.02, (1.0, 1.0, 1.0))])
    assert at(both, light, 0, 0, 0) < 0.02 < 0.2 < at(both, light, 1, 0, 0)


def test_a_window_gives_the_light_of_its_solid_angle() -> None:
    white = Sky(np.array([0, 1.0, 0]), np.zeros(3), np.ones(3), np.ones(3), 0)
    ground = floor(2.0)
    window = Window((-0.1, 1.0, -0.1), (0.2, 0, 0), (0, 0, 0.2))  # along x up is down: seen from below
    light = lit(ground, sky=white, windows=[window])
    point = at(ground, light, 0, 0, 0)
    assert 0.04 / np.pi * 0.8 < point < 0.04 / np.pi * 1.9  # area / (pi r^2), times a sky of 1 or clouds of up to 1.6


def test_a_scene_needs_a_sensible_detail() -> None:
    with pytest.raises(InputError, match="detail"):
        SceneBuilder("none", 0, 0.1, 0.01, detail=0.0)
