import shutil
import struct
from contextlib import suppress

import numpy as np
import pytest
import torch

from photo_samples import ring, write_pictures
from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.io.colmap import find_model, read_colmap, read_model, write_colmap

NAMES = ["left/0.png", "left/1.png", "left/2.png", "right/0.png", "right/1.png"]
GENERATOR = torch.Generator().manual_seed(0)
POINTS = torch.randn(20, 3, generator=GENERATOR) * 0.3
COLORS = torch.randint(0, 256, (20, 3), generator=GENERATOR) / 255


def project(folder, binary=True, names=NAMES, width=64, height=48):
    write_pictures(folder / "images", names, width, height)
    write_colmap(folder, ring(len(names)), names, POINTS, COLORS, binary=binary, tracks=[[0, 1, 2]] * 20)
    return folder


@pytest.mark.parametrize("binary", [True, False])
def test_what_is_written_is_read(tmp_path, binary):
    photos = read_colmap(project(tmp_path, binary))
    assert [photo.name for photo in photos.photos] == NAMES
    assert torch.equal(photos.points, POINTS) and torch.equal(photos.point_colors, COLORS)
    assert photos.source == tmp_path / "sparse" / "0"
    for photo, camera in zip(photos.photos, ring(), strict=True):
        assert photo.lens is None and photo.path.is_file() and photo.mask is None
        assert torch.equal(photo.camera.K, camera.K) and photo.camera.width == 64
        torch.testing.assert_close(photo.camera.world_to_camera, camera.world_to_camera, atol=1e-6, rtol=0)


@pytest.mark.parametrize("binary", [True, False])
def test_pycolmap_reads_what_is_written_and_its_files_are_read(tmp_path, binary):
    pycolmap = pytest.importorskip("pycolmap", reason="needs pycolmap, the independent reader")
    model = pycolmap.Reconstruction(write_colmap(tmp_path, ring(), NAMES, POINTS, COLORS, tracks=[[0, 3]] * 20))
    assert model.num_reg_images() == 5 and model.num_cameras() == 1 and model.num_points3D() == 20
    assert model.image(2).name == NAMES[1]
    np.testing.assert_allclose(model.image(2).cam_from_world().matrix(), ring()[1].world_to_camera[:3], atol=1e-6)
    np.testing.assert_array_equal(model.point3D(7).xyz, POINTS[6].double())
    np.testing.assert_array_equal(model.point3D(7).color, (COLORS[6] * 255).round())
    assert [(e.image_id, e.point2D_idx) for e in model.point3D(7).track.elements] == [(1, 6), (4, 6)]
    assert model.compute_mean_reprojection_error() < 1e-6
    (tmp_path / "theirs").mkdir()
    (model.write_binary if binary else model.write_text)(tmp_path / "theirs")  # with rigs and frames beside
    ours = read_model(tmp_path / "theirs")
    np.testing.assert_array_equal(ours.points.positions, POINTS.double())
    assert {i.name for i in ours.images.values()} == set(NAMES)
    np.testing.assert_allclose(ours.images[4].pixels, [p.xy for p in model.image(4).points2D])
    assert ours.images[4].point_ids.tolist() == list(range(1, 21)) and len(ours.images[3].pixels) == 0


@pytest.mark.parametrize("place", [".", "sparse", "sparse/0", "colmap/sparse/0"])
def test_models_are_found_where_people_keep_them(tmp_path, place):
    written = write_colmap(tmp_path / "made", ring(), NAMES, POINTS, COLORS)
    shutil.copytree(written, tmp_path / "project" / place, dirs_exist_ok=True)
    write_pictures(tmp_path / "project" / "images", NAMES)
    assert len(read_colmap(tmp_path / "project").photos) == 5
    assert len(read_colmap(tmp_path / "project" / place).photos) == 5


def test_of_several_models_the_largest(tmp_path):
    for number, count in enumerate([2, 5, 3]):
        made = write_colmap(tmp_path / f"made{number}", ring(count), NAMES[:count], POINTS, COLORS, binary=number != 1)
        shutil.copytree(made, tmp_path / "sparse" / str(number))
    assert find_model(tmp_path) == tmp_path / "sparse" / "1"
    assert find_model(tmp_path / "sparse") == tmp_path / "sparse" / "1"
    assert find_model(tmp_path / "none") is None


def test_reduced_pictures_reduce_the_cameras(tmp_path):
    project(tmp_path)
    write_pictures(tmp_path / "images_2", [name.replace(".png", ".jpg") for name in NAMES], 32, 24)
    photo = read_colmap(tmp_path, images="images_2").photos[0]
    assert photo.path.parts[-3:] == ("images_2", "left", "0.jpg") and photo.name == NAMES[0]
    assert (photo.camera.width, float(photo.camera.K[0, 0])) == (32, 30)


