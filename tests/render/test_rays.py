"""Rays against meshes: they agree with testing every face, and with the rasteriser."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from unseen.core import Camera
from unseen.render.mesh import rasterize_mesh
from unseen.render.mesh.rays import STACK, blocked, hit, ray_mesh


@njit
def cast(mesh, origin, direction, reach):
    stack = np.empty(STACK, np.int32)
    o, d = (origin[0], origin[1], origin[2]), (direction[0], direction[1], direction[2])
    face, gap, u, v = hit(mesh, o, d, reach, stack)
    return face, gap, u, v, blocked(mesh, o, d, reach, stack)


def soup(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    corners = rng.normal(size=(count, 1, 3)) + 0.4 * rng.normal(size=(count, 3, 3))
    return corners.reshape(-1, 3), np.arange(3 * count, dtype=np.int32).reshape(-1, 3)


def by_hand(vertices: np.ndarray, faces: np.ndarray, origin: np.ndarray, direction: np.ndarray) -> tuple[int, float]:
    """Nearest face by solving for each one."""
    best, gap = -1, np.inf
    for f, (a, b, c) in enumerate(vertices[faces]):
        t, u, v = np.linalg.solve(np.stack([-direction, b - a, c - a], 1), origin - a)
        if t > 0 and u >= 0 and v >= 0 and u + v <= 1 and t < gap:
            best, gap = f, t
    return best, gap


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), count=st.integers(1, 60))
def test_the_nearest_hit_is_that_of_testing_every_face(seed: int, count: int) -> None:
    vertices, faces = soup(seed, count)
    rng = np.random.default_rng(seed + 1)
    origin, direction = 2 * rng.normal(size=3), rng.normal(size=3)
    face, gap, u, v, shadow = cast(ray_mesh(vertices, faces), origin, direction, 1e9)
    expected, distance = by_hand(vertices, faces, origin, direction)
    assert face == expected and shadow == (expected >= 0)
    if face >= 0:
        a, b, c = vertices[faces[face]]
        assert abs(gap - distance) < 1e-9 * max(1, distance)
        assert np.allclose((1 - u - v) * a + u * b + v * c, origin + gap * direction, atol=1e-8)
        nearer = cast(ray_mesh(vertices, faces), origin, direction, 0.999 * gap)
        assert nearer[0] == -1 and not nearer[4]


def test_pixel_rays_meet_what_the_rasteriser_draws() -> None:
    vertices, faces = soup(3, 400)
    camera = Camera.look_at((0.4, 0.3, 6.0), (0, 0, 0), 40, 30, focal_px=32.0)
    buffers = rasterize_mesh(torch.from_numpy(vertices), torch.from_numpy(faces).long(), camera)
    mesh, eye = ray_mesh(vertices, faces), camera.center.double().numpy()
    turn = camera.camera_to_world[:3, :3].double() @ torch.linalg.inv(camera.K.double())
    wrong = 0
    for y in range(30):
        for x in range(40):
            ray = (turn @ torch.tensor([x + 0.5, y + 0.5, 1.0], dtype=torch.float64)).numpy()
            face, gap, *_ = cast(mesh, eye, ray, 1e9)
            wrong += face != int(buffers.face_ids[y, x])  # rounding may decide otherwise exactly on an edge
            if face >= 0 and face == int(buffers.face_ids[y, x]):
                assert abs(gap - float(buffers.depth[y, x])) < 1e-5 * gap
    assert wrong <= 1
    assert int(buffers.mask.sum()) > 300
