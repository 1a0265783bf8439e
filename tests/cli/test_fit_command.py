"""`unseen fit` and `unseen eval` as people meet them."""

import json

import pytest
from test_cli import expect_error, here, unseen

from fitting_scenes import blobs, pictures_of, ring_of_cameras
from unseen.io.images import write_image
from unseen.io.transforms import camera_to_entry


@pytest.fixture
def album(tmp_path):
    """A transforms.json of 9 small photos."""
    folder = tmp_path / "album"
    folder.mkdir()
    frames = []
    for i, picture in enumerate(pictures_of(blobs(), ring_of_cameras(9, 32)).pictures):
        write_image(folder / f"{i}.png", picture.image)
        frames.append(camera_to_entry(picture.camera) | {"file_path": f"{i}.png"})
    (folder / "transforms.json").write_text(json.dumps({"frames": frames}))
    return folder


def test_photos_to_scene_to_figures(album, tmp_path):
    out = tmp_path / "out"
    options = ["--steps", 20, "--max-splats", 500, "--export", "html,spz", "--no-tensorboard", "--json"]
    fitted = unseen("fit", album, "-o", out, *options)
    assert fitted.returncode == 0, fitted.stderr
    summary = json.loads(fitted.stdout)
    assert summary["fitted_photos"] == 7 and summary["held_out"]["photos"] == 2
    judged = unseen("eval", out)
    assert judged.returncode == 0, judged.stderr
    assert len(judged.stdout.splitlines()) == 3 and "mean of 2" in judged.stdout
    config = json.loads((out / "config.json").read_text())
    assert config["fit"]["steps"] == 20 and config["fit"]["max_splats"] == 500
    again = unseen(
        "fit", album, "-o", tmp_path / "again", "--config", out / "config.json", "--no-tensorboard", "--json"
    )
    assert json.loads(again.stdout)["held_out"]["psnr"] == summary["held_out"]["psnr"]


def test_errors_are_one_line(album, tmp_path):
    expect_error(here("fit", tmp_path / "none", "-o", tmp_path / "a"), 2, "does not exist")
    expect_error(here("fit", album, "-o", tmp_path / "b", "--export", "obj"), 2, "cannot export 'obj'", "glb")
    expect_error(here("eval", tmp_path), 2, "holds no finished fit")
    (album / "3.png").write_bytes((album / "3.png").read_bytes()[:60])
    result = unseen("fit", album, "-o", tmp_path / "c", "--steps", 20, "--no-tensorboard", "--json")
    expect_error(result, 2, "3.png")
    (album / "transforms.json").write_text("{")
    expect_error(here("fit", album, "-o", tmp_path / "d"), 2, "is not a JSON file")