def test_masks_beside_the_pictures(tmp_path):
    project(tmp_path)
    write_pictures(tmp_path / "masks", ["left/0.png", "left/1.png.png"])
    masks = [photo.mask for photo in read_colmap(tmp_path).photos]
    assert [mask and mask.relative_to(tmp_path / "masks").as_posix() for mask in masks] == [
        "left/0.png",
        "left/1.png.png",
        None,
        None,
        None,
    ]
    with pytest.raises(InputError, match="folder of masks nowhere"):
        read_colmap(tmp_path, masks="nowhere")


def test_distorted_cameras_have_a_lens(tmp_path):
    place = project(tmp_path, binary=False) / "sparse" / "0"
    (place / "cameras.txt").write_text("# comment\n1 SIMPLE_RADIAL 64 48 60 32 24 -0.1\n")
    photo = read_colmap(tmp_path).photos[0]
    assert photo.lens.numerator == (-0.1,) and photo.lens.focal == (60, 60)
    assert (photo.camera.width, photo.camera.height) == (photo.lens.pinhole().width, photo.lens.pinhole().height)


def test_broken_projects_name_what_is_wrong(tmp_path):
    with pytest.raises(InputError, match="no COLMAP model"):
        read_colmap(tmp_path)
    place = project(tmp_path, binary=False) / "sparse" / "0"
    (tmp_path / "images" / "right" / "1.png").unlink()
    with pytest.raises(InputError, match=r"1 of 5 pictures are not in .* 'right/1.png'"):
        read_colmap(tmp_path)
    (place / "cameras.txt").write_text("1 FOV 64 48 60 60 32 24 0.1\n")
    with pytest.raises(InputError, match="FOV is not read here"):
        read_colmap(tmp_path)
    (place / "cameras.txt").write_text("1 PINHOLE 64 48 60 60 32 high\n")
    with pytest.raises(FormatError, match=r"cameras.txt, line 1"):
        read_colmap(tmp_path)
    (place / "cameras.txt").write_text("7 PINHOLE 64 48 60 60 32 24\n")
    with pytest.raises(FormatError, match="camera 1, which is not listed"):
        read_colmap(tmp_path)


@pytest.mark.parametrize("name", ["cameras", "images", "points3D"])
@pytest.mark.parametrize("suffix", [".bin", ".txt"])
def test_files_cut_short_anywhere_raise_nothing_but_format_errors(tmp_path, name, suffix):
    place = write_colmap(tmp_path, ring(3), NAMES[:3], POINTS[:3], COLORS[:3], binary=suffix == ".bin",
                         tracks=[[0, 1]] * 3)  # fmt: skip
    whole = (place / f"{name}{suffix}").read_bytes()
    for length in range(len(whole)):
        (place / f"{name}{suffix}").write_bytes(whole[:length])
        if suffix == ".bin":
            with pytest.raises(FormatError, match=rf"{name}\.bin|camera 1"):
                read_model(place)
        else:
            with suppress(FormatError):  # a text file may end after any number
                read_model(place)


def test_hostile_counts_do_not_fill_the_memory(tmp_path):
    place = write_colmap(tmp_path, ring(1), NAMES[:1], POINTS, COLORS)
    for name in ("cameras", "images", "points3D"):
        whole = (place / f"{name}.bin").read_bytes()
        (place / f"{name}.bin").write_bytes(struct.pack("<Q", 2**60) + whole[8:])
        with pytest.raises(FormatError, match="declares 1152921504606846976 records"):
            read_model(place)
        (place / f"{name}.bin").write_bytes(whole)


def test_what_cannot_be_written(tmp_path):
    with pytest.raises(ShapeError, match="different names"):
        write_colmap(tmp_path, ring(2), ["a.png", "a.png"], POINTS, COLORS)
    with pytest.raises(ShapeError, match=r"points \(20, 3\) and point_colors \(3, 3\)"):
        write_colmap(tmp_path, ring(1), ["a.png"], POINTS, COLORS[:3])
    with pytest.raises(ShapeError, match="2 tracks for 20 points"):
        write_colmap(tmp_path, ring(1), ["a.png"], POINTS, COLORS, tracks=[[0], [0]])


def test_equal_intrinsics_are_one_camera(tmp_path):
    cameras: list[Camera] = [*ring(2), ring(1, 32, 24)[0]]
    model = read_model(write_colmap(tmp_path, cameras, NAMES[:3], POINTS[:0], COLORS[:0]))
    assert [image.camera for image in model.images.values()] == [1, 1, 2] and len(model.points.ids) == 0
