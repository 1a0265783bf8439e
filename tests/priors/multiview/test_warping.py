"""A picture warped to other cameras, against the same scene drawn from them."""

import pytest
import torch

from unseen.core.camera import Camera
from unseen.head.library import head_model
from unseen.priors.multiview.warping import WarpedViews, warp_views
from unseen.render.mesh import interpolate, rasterize_mesh

SIDE = 96
FILMED = torch.ones(SIDE, SIDE, dtype=torch.bool)


@pytest.fixture(scope="module")
def mesh():
    model = head_model("procedural")
    return model.v_template.float(), model.faces


def around(yaw_deg, center):
    yaw = torch.deg2rad(torch.tensor(float(yaw_deg)))
    eye = center + torch.stack([yaw.sin(), torch.tensor(0.0), yaw.cos()])
    return Camera.look_at(eye, center, SIDE, SIDE, focal_px=2.2 * SIDE)


def painted(vertices, faces, camera):
    """Every point in the colour of its place; white beside the mesh."""
    buffers = rasterize_mesh(vertices, faces, camera)
    return torch.where(buffers.mask[..., None], interpolate(buffers, 0.5 + 0.4 * torch.sin(20 * vertices)), 1.0)


def warped(mesh, *yaws, inside=FILMED):
    vertices, faces = mesh
    center = vertices.mean(0)
    source, cameras = around(0, center), [around(yaw, center) for yaw in yaws]
    picture = painted(vertices, faces, source)
    truth = torch.stack([painted(vertices, faces, camera) for camera in cameras])
    return warp_views(picture, inside, source, vertices, faces, cameras), truth


def test_the_same_camera_keeps_the_whole_picture(mesh):
    views, truth = warped(mesh, 0)
    assert views.trust.min() > 0.99
    assert (views.over(torch.zeros_like(truth)) - truth).abs().max() < 0.02


def test_other_cameras_get_what_the_picture_shows_in_its_place(mesh):
    views, truth = warped(mesh, 30, -30)
    kept = views.trust > 0.9
    assert 0.1 < kept.float().mean() < 0.6
    assert (views.images - truth).abs()[kept].mean() < 0.02


def test_less_is_kept_the_farther_the_camera_and_nothing_behind(mesh):
    views, _ = warped(mesh, 0, 30, 60, 90, 180)
    kept = views.trust.mean((1, 2)).tolist()
    assert kept == sorted(kept, reverse=True) and kept[2] > 0 and kept[3:] == [0, 0]


def test_nothing_comes_from_beyond_the_edges_of_what_was_filmed(mesh):
    inside = FILMED.clone()
    inside[:, : SIDE // 2] = False
    views, _ = warped(mesh, 0, inside=inside)
    assert views.trust[0, :, : SIDE // 2 - 1].max() < 0.1 and views.trust[0, :, SIDE // 2 + 6 :].min() > 0.9


def test_a_thing_in_front_is_not_painted_on_what_it_hides():
    """A small square before a large one, looked at from 30 degrees aside."""
    corners = torch.tensor([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    vertices = torch.cat([0.15 * corners, 0.04 * corners + torch.tensor([0, 0, 0.1])])
    faces = torch.tensor([[0, 1, 2], [0, 2, 3], [4, 5, 6], [4, 6, 7]])
    cameras = [around(yaw, torch.zeros(3)) for yaw in (0, 30)]
    buffers = [rasterize_mesh(vertices, faces, camera) for camera in cameras]
    red = torch.tensor([1.0, 0, 0])
    picture = torch.where((buffers[0].face_ids >= 2)[..., None], red, torch.tensor([0, 0, 1.0]))
    views = warp_views(picture, FILMED, cameras[0], vertices, faces, cameras[1:])
    behind = (buffers[1].face_ids >= 0) & (buffers[1].face_ids < 2) & (views.trust[0] > 0.9)
    assert behind.any() and views.images[0, ..., 0][behind].max() < 0.1


def test_trust_says_how_much_is_kept():
    trust = torch.tensor([0.0, 0.25, 1.0]).expand(1, 3, 3)
    views = WarpedViews(torch.ones(1, 3, 3, 3), trust)
    torch.testing.assert_close(views.over(torch.zeros(1, 3, 3, 3)), trust[..., None].expand(1, 3, 3, 3))
