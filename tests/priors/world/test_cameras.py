"""The network's cameras: there and back."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.core.paths import orbit
from unseen.priors.world.cameras import WorldCameras, normalized, ray_map, resampled
from unseen.priors.world.sampling import render_views


def path(n=4, radius=3.0, size=(48, 32)):
    return orbit(
        n, radius_m=radius, target=(0.3, 0.2, 5.0), elevation_rad=0.2, fov_y_rad=0.9, width=size[0], height=size[1]
    )


def some_gaussians(n=40, seed=0):
    g = torch.Generator().manual_seed(seed)

    def noise(*shape):
        return torch.randn(*shape, generator=g)

    return Gaussians(
        noise(n, 3) * 0.5 + torch.tensor([0.3, 0.2, 5.0]), noise(n, 4), noise(n, 3) * 0.3 - 1.5, noise(n) + 1,
        noise(n, 3), noise(n, 8, 3) * 0.3,
    )  # fmt: skip


def test_cameras_come_back():
    cameras = path()
    for before, after in zip(cameras, WorldCameras.of(cameras).cameras(48, 32), strict=True):
        torch.testing.assert_close(after.world_to_camera, before.world_to_camera, atol=1e-5, rtol=0)
        torch.testing.assert_close(after.K, before.K)


@given(st.floats(0.0, 50.0))
def test_gaussians_come_back(radius):
    """Rotations on the spot too: the extent is 0 then, and the margin is what is undone."""
    cameras = path(radius=max(radius, 1e-3)) if radius else [turned(a) for a in (0.0, 0.3, 0.6)]
    _, frame = normalized(WorldCameras.of(cameras).values)
    g = some_gaussians()
    back = frame.to_caller(frame.gaussians_to_network(g))
    for name in ("means", "log_scales", "sh0", "shN"):
        torch.testing.assert_close(getattr(back, name), getattr(g, name), atol=2e-4, rtol=1e-4)


def turned(angle):
    ahead = (5 + math.sin(angle), 2.0, 7 + math.cos(angle))
    return Camera.look_at((5.0, 2.0, 7.0), ahead, 48, 32, fov_y_rad=0.9)


def test_both_frames_show_the_same():
    """Position, size, orientation and view-dependent colour all come along."""
    cameras, gaussians = path(), some_gaussians()
    values = WorldCameras.of(cameras).values
    inside, frame = normalized(values)
    outside = render_views(gaussians, values, 48, 32)
    seen = render_views(frame.gaussians_to_network(gaussians), inside, 48, 32)
    assert (outside.alphas > 0.5).any()
    torch.testing.assert_close(seen.images, outside.images, atol=2e-3, rtol=0)
    torch.testing.assert_close(seen.depths * float(frame.scale), outside.depths, atol=1e-2, rtol=0)


def test_rays_hit_what_cameras_project():
    camera = path()[1]
    values, _ = normalized(WorldCameras.of(path()).values)
    rays = ray_map(values, 32, 48)[1]
    seen = WorldCameras(values).cameras(48, 32)[1]
    nearest, direction = rays[3:, 20, 33], rays[:3, 20, 33]
    pixels, _ = seen.project((nearest + 3 * direction)[None])
    torch.testing.assert_close(pixels[0], torch.tensor([33.5, 20.5]), atol=1e-3, rtol=0)
    assert abs(float(nearest @ direction)) < 1e-5
    assert camera.width == seen.width


def test_paths_of_one_camera_are_refused():
    with pytest.raises(InputError, match="1 camera"):
        resampled(WorldCameras.of(path()[:1]).values, 3)
