import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import zoom

from photo_samples import ring, shoot, write_pictures
from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.io.colmap import write_colmap
from unseen.io.images import write_image
from unseen.io.lens import Lens
from unseen.io.photos import Photo, load_photo, load_photos, split_photos
from unseen.io.transforms import camera_to_entry

PLY = "ply\nformat ascii 1.0\nelement vertex 2\nproperty float x\nproperty float y\nproperty float z\n{}end_header\n{}"
NAMES = [f"{i}.png" for i in range(5)]


def nerf(folder, names=NAMES, file="transforms.json", common=None, **extra):
    """A project of nerfstudio's layout; `extra` goes into each frame."""
    frames = [{"file_path": f"images/{n}", **camera_to_entry(c), **extra} for n, c in zip(names, ring(), strict=True)]
    write_pictures(folder / "images", names)
    (folder / file).write_text(json.dumps({**(common or {}), "frames": frames[::-1]}))
    return folder


def test_nerfstudio(tmp_path):
    nerf(tmp_path, common={"ply_file_path": "sparse.ply", "applied_transform": [[0, 1, 0, 0]] * 3})
    colors = "property uchar red\nproperty uchar green\nproperty uchar blue\n"
    (tmp_path / "sparse.ply").write_text(PLY.format(colors, "1 2 3 255 0 51\n4 5 6 0 255 0\n"))
    for path in (tmp_path, tmp_path / "transforms.json"):
        photos = load_photos(path)
        assert [photo.name for photo in photos.photos] == NAMES
        assert photos.points.tolist() == [[1, 2, 3], [4, 5, 6]]
        torch.testing.assert_close(photos.point_colors[0], torch.tensor([1, 0, 0.2]))
        for photo, camera in zip(photos.photos, ring(), strict=True):
            torch.testing.assert_close(photo.camera.world_to_camera, camera.world_to_camera, atol=1e-5, rtol=0)
            assert photo.lens is None and torch.equal(photo.camera.K, camera.K)


def test_lenses_of_frames(tmp_path):
    nerf(tmp_path, common={"camera_model": "OPENCV", "k1": -0.1, "k2": 0.02, "p1": 0.001, "k4": 0.003})
    lens = load_photos(tmp_path).photos[0].lens
    assert lens.numerator == (-0.1, 0.02, 0) and lens.denominator == (0.003, 0, 0) and lens.tangential == (0.001, 0)
    nerf(tmp_path, k1=-0.2, common={"camera_model": "OPENCV_FISHEYE", "k1": -0.1, "k4": 0.01})
    lens = load_photos(tmp_path).photos[0].lens
    assert lens.fisheye and lens.numerator == (-0.2, 0, 0, 0.01) and not lens.denominator
    nerf(tmp_path, common={"camera_model": "EQUIRECTANGULAR"})
    with pytest.raises(FormatError, match="EQUIRECTANGULAR is not read"):
        load_photos(tmp_path)


def test_blender(tmp_path):
    for split, numbers in {"train": (0, 1), "test": (2,)}.items():
        write_pictures(tmp_path / split, [f"r_{i}.png" for i in numbers])
        poses = [camera_to_entry(ring()[i])["transform_matrix"] for i in numbers]
        frames = [{"file_path": f"./{split}/r_{i}", "transform_matrix": p} for i, p in zip(numbers, poses, strict=True)]
        text = json.dumps({"camera_angle_x": 2 * np.arctan(32 / 60), "frames": frames})
        (tmp_path / f"transforms_{split}.json").write_text(text)
    photos = load_photos(tmp_path)
    assert [photo.name for photo in photos.photos] == ["test/r_2.png", "train/r_0.png", "train/r_1.png"]
    torch.testing.assert_close(photos.photos[0].camera.K, ring()[0].K)
    (tmp_path / "held.txt").write_text("# the official split\n\ntest/*\n")
    assert split_photos(photos.photos, listed=tmp_path / "held.txt") == ([1, 2], [0])


