"""Folders of photographs are read back as they were meant."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from little_scene import HEIGHT_M, little_scene
from PIL import Image

from unseen.core import InputError
from unseen.io.photos import load_photo, load_photos
from unseen.synthetic.scenes import Album, dome, photograph, write_album

TARGET = (0.0, HEIGHT_M, 0.0)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Album:
    cameras = dome(5, target=TARGET, radius_m=(1.6, 2.0), width=80, height=60)
    return photograph(little_scene(), cameras, tmp_path_factory.mktemp("album"), masks=True, exposure_stops=0.3, seed=4)


def test_transforms_and_colmap_tell_the_same_cameras(album: Album) -> None:
    for path in (album.folder / "transforms.json", album.folder / "sparse" / "0"):
        photos = load_photos(path, images=album.folder / "images")
        assert [p.name.split("/")[-1] for p in photos.photos] == list(album.names)
        for photo, camera in zip(photos.photos, album.cameras, strict=True):
            assert torch.allclose(photo.camera.world_to_camera, camera.world_to_camera, atol=1e-5)
            assert torch.allclose(photo.camera.K, camera.K, rtol=1e-5) and photo.lens is None
        assert torch.allclose(photos.points, album.points, atol=1e-5)


def test_depth_and_masks_come_back(album: Album) -> None:
    photo = load_photos(album.folder / "transforms.json").photos[0]
    picture, camera = load_photo(photo), album.cameras[0]
    assert picture.image.shape == (60, 80, 3) and picture.depth is not None and picture.mask is not None
    pixel, _ = camera.project(torch.tensor([TARGET]))
    x, y = (int(v) for v in pixel[0])
    ray = torch.linalg.inv(camera.K) @ torch.tensor([x + 0.5, y + 0.5, 1.0])
    point = camera.camera_to_world[:3, :3] @ ray * float(picture.depth[y, x]) + camera.center
    assert picture.mask[y, x] == 255 and abs(float(point[1]) - HEIGHT_M) < 1e-3
    assert picture.mask[0, 0] == 0


def test_points_lie_on_the_surfaces(album: Album) -> None:
    points = album.points.double()
    floor, square = points[:, 1].abs() < 1e-3, (points[:, 1] - HEIGHT_M).abs() < 1e-3
    pillar = ((points[:, 0] - 1.5).abs() < 0.102) & (points[:, 2].abs() < 0.102)
    assert bool((floor | square | pillar).all()) and int(square.sum()) > 100
    assert float(album.point_colors[square & ~pillar].mean()) > 2 * float(album.point_colors[floor].mean())


def test_pictures_tell_their_focal_length(album: Album) -> None:
    exif = Image.open(album.folder / "images" / album.names[0]).getexif()
    assert exif.get_ifd(0x8769)[0xA405] == 35 and exif[0x0110] == "little"


def test_exposures_differ(album: Album) -> None:
    levels = [np.asarray(Image.open(p)).mean() for p in sorted((album.folder / "images").glob("*.jpg"))]
    assert max(levels) > 1.1 * min(levels)


def test_depth_beyond_sixteen_bits_is_left_out(tmp_path: Path, album: Album) -> None:
    from unseen.synthetic.scenes import shoot

    camera = album.cameras[0]
    shot = shoot(little_scene(), camera)
    write_album(tmp_path, [camera], [shot], model="x", depth_unit=float(shot.depth.max()) / 70_000)
    steps = np.asarray(Image.open(tmp_path / "depth" / "0001.png"))
    assert (steps[(shot.depth == shot.depth.max()).numpy()] == 0).all() and steps.max() > 60_000
    assert json.loads((tmp_path / "transforms.json").read_text())["frames"][0]["file_path"] == "images/0001.jpg"
    with pytest.raises(InputError, match="no photographs"):
        write_album(tmp_path, [], [], model="x")
