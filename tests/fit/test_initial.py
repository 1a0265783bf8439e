"""Where fits start, and what they leave out at the end."""

import pytest
import torch

from fitting_scenes import blobs, ring_of_cameras
from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.fit.initial import far_points, random_points, splats_at_points
from unseen.fit.pruning import weight_in, without_unseen
from unseen.render.scene import render_gaussians


def test_splats_are_as_large_as_their_neighbours_are_far():
    grid = torch.cartesian_prod(*[torch.arange(4.0)] * 3) * 0.5
    splats = splats_at_points(grid, torch.rand(64, 3), 2, opacity=0.1, size=1.0)
    assert torch.allclose(splats.scales, torch.full((64, 3), 0.5))
    assert torch.allclose(splats.opacities, torch.full((64,), 0.1)) and splats.sh_degree == 2
    doubled = splats_at_points(torch.cat([grid, grid[:1].expand(5, 3)]), torch.rand(69, 3), 0, 0.1, 1.0)
    assert float(doubled.scales.min()) > 0.1
    with pytest.raises(InputError, match="at least 4"):
        splats_at_points(grid[:3], torch.rand(3, 3), 0, 0.1, 1.0)


def test_far_points_are_where_photos_look():
    camera = Camera.look_at((0, 0, 0), (0, 0, 5), 64, 48, focal_px=60.0)
    points = far_points([camera], 4000, 20.0, torch.Generator().manual_seed(0))
    assert 0.03 < len(points) / 4000 < 0.1
    pixels, depth = camera.project(points)
    assert bool((depth > 0).all()) and bool((pixels >= 0).all()) and float(pixels[:, 0].max()) < 64
    assert torch.allclose(points.norm(dim=1), torch.full((len(points),), 20.0))


def test_random_points_fill_their_cube():
    points, colors = random_points(500, 2.0, torch.Generator().manual_seed(0))
    assert 1.9 < float(points.abs().max()) <= 2.0 and float(colors.min()) >= 0 and float(colors.max()) <= 1


def test_weights_are_the_share_of_the_picture():
    splats, camera = blobs(), ring_of_cameras(1)[0]
    total = float(weight_in(splats, [camera], False).sum())
    alone = Gaussians(**{**vars(splats), "sh0": torch.full((60, 3), 0.5 / 0.28209479)})  # white
    assert total == pytest.approx(float(render_gaussians(alone, camera, 0.0)[..., 0].sum()), rel=1e-4)


def test_what_no_camera_shows_is_left_out_and_pictures_stay():
    behind = blobs().map(lambda t: t.clone())
    behind.means[:] += torch.tensor([0.0, 0.0, 50.0])
    both, camera = Gaussians.cat([blobs(), behind]), ring_of_cameras(1)[0]
    kept = without_unseen(both, [camera], False)
    assert len(kept) <= 60
    assert torch.allclose(render_gaussians(kept, camera), render_gaussians(both, camera), atol=1e-4)