def test_masks_and_depth_of_frames(tmp_path):
    nerf(tmp_path, mask_path="m/mask.png", depth_file_path="d/depth.png")
    write_pictures(tmp_path / "m", ["mask.png"])
    (tmp_path / "d").mkdir()
    Image.fromarray(np.array([[0, 1500]], np.uint16).repeat([40, 24], 1).repeat(48, 0)).save(tmp_path / "d/depth.png")
    photo = load_photos(tmp_path).photos[0]
    assert photo.mask == tmp_path / "m/mask.png" and photo.depth_scale == 0.001
    depth = load_photo(photo, 0.5).depth
    expected = np.array([[0, 1.5]]).repeat([20, 12], 1).repeat(24, 0)
    np.testing.assert_allclose(depth, expected, rtol=1e-6)
    nerf(tmp_path, depth_file_path="d/none.png")
    with pytest.raises(InputError, match=r"frame 0: the file .*none.png does not exist"):
        load_photos(tmp_path)


@pytest.mark.parametrize("swapped", [False, True])
def test_points_of_a_colmap_model_follow_its_cameras(tmp_path, swapped):
    swap = torch.eye(4)
    if swapped:  # nerfstudio's world, in files from before it said so
        swap = torch.tensor([[0.0, 1, 0, 0], [1, 0, 0, 0], [0, 0, -1, 0], [0, 0, 0, 1]])
    points = torch.randn(7, 3)
    moved = [Camera(c.world_to_camera @ swap, c.K, c.width, c.height) for c in ring()]
    nerf(tmp_path)
    write_colmap(tmp_path / "colmap", moved, NAMES, points, torch.rand(7, 3))
    got = load_photos(tmp_path)
    assert got.source == tmp_path / "transforms.json"
    torch.testing.assert_close(got.points, points @ swap[:3, :3].T, atol=1e-5, rtol=0)


def test_points_of_an_unrelated_model_are_left_out(tmp_path):
    nerf(tmp_path)
    others = [Camera.look_at((5, i, 1), (0, 0, 0), 64, 48, focal_px=60.0) for i in range(5)]
    write_colmap(tmp_path, others, NAMES, torch.randn(7, 3), torch.rand(7, 3))
    assert len(load_photos(tmp_path).points) == 0


def test_what_is_no_project(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_photos(tmp_path / "none")
    with pytest.raises(InputError, match=r"no cameras in .* solve for the cameras first"):
        load_photos(tmp_path)
    nerf(tmp_path)
    (tmp_path / "images" / "3.png").write_bytes((tmp_path / "images" / "3.png").read_bytes()[:20])
    with pytest.raises(FormatError, match=r"3.png is"):
        load_photos(tmp_path)
    (tmp_path / "images" / "3.png").unlink()
    with pytest.raises(InputError, match=r"frame 1: the picture .*3.png does not exist"):
        load_photos(tmp_path)
    (tmp_path / "transforms.json").write_text('{"frames": [{"transform_matrix": 1}]}')
    with pytest.raises(FormatError, match="frame 0 names no picture"):
        load_photos(tmp_path)


def photo(path, width=64, height=48, **more):
    return Photo(path.name, path, Camera.look_at((0, 0, 3), (0, 0, 0), width, height, focal_px=60.0), **more)


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "1"])
def test_pictures_of_every_mode(tmp_path, mode):
    rgb = np.full((48, 64, 3), 200, np.uint8)
    image = Image.fromarray(np.full((48, 64), 200 * 257, np.uint16)) if mode == "I;16" else Image.fromarray(rgb)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    (image if mode == "I;16" else image.convert(mode)).save(path)
    picture = load_photo(photo(path), 0.5)
    assert picture.image.shape == (24, 32, 3) and picture.image.dtype == np.uint8
    assert (picture.alpha is not None) == (mode in ("LA", "RGBA"))
    assert abs(picture.image.mean() - 200) < (60 if mode == "1" else 2)
    assert picture.camera.width == 32 and float(picture.camera.K[0, 0]) == 30


