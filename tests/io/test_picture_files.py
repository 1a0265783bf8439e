import numpy as np
import pytest
import torch
from PIL import Image

from photo_samples import write_pictures
from unseen.core.errors import FormatError, InputError
from unseen.io.images import read_image
from unseen.io.lens import Lens
from unseen.io.picture_files import find_mask, find_picture, list_pictures, solved_camera


def test_lists_pictures_of_subfolders_in_order(tmp_path):
    write_pictures(tmp_path, ["b/2.png", "b/10.jpg", "a.png", ".cache/x.png"])
    (tmp_path / "notes.txt").write_text("no picture")
    assert list_pictures(tmp_path) == ["a.png", "b/10.jpg", "b/2.png"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no pictures"):
        list_pictures(tmp_path / "empty")
    with pytest.raises(InputError, match="no folder"):
        list_pictures(tmp_path / "none")


def test_finds_pictures_and_masks_by_the_names_people_give_them(tmp_path):
    write_pictures(tmp_path, ["a.jpg.png", "b.png", "c.JPG", "r_0.png", "f.0001.png"])
    assert find_mask(tmp_path, "a.jpg").name == "a.jpg.png"
    assert find_mask(tmp_path, "b.jpg").name == "b.png"
    assert find_mask(None, "b.jpg") is None
    assert find_picture(tmp_path, "c.png").name == "c.JPG"
    assert find_picture(tmp_path, "r_0").name == "r_0.png"
    assert find_picture(tmp_path, "f.0001").name == "f.0001.png"
    assert find_picture(tmp_path, "none.png") is None


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_cameras_solved_for_stored_pixels_are_turned_upright(tmp_path, orientation):
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[10:14, 50:54] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    lens = Lens(120, 80, (100, 100), (60, 40), (-0.1,))  # solved at twice the resolution
    camera, upright = solved_camera(tmp_path / "a.png", lens, torch.eye(4, dtype=torch.float64))
    point = torch.from_numpy(lens.unproject(np.array([[104.0, 24.0]]))[0]) * 3  # the blob's middle
    local = point @ camera.world_to_camera[:3, :3].double().T + camera.world_to_camera[:3, 3].double()
    rows, columns = torch.nonzero(read_image(tmp_path / "a.png")[..., 0], as_tuple=True)
    expected = [float(columns.double().mean()) + 0.5, float(rows.double().mean()) + 0.5]
    assert upright.project(local.numpy())[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_cameras_solved_for_the_upright_picture_stay(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (60, 40)).save(tmp_path / "a.png", exif=exif)
    camera, lens = solved_camera(
        tmp_path / "a.png", Lens(40, 60, (50, 50), (20, 30)), torch.eye(4, dtype=torch.float64)
    )
    assert lens is None and (camera.width, camera.height) == (40, 60)
    assert torch.equal(camera.world_to_camera, torch.eye(4))


def test_pictures_that_do_not_fit_their_camera(tmp_path):
    eye = torch.eye(4, dtype=torch.float64)
    write_pictures(tmp_path, ["a.png"])
    with pytest.raises(FormatError, match="64 x 48 pixels, its camera 100 x 100"):
        solved_camera(tmp_path / "a.png", Lens(100, 100, (50, 50), (50, 50)), eye)
    exif = Image.Exif()
    exif[0x0112] = 2
    Image.new("RGB", (64, 48)).save(tmp_path / "mirrored.png", exif=exif)
    with pytest.raises(InputError, match="mirrored"):
        solved_camera(tmp_path / "mirrored.png", Lens(64, 48, (50, 50), (32, 24)), eye)
