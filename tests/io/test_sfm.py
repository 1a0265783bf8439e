import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from photo_samples import photograph_room, room_cameras
from unseen.core.errors import InputError, MissingDependencyError
from unseen.io.photos import load_photo
from unseen.io.sfm import solve_cameras

NAMES = ["a 1.jpg", *(f"b/{i}.jpg" for i in range(2, 8))]
"""A blank in a name, a subfolder."""


@pytest.fixture(scope="session")
def room(tmp_path_factory):
    """Seven photos of a room, and a picture of nothing."""
    pytest.importorskip("pycolmap", reason="needs pycolmap: pip install 'unseen[sfm]'")
    folder = tmp_path_factory.mktemp("room")
    (folder / "b").mkdir()
    photograph_room(folder, room_cameras(len(NAMES)), NAMES)
    Image.new("RGB", (320, 240), (90, 90, 90)).save(folder / "nothing.jpg")
    return folder


def aligned_error(photos) -> float:
    """Largest distance of a camera from its true place, after the best similarity (Umeyama 1991)."""
    truth = {n: c.center.double() for n, c in zip(NAMES, room_cameras(len(NAMES)), strict=True)}
    ours = torch.stack([p.camera.center.double() for p in photos.photos])
    true = torch.stack([truth[p.name] for p in photos.photos])
    a, b = ours - ours.mean(0), true - true.mean(0)
    u, s, v = torch.linalg.svd(b.T @ a)
    sign = torch.tensor([1, 1, float(torch.linalg.det(u @ v))], dtype=torch.float64)
    rotation, scale = u @ torch.diag(sign) @ v, (s * sign).sum() / a.square().sum()
    return float((scale * a @ rotation.T - b).norm(dim=1).max())


def stop_at(stage, done):
    def progress(name, now, _):
        if name == stage and now >= done:
            raise KeyboardInterrupt

    return progress


@pytest.mark.slow
def test_cameras_of_a_room(room, tmp_path):
    lines, stages = [], []
    photos = solve_cameras(room, tmp_path, camera_model="SIMPLE_RADIAL", note=lines.append,
                           progress=lambda *stage: stages.append(stage))  # fmt: skip
    assert [p.name for p in photos.photos] == sorted(NAMES)
    assert aligned_error(photos) < 0.03 and len(photos.points) > 300
    focal = float(photos.photos[0].camera.K[0, 0])
    assert focal == pytest.approx(260, rel=0.03)
    _, depth = photos.photos[0].camera.project(photos.points)
    assert (depth > 0).float().mean() > 0.95 and load_photo(photos.photos[0]).image.std() > 20
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["registered"] == 7 and list(report["failed"]) == ["nothing.jpg"]
    assert "0 features" in report["failed"]["nothing.jpg"] and lines[0].startswith("7 of 8 photos placed")
    assert {"pictures", "features", "matches", "cameras"} == {name for name, *_ in stages}
    again = solve_cameras(room, tmp_path, camera_model="SIMPLE_RADIAL", progress=stop_at("features", 0))
    assert torch.equal(again.points, photos.points)
    with pytest.raises(InputError, match=r"only 7 of 8 photos could be placed.*0 features"):
        solve_cameras(room, tmp_path, camera_model="SIMPLE_RADIAL", min_share=0.95)


@pytest.mark.slow
def test_a_stopped_run_goes_on_to_the_same_bytes_on_any_number_of_threads(room, tmp_path):
    options = {"camera_model": "SIMPLE_RADIAL", "max_features": 1500}
    solve_cameras(room, tmp_path / "whole", threads=1, **options)
    for stage, done in (("pictures", 3), ("matches", 0), ("cameras", 2)):
        with pytest.raises(KeyboardInterrupt):
            solve_cameras(room, tmp_path / "stopped", progress=stop_at(stage, done), **options)
    solve_cameras(room, tmp_path / "stopped", **options)
    for name in ("cameras.bin", "images.bin", "points3D.bin"):
        place = f"sparse/0/{name}"
        assert (tmp_path / "whole" / place).read_bytes() == (tmp_path / "stopped" / place).read_bytes()


def test_what_cannot_be_solved(tmp_path, monkeypatch):
    pytest.importorskip("pycolmap", reason="needs pycolmap: pip install 'unseen[sfm]'")
    pictures, work = tmp_path / "pictures", tmp_path / "work"
    with pytest.raises(InputError, match="does not exist: expected a folder of pictures or a video"):
        solve_cameras(pictures, work)
    pictures.mkdir()
    for i in range(2):
        noise = np.random.default_rng(i).integers(0, 256, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(noise).save(pictures / f"{i}.png")
    with pytest.raises(InputError, match="has 2 pictures: expected at least 3"):
        solve_cameras(pictures, work)
    with pytest.raises(InputError, match="single picture"):
        solve_cameras(pictures / "0.png", work)
    with pytest.raises(InputError, match="camera model 'FISH': expected one of"):
        solve_cameras(pictures, work, camera_model="FISH")
    for i in range(2, 4):
        Image.new("RGB", (80, 60), (i * 60, 0, 0)).save(pictures / f"{i}.png")
    with pytest.raises(InputError, match="only 0 of 4 photos could be placed"):
        solve_cameras(pictures, work)
    exif = Image.Exif()
    exif[0x0112] = 4
    Image.new("RGB", (80, 60)).save(pictures / "m.png", exif=exif)
    with pytest.raises(InputError, match=r"m.png is stored mirrored"):
        solve_cameras(pictures, work)


def test_without_pycolmap_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pycolmap", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'unseen\[sfm\]'"):
        solve_cameras(tmp_path, tmp_path / "work")
