"""Photographs are true to the geometry: corners, coverage, depth, light."""

import dataclasses

import numpy as np
import pytest
import torch
from little_scene import CORNERS, HEIGHT_M, little_scene

from unseen.core import Camera, InputError
from unseen.synthetic.scenes import Scene, shoot

EYE = (0.7, 3.1, 1.9)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return little_scene()


@pytest.fixture(scope="module")
def camera() -> Camera:
    return Camera.look_at(EYE, (0.1, HEIGHT_M, 0.05), 160, 120, focal_px=150.0)


def polygon_moments(corners: np.ndarray) -> tuple[float, np.ndarray]:
    """Area and centroid of a polygon in pixels."""
    x, y = corners.T
    u, v = np.roll(x, -1), np.roll(y, -1)
    cross = x * v - u * y
    total = cross.sum() / 2
    return abs(total), np.array([((x + u) * cross).sum(), ((y + v) * cross).sum()]) / (6 * total)


def test_the_square_lies_where_its_corners_project(scene: Scene, camera: Camera) -> None:
    pixels, _ = camera.project(torch.from_numpy(CORNERS).float())
    area, centroid = polygon_moments(pixels.double().numpy())
    shot = shoot(scene, camera, supersampling=4)
    weight = shot.subject.double().numpy() / 255
    y, x = np.mgrid[:120, :160] + 0.5
    assert abs(weight.sum() / area - 1) < 2e-3
    assert np.abs([(weight * x).sum() / weight.sum(), (weight * y).sum() / weight.sum()] - centroid).max() < 0.02


def test_the_square_is_seen_as_an_edge_at_the_same_place(scene: Scene, camera: Camera) -> None:
    shot = shoot(scene, camera, supersampling=4)
    bright = shot.image.double().mean(-1).numpy()
    inside, outside = (shot.subject == 255).numpy(), (shot.subject == 0).numpy()
    assert bright[inside].min() > 2 * np.median(bright[outside])


def test_depth_is_z_at_the_pixels_centres(scene: Scene, camera: Camera) -> None:
    shot = shoot(scene, camera)
    y, x = (shot.subject == 255).nonzero(as_tuple=True)
    rays = torch.stack([x + 0.5, y + 0.5, torch.ones_like(x)], -1).double() @ torch.linalg.inv(camera.K.double()).T
    pose = camera.camera_to_world.double()
    points = rays * shot.depth[y, x, None].double() @ pose[:3, :3].T + pose[:3, 3]
    assert (points[:, 1] - HEIGHT_M).abs().max() < 1e-5
    up = Camera.look_at((0, 0.5, 0), (0, 4.0, -8.0), 32, 24, focal_px=40.0)
    sky = shoot(scene, up)
    assert (sky.alpha == 0).any() and (sky.depth[sky.alpha == 0] == 0).all()


def test_the_same_seed_gives_the_same_bytes(scene: Scene, camera: Camera) -> None:
    again = little_scene()
    one, two = (shoot(s, camera, noise=0.01, seed=5) for s in (scene, again))
    for field in dataclasses.fields(one):
        assert torch.equal(getattr(one, field.name), getattr(two, field.name)), field.name
    other = shoot(scene, camera, noise=0.01, seed=6)
    assert not torch.equal(one.image, other.image) and torch.equal(one.depth, other.depth)


def test_the_sun_casts_the_shadow_of_the_square(scene: Scene) -> None:
    sun = scene.sky.sun
    foot = -sun * HEIGHT_M / sun[1] + [0, HEIGHT_M, 0]  # the middle of the square, along the light, onto the floor
    above = Camera.look_at((foot[0], 0.9, foot[2] + 0.02), tuple(foot), 33, 33, focal_px=300.0)
    beside = foot + 1.2 * np.array([sun[2], 0, -sun[0]])
    lit = Camera.look_at((beside[0], 0.9, beside[2] + 0.02), tuple(beside), 33, 33, focal_px=300.0)
    dark, light = (float(shoot(scene, c).image.double().mean()) for c in (above, lit))
    assert light > 1.25 * dark


def test_a_mirror_shows_the_underside_of_what_stands_on_it() -> None:
    polished = little_scene(mirror=1.0)
    camera = Camera.look_at((0, 1.2, 3.0), (0, 0.0, 0.6), 64, 48, focal_px=60.0)
    pillar, _ = camera.project(torch.tensor([[1.5, -1.0, 0.1]]))  # the mirror image of its middle
    column, row = (int(v) for v in pillar[0])
    dull, shiny = shoot(little_scene(), camera).image, shoot(polished, camera).image
    sky_beside = shiny[row, column - 14].int()
    assert (shiny[row, column].int() - sky_beside).abs().max() > 40
    assert (dull[row, column].int() - dull[row, column - 14].int()).abs().max() < 25


def test_exposure_brightens(scene: Scene, camera: Camera) -> None:
    less, more = (float(shoot(scene, camera, exposure=e).image.double().mean()) for e in (0.7, 1.0))
    assert more > 1.1 * less
    with pytest.raises(InputError, match="samples"):
        shoot(scene, camera, supersampling=0)
