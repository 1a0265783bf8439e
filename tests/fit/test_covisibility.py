"""Choosing photos that show what a camera sees."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from fitting_scenes import ring_of_cameras
from unseen.core.camera import Camera
from unseen.fit.covisibility import best_references, in_view, likeness

POINTS = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) - 0.5


def test_neighbours_on_a_ring_come_first():
    ring = ring_of_cameras(12)
    others = [camera for i, camera in enumerate(ring) if i != 4]  # 3 and 5 are now at 3 and 4
    best = best_references(ring[4], others, POINTS, 3)
    assert set(best[:2]) == {3, 4} and len(best) == 3
    scores = likeness(ring[4], ring, POINTS).mean(1)
    assert abs(float(scores[4]) - 1) < 1e-5 and float(scores[10]) < 0.2  # itself, and the other side


def test_a_second_reference_shows_what_the_first_does_not():
    def at(x, aim):
        return Camera.look_at((x, 0, 2), (aim, 0, 0), 64, 48, focal_px=40)

    wall = torch.cat([torch.rand(400, 2, generator=torch.Generator().manual_seed(1)) * 4 - 2, torch.zeros(400, 1)], 1)
    camera, twins, right = at(0, 0), [at(-0.5, -0.5), at(-0.51, -0.51)], at(0.9, 0.9)
    first, second = best_references(camera, [*twins, right], wall, 2)
    assert first in (0, 1) and second == 2


@given(st.integers(0, 11), st.integers(1, 14), st.booleans())
def test_choices_are_distinct_and_do_not_depend_on_scale(target, count, bare):
    ring = ring_of_cameras(12)
    others = [camera for i, camera in enumerate(ring) if i != target]
    points = POINTS[:0] if bare else POINTS
    best = best_references(ring[target], others, points, count)
    assert len(best) == len(set(best)) == min(count, 11)
    large = [
        Camera.look_at((10 * c.center).tolist(), (0, 0, 0), 48, 48, focal_px=float(c.K[0, 0]))
        for c in [ring[target], *others]
    ]
    assert best_references(large[0], large[1:], 10 * points, 1) in ([best[0]], [_mirror(target, best[0])])


def _mirror(target, number):
    """The other camera as far away on the ring."""
    place = number if number < target else number + 1
    other = (2 * target - place) % 12
    return other if other < target else other - 1


def test_without_points_and_without_cameras():
    ring = ring_of_cameras(12)
    assert best_references(ring[0], [], POINTS, 2) == []
    assert best_references(ring[0], ring[1:], POINTS[:0], 1)[0] in (0, 10)
    away = [Camera.look_at((0, 0, z), (0, 0, 99), 48, 48, focal_px=40) for z in (5.0, 50.0)]  # see nothing of it
    assert best_references(ring[0], away, POINTS, 2) == [0, 1]


def test_in_view_is_the_picture_and_before_the_camera():
    camera = Camera.look_at((0, 0, 1), (0, 0, 0), 20, 10, fov_y_rad=math.pi / 2)
    points = torch.tensor([[0.0, 0, 0], [0, 0, 2], [1.9, 0, 0], [2.1, 0, 0], [0, 1.1, 0]])
    assert in_view(camera, points).tolist() == [True, False, True, False, False]
