import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.core.gaussians import Gaussians
from unseen.core.rotations import axis_angle_to_matrix
from unseen.fit.world import Similarity, normalise
from unseen.io.photoset import Photo, PhotoSet
from unseen.render import rasterization

TURN = axis_angle_to_matrix(torch.tensor([0.4, -1.1, 0.7], dtype=torch.float64))
MOVE = Similarity(2.5, TURN, torch.tensor([3.0, -1.0, 0.5]))


def gaussians(degree: int, count: int = 80) -> Gaussians:
    g = torch.Generator().manual_seed(degree)
    k = (degree + 1) ** 2 - 1
    means, quats = torch.randn(count, 3, generator=g) * 0.4, torch.randn(count, 4, generator=g)
    log_scales, rest = torch.randn(count, 3, generator=g) * 0.3 - 2.5, torch.randn(count, k, 3, generator=g) * 0.3
    return Gaussians(
        means, quats, log_scales, torch.randn(count, generator=g), torch.randn(count, 3, generator=g), rest
    )


def render(g: Gaussians, camera: Camera) -> torch.Tensor:
    return rasterization(
        g.means, g.quats, g.scales, g.opacities, g.sh, camera.world_to_camera[None], camera.K[None],
        camera.width, camera.height, sh_degree=g.sh_degree,
    )[0]  # fmt: skip


def photoset(cameras: list[Camera], points: torch.Tensor | None = None) -> PhotoSet:
    photos = tuple(Photo(f"{i}.png", Path(f"{i}.png"), camera) for i, camera in enumerate(cameras))
    points = torch.zeros(0, 3) if points is None else points
    return PhotoSet(photos, points, torch.zeros_like(points), Path("here"))


def dome(tilt: Similarity = MOVE) -> list[Camera]:
    """Around a table, y up, carried off to another world."""
    eyes = [(3 * math.cos(a), 1.0, 2 * math.sin(a)) for a in torch.linspace(0, 2 * math.pi, 13)[:-1].tolist()]
    return [tilt.camera(Camera.look_at(eye, (0, 0.5, 0), 32, 24, focal_px=30.0)) for eye in eyes]


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_a_moved_camera_sees_moved_gaussians_as_before(degree):
    camera, scene = Camera.look_at((1, 0.5, 3), (0, 0, 0), 48, 36, focal_px=45.0), gaussians(degree)
    before, after = render(scene, camera), render(MOVE.gaussians(scene), MOVE.camera(camera))
    assert before.std() > 0.05
    torch.testing.assert_close(after, before, atol=2e-5, rtol=0)


def test_there_and_back():
    back, scene = MOVE.inverse(), gaussians(3)
    there = back.gaussians(MOVE.gaussians(scene))
    for name in ("means", "log_scales", "sh0", "shN", "logit_opacities"):
        torch.testing.assert_close(getattr(there, name), getattr(scene, name), atol=1e-5, rtol=0)
    camera = Camera.look_at((1, 0.5, 3), (0, 0, 0), 48, 36, focal_px=45.0)
    torch.testing.assert_close(back.camera(MOVE.camera(camera)).world_to_camera, camera.world_to_camera)
    points = torch.randn(5, 3, dtype=torch.float64)
    torch.testing.assert_close(back.points(MOVE.points(points)), points)


def test_points_depths_and_cameras_move_together():
    points = torch.randn(6, 3)
    moved = MOVE.photos(photoset(dome(), points))
    for before, after in zip(dome(), moved.photos, strict=True):
        pixels, depth = before.project(points)
        pixels_after, depth_after = after.camera.project(moved.points)
        torch.testing.assert_close(pixels_after, pixels, atol=1e-2, rtol=1e-3)
        torch.testing.assert_close(depth_after, MOVE.scale * depth, atol=1e-4, rtol=1e-4)
        assert after.depth_scale == MOVE.scale


def test_normalised_cameras_stand_upright_around_the_origin():
    photos = photoset(dome())
    cameras = [photo.camera for photo in normalise(photos).photos(photos).photos]
    centers = torch.stack([camera.center for camera in cameras])
    torch.testing.assert_close(centers.mean(0), torch.zeros(3), atol=1e-5, rtol=0)
    assert centers.norm(dim=1).max() == pytest.approx(1, abs=1e-5)
    up = torch.stack([-camera.world_to_camera[1, :3] for camera in cameras]).mean(0)
    torch.testing.assert_close(up / up.norm(), torch.tensor([0.0, 1, 0]), atol=1e-5, rtol=0)
    assert centers[:, 0].std() > 1.4 * centers[:, 2].std()  # the long side of the ellipse lies along x
    assert torch.linalg.det(normalise(photos).rotation) == pytest.approx(1)


def test_the_order_of_a_world_does_not_depend_on_where_it_was():
    here, there = normalise(photoset(dome())), normalise(photoset(dome(Similarity.identity())))
    carried = here.rotation @ TURN
    assert here.scale * MOVE.scale == pytest.approx(there.scale)
    torch.testing.assert_close(carried.abs(), there.rotation.abs(), atol=1e-5, rtol=0)


def test_odd_sets_of_cameras():
    one = Camera.look_at((0, 1, 3), (0, 1, 0), 32, 24, focal_px=30.0)
    points = torch.tensor([[0.0, 1, -1], [1, 1, 3], [0, 5, 3]])  # 4, 1 and 4 from the camera
    assert normalise(photoset([one], points)).scale == pytest.approx(1 / 4)
    alone = normalise(photoset([one]))
    assert alone.scale == 1 and torch.linalg.det(alone.rotation) == pytest.approx(1)
    torch.testing.assert_close(alone.rotation[1].float(), torch.tensor([0.0, 1, 0]))
    down = [replace(one, world_to_camera=torch.diag(torch.tensor(s)) @ one.world_to_camera)
            for s in ([1.0, 1, 1, 1], [-1.0, -1, 1, 1])]  # fmt: skip
    assert normalise(photoset(down)).rotation.isfinite().all()
    with pytest.raises(InputError, match="has no photos"):
        normalise(photoset([]))
    with pytest.raises(InputError, match="not finite"):
        normalise(photoset([replace(one, world_to_camera=one.world_to_camera * torch.nan)]))


def test_saved_and_read_exactly(tmp_path):
    MOVE.save(tmp_path / "world.json")
    again = Similarity.load(tmp_path / "world.json")
    assert again.scale == MOVE.scale and torch.equal(again.rotation, MOVE.rotation)
    assert torch.equal(again.translation, MOVE.translation)
    (tmp_path / "other.json").write_text('{"scale": -1, "rotation": [[1]], "translation": []}')
    with pytest.raises(FormatError, match=r"other.json holds no scale"):
        Similarity.load(tmp_path / "other.json")
    with pytest.raises(InputError, match="cannot read"):
        Similarity.load(tmp_path / "none.json")
    with pytest.raises(ShapeError, match=r"rotation \(2, 2\)"):
        Similarity(1.0, torch.eye(2), torch.zeros(3))
