"""Shapes are closed where they should be, and face outward."""

import numpy as np
import pytest

from unseen.synthetic.scenes.shapes import Shape, box, cushion, join, leaves, panel, revolve, sheet, tube, wall


def face_normals(shape: Shape) -> np.ndarray:
    a, b, c = (shape.vertices[shape.faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def area(shape: Shape) -> float:
    return 0.5 * float(np.linalg.norm(face_normals(shape), axis=1).sum())


def volume(shape: Shape) -> float:
    """By the divergence theorem: positive when faces look outward."""
    return float((shape.vertices[shape.faces[:, 0]] * face_normals(shape)).sum() / 6)


BALL = [(np.sin(t) + 1e-9, -np.cos(t)) for t in np.linspace(0, np.pi, 80)]
SHAPES = {
    "box": box((1, 2, 3), 0.3, middle=(0.2, 0, 0)),
    "cushion": cushion((1, 0.5, 0.8), 0.1, 0.05),
    "ball": revolve(BALL, 0.05, sides=120),
    "tube": tube([(0, 0, 0), (0, 1, 0), (0.5, 2, 0)], 0.1, sides=24),
    "panel": panel((0, 0, 0), (1, 0, 0), (0, 2, 0), 0.2),
    "leaves": leaves(np.zeros((5, 3)), np.eye(3)[[0, 1, 2, 0, 1]], np.full(5, 0.3), 1),
    "sheet": sheet(np.stack(np.meshgrid(np.arange(4.0), np.arange(3.0), [0.0]), -1)[:, :, 0], 3.0, 2.0),
}


@pytest.mark.parametrize("name", SHAPES)
def test_faces_wind_as_their_normals_say(name: str) -> None:
    shape = SHAPES[name]
    normal, mean = face_normals(shape), shape.normals[shape.faces].mean(1)
    real = np.linalg.norm(normal, axis=1) > 1e-9
    assert ((normal * mean).sum(1)[real] > 0).all()
    assert np.allclose(np.linalg.norm(shape.normals, axis=1), 1, atol=1e-6)
    moved = shape.at((1, 2, 3), 0.7, 0.3)
    assert np.allclose(np.linalg.norm(moved.normals, axis=1), 1, atol=1e-6) and abs(area(moved) - area(shape)) < 1e-9


def test_volumes_are_those_of_the_solids() -> None:
    assert abs(volume(SHAPES["box"]) - 6) < 1e-9
    assert abs(volume(SHAPES["ball"]) - 4 / 3 * np.pi) < 0.01
    assert 0.8 * 0.4 < volume(SHAPES["cushion"]) < 0.4


def test_walls_keep_their_holes_open_and_their_pattern_in_place() -> None:
    holed = wall((0, 0, 0), (4, 0, 0), (0, 3, 0), [(1, 2, 0.5, 2), (2.5, 3, 0, 2)], 0.25)
    assert abs(area(holed) - (12 - 1.5 - 1.0)) < 1e-9
    assert np.allclose(holed.uvs, np.stack([holed.vertices[:, 0], 3 - holed.vertices[:, 1]], 1))
    middle = holed.vertices[holed.faces].mean(1)
    assert not ((middle[:, 0] > 1) & (middle[:, 0] < 2) & (middle[:, 1] > 0.5) & (middle[:, 1] < 2)).any()


def test_no_edge_is_longer_than_asked() -> None:
    shape = panel((0, 0, 0), (1, 0, 0), (0, 0.7, 0), 0.09)
    edges = shape.vertices[shape.faces] - shape.vertices[np.roll(shape.faces, 1, 1)]
    assert np.abs(edges).max() <= 0.09 + 1e-12
    both = join([shape, SHAPES["box"]])
    assert abs(area(both) - area(shape) - area(SHAPES["box"])) < 1e-9