def test_reduction_averages_areas(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    got = load_photo(photo(tmp_path / "a.png"), 0.25).image
    assert np.abs(got - pixels.reshape(12, 4, 16, 4, 3).mean((1, 3))).max() <= 1
    assert np.array_equal(load_photo(photo(tmp_path / "a.png")).image, pixels)
    for scale in (0, 1.5, float("nan")):
        with pytest.raises(InputError, match="at scale"):
            load_photo(photo(tmp_path / "a.png"), scale)


def test_mask_and_depth_are_undistorted_with_the_picture(tmp_path):
    lens = Lens(160, 120, (110, 110), (82, 58), (-0.2, 0.05))
    pinhole = lens.pinhole()
    left = lambda rays: np.where(rays[:, :1] < 0.2 * rays[:, 2:], 1.0, 0.0).repeat(3, 1)  # noqa: E731
    image = shoot(lens, left)
    Image.fromarray(image).save(tmp_path / "a.png")
    Image.fromarray(image[..., 0]).resize((80, 60)).save(tmp_path / "mask.png")
    np.savez(tmp_path / "depth.npz", zoom(image[..., 0] / 255.0, 0.5, order=0))
    camera = Camera(torch.eye(4), pinhole.K, pinhole.width, pinhole.height)
    sample = Photo("a.png", tmp_path / "a.png", camera, lens, tmp_path / "mask.png", tmp_path / "depth.npz", 2.0)
    picture = load_photo(sample)
    expected = shoot(pinhole, left)[..., 0] / 255
    assert np.abs(picture.image[..., 0] / 255 - expected).mean() < 0.005
    assert np.abs(picture.mask / 255 - expected).mean() < 0.01
    assert np.abs(picture.depth / 2 - expected).mean() < 0.01


def test_masks_turn_with_a_picture_that_lies_on_its_side(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = np.zeros((48, 64), np.uint8)
    stored[:10] = 255
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    Image.fromarray(stored).save(tmp_path / "mask.png")
    picture = load_photo(photo(tmp_path / "a.png", 48, 64, mask=tmp_path / "mask.png"))
    assert np.array_equal(picture.image[..., 0], picture.mask) and picture.mask[:, -10:].min() == 255


def test_files_that_do_not_fit_are_named(tmp_path):
    write_pictures(tmp_path, ["a.png", "b.jpg"])
    with pytest.raises(FormatError, match=r"a.png has 64 x 48 pixels, expected 60 x 48"):
        load_photo(photo(tmp_path / "a.png", 60, 48))
    write_image(tmp_path / "m.png", torch.zeros(64, 64))
    with pytest.raises(FormatError, match=r"m.png has 64 x 64 pixels, its photo 64 x 48"):
        load_photo(photo(tmp_path / "a.png", mask=tmp_path / "m.png"))
    np.save(tmp_path / "d.npy", np.zeros((48, 64, 3)))
    with pytest.raises(FormatError, match=r"d.npy has shape \(48, 64, 3\)"):
        load_photo(photo(tmp_path / "a.png", depth=tmp_path / "d.npy"))
    (tmp_path / "e.npz").write_bytes(b"PK nothing")
    with pytest.raises(FormatError, match=r"e.npz is damaged"):
        load_photo(photo(tmp_path / "a.png", depth=tmp_path / "e.npz"))
    (tmp_path / "b.jpg").write_bytes((tmp_path / "b.jpg").read_bytes()[:900])
    with pytest.raises(FormatError, match=r"b.jpg is damaged"):
        load_photo(photo(tmp_path / "b.jpg"))


def test_every_eighth_is_held_out(tmp_path):
    photos = [photo(tmp_path / f"{i:02d}.png") for i in range(18)]
    fitted, held = split_photos(photos)
    assert held == [0, 8, 16] and sorted(fitted + held) == list(range(18))
    assert split_photos(photos, every=0) == (list(range(18)), [])
    with pytest.raises(InputError, match="all 18 photos would be held out"):
        split_photos(photos, every=1)


def test_a_list_of_held_out_photos(tmp_path):
    photos = [photo(tmp_path / f"{i:02d}[a].png") for i in range(4)]
    (tmp_path / "held.txt").write_text("# the shelf\n02[a].png\n\n00[a].png\n")
    assert split_photos(photos, listed=tmp_path / "held.txt") == ([1, 3], [0, 2])
    (tmp_path / "held.txt").write_text("9.png\n")
    with pytest.raises(InputError, match=r"holds out '9.png', but there is no such photo"):
        split_photos(photos, listed=tmp_path / "held.txt")
    with pytest.raises(InputError, match="cannot read the list"):
        split_photos(photos, listed=tmp_path / "none.txt")
