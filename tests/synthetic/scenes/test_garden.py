"""A garden of points becomes Gaussians and an orbit."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from unseen.core import Camera, FormatError, InputError
from unseen.synthetic.scenes import film_garden, fitted_orbit, garden, garden_cameras, shoot_splats

TARGET, RADIUS, HEIGHT = (0.1, -0.2, 0.3), 1.5, 0.6
GAP = 0.02  # between points; round Gaussians stand out of the surface by as much


def orbit_camera(turn: float) -> Camera:
    eye = (TARGET[0] + RADIUS * math.sin(turn), TARGET[1] + RADIUS * math.cos(turn), TARGET[2] + HEIGHT)
    return Camera.look_at(eye, TARGET, 64, 48, focal_px=60.0, up=(0, 0, 1))


@pytest.fixture
def points(tmp_path: Path) -> Path:
    """A board of points, with some that float alone above it."""
    x, y = np.meshgrid(np.arange(-30, 30) * GAP, np.arange(-30, 30) * GAP)
    board = np.stack([x + TARGET[0], y + TARGET[1], np.full_like(x, TARGET[2])], -1).reshape(-1, 3)
    alone = np.array([[0.2, 0.1, 0.9], [-0.3, 0.2, 1.0], [0.5, -0.5, 0.8]])
    cameras = [orbit_camera(t) for t in (0.3, 1.1, 2.0)]
    path = tmp_path / "garden.npz"
    np.savez(
        path,
        means3d=np.concatenate([board, alone]).astype(np.float32),
        colors=np.full((len(board) + 3, 3), (200, 120, 40), np.uint8),
        viewmats=torch.stack([c.world_to_camera for c in cameras]).numpy(),
        Ks=torch.stack([c.K for c in cameras]).numpy(),
        width=64,
        height=48,
    )
    return path


def test_points_become_round_gaussians_as_wide_as_their_gaps(points: Path) -> None:
    made = garden(points)
    assert len(made.splats) == 3600  # without those that float
    assert abs(float(made.splats.scales.median()) - GAP) < 1e-3
    assert torch.allclose(made.splats.rgb[0], torch.tensor([200, 120, 40]) / 255, atol=1e-5)
    assert float(made.splats.opacities.min()) > 0.9


def test_the_orbit_of_its_cameras_is_found(points: Path) -> None:
    orbit = garden(points).orbit
    assert torch.allclose(orbit.target, torch.tensor(TARGET), atol=1e-4)
    assert torch.allclose(orbit.up, torch.tensor([0.0, 0, 1]), atol=1e-4)
    assert abs(orbit.radius - RADIUS) < 1e-4 and abs(orbit.height - HEIGHT) < 1e-4
    with pytest.raises(InputError, match="no orbit"):
        fitted_orbit((orbit_camera(0.3),))


def test_new_cameras_look_at_the_same_point_from_all_around(points: Path) -> None:
    made = garden(points)
    cameras = garden_cameras(made, 12, 96, 72)
    for camera in cameras:
        pixel, _ = camera.project(torch.tensor([TARGET]))
        assert (pixel - torch.tensor([[48.0, 36.0]])).abs().max() < 0.1 and float(camera.K[0, 0]) == 90.0
    shot = shoot_splats(made.splats, cameras[0])
    assert abs(float(shot.depth[36, 48]) - float((cameras[0].center - torch.tensor(TARGET)).norm())) < 5 * GAP
    assert (shot.image[36, 48].int() - torch.tensor([200, 120, 40])).abs().max() < 12


def test_a_garden_is_filmed_into_a_folder(points: Path, tmp_path: Path) -> None:
    album = film_garden(points, tmp_path / "out", photos=3, width=64, height=48)
    assert len(album.cameras) == 3 and (tmp_path / "out" / "transforms.json").is_file()
    assert (album.points[:, 2] - TARGET[2]).abs().median() < 3 * GAP


def test_other_files_get_one_clear_error(tmp_path: Path, points: Path) -> None:
    with pytest.raises(InputError, match=r"none\.npz"):
        garden(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(FormatError, match=r"text\.npz"):
        garden(tmp_path / "text.npz")
    with np.load(points) as content:
        arrays = dict(content)
    np.savez(tmp_path / "lacking.npz", **{k: v for k, v in arrays.items() if k != "colors"})
    with pytest.raises(FormatError, match="colors"):
        garden(tmp_path / "lacking.npz")
    np.savez(tmp_path / "shape.npz", **{**arrays, "means3d": arrays["means3d"][:, :2]})
    with pytest.raises(FormatError, match="means3d"):
        garden(tmp_path / "shape.npz")


def test_the_real_garden_stands_upright(shared_dir: Path) -> None:
    made = garden(shared_dir / "data" / "garden.npz")
    assert len(made.splats) > 100_000
    assert float(made.orbit.up[2]) > 0.99  # its world has z up
