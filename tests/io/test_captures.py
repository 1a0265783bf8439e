"""Captures in VHAP's layout: what is written is read back, and what others wrote is understood."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from unseen.core import Camera, FormatError, InputError, ResourceError, ShapeError
from unseen.io.captures import centred, read_capture, write_capture

W, H = 20, 16


def cameras(count: int) -> list[Camera]:
    made = [Camera.look_at([0.3 * i, 0.1, 1.0], [0, 0.05, 0], W, H, focal_px=30.0 + i) for i in range(count)]
    shifted = made[0].K.clone()
    shifted[0, 2], shifted[1, 1], shifted[1, 2] = 9.25, 31.5, 8.5  # a principal point off centre, pixels not square
    return [replace(made[0], K=shifted), *made[1:]]


def motion(steps: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(steps)
    widths = {"rotation": 3, "neck_pose": 3, "jaw_pose": 3, "eyes_pose": 6, "translation": 3, "expr": 10, "eyelids": 2}
    arrays = {name: rng.normal(size=(steps, width)).astype(np.float32) for name, width in widths.items()}
    return {
        **arrays,
        "shape": rng.normal(size=30).astype(np.float32),
        "static_offset": rng.random((1, 4, 3), np.float32),
    }


def pictures(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    rng = np.random.default_rng(count)
    return list(rng.integers(0, 256, (count, H, W, 3), np.uint8)), list(rng.integers(0, 256, (count, H, W), np.uint8))


def test_what_is_written_is_read_back(tmp_path):
    images, masks = pictures(20)
    params, shots = motion(10), cameras(2)
    seen = []
    written = write_capture(
        tmp_path / "c", shots, iter(images), (torch.from_numpy(m).float() / 255 for m in masks), params,
        head_model="flame2023", fps=25.0, timestep_ids=[f"t{i}" for i in range(10)], camera_ids=["front", "side"],
        white=False, centre=False, progress=seen.append,
    )  # fmt: skip
    back = read_capture(tmp_path / "c")
    assert len(back.frames) == len(written.frames) == 20 and back.splits == written.splits
    assert seen == list(range(1, 21)) and back.head_model == "flame2023" and back.fps == 25.0
    assert [(f.timestep, f.camera_index) for f in back.frames] == [divmod(n, 2) for n in range(20)]
    for n, frame in enumerate(back.frames):
        np.testing.assert_array_equal(frame.image(), images[n])
        np.testing.assert_array_equal(frame.mask(), masks[n])
        torch.testing.assert_close(frame.camera.world_to_camera, shots[n % 2].world_to_camera, atol=1e-6, rtol=0)
        assert torch.equal(frame.camera.K, shots[n % 2].K)
        assert (frame.timestep_id, frame.camera_id) == (f"t{n // 2}", ["front", "side"][n % 2])
    got = back.params()
    assert got.keys() == params.keys()
    for name, value in params.items():
        np.testing.assert_array_equal(got[name], value)
    one = back.frames[7].params()
    assert one["expr"].shape == (1, 10) and one["shape"].shape == (30,) and one["static_offset"].shape == (1, 4, 3)


def test_layout_is_vhaps(tmp_path):
    images, masks = pictures(10)
    write_capture(tmp_path, cameras(1), images, masks, motion(10))
    names = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()}
    expected = {f"images/{t:05d}_00.png" for t in range(10)} | {f"fg_masks/{t:05d}_00.png" for t in range(10)}
    expected |= {f"flame_param/{t:05d}.npz" for t in range(10)} | {"canonical_flame_param.npz"}
    expected |= {"transforms.json"} | {f"transforms_{name}.json" for name in ("train", "val", "test")}
    assert names == expected
    top = json.loads((tmp_path / "transforms.json").read_text())
    intrinsics = {"cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y"}
    assert set(top) == intrinsics | {"timestep_indices", "camera_indices", "frames"}
    assert top["timestep_indices"] == list(range(10)) and top["camera_indices"] == [0]
    frame = top["frames"][3]
    ids = {"timestep_index", "timestep_index_original", "timestep_id", "camera_index", "camera_id"}
    paths = {"file_path", "fg_mask_path", "flame_param_path"}
    assert set(frame) == intrinsics | ids | paths | {"transform_matrix"}
    assert isinstance(frame["timestep_id"], str) and frame["timestep_index"] == 3
    assert frame["camera_angle_x"] == pytest.approx(2 * math.atan(W / 2 / frame["fl_x"]))
    canonical = read_capture(tmp_path).canonical_params()
    np.testing.assert_allclose(canonical["jaw_pose"], [[0.3, 0, 0]])
    assert canonical["shape"].any() and canonical["static_offset"].any()
    assert not any(canonical[k].any() for k in ("expr", "rotation", "neck_pose", "eyes_pose", "translation", "eyelids"))


def test_cameras_are_stored_in_opengl_axes(tmp_path):
    """A camera in front of the head: it looks along -z of its own axes, its y points up."""
    camera = Camera.look_at([0, 0, 2.0], [0, 0, 0], W, H, focal_px=30.0)
    write_capture(tmp_path, [camera], pictures(1)[0])
    matrix = np.array(json.loads((tmp_path / "transforms.json").read_text())["frames"][0]["transform_matrix"])
    np.testing.assert_allclose(matrix, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 2], [0, 0, 0, 1]], atol=1e-6)


@pytest.mark.parametrize(
    ("steps", "count", "val", "sizes"),
    [(10, 1, None, (7, 0, 3)), (10, 3, None, (14, 7, 9)), (10, 10, None, (63, 7, 30)), (1, 1, None, (1, 0, 0)),
     (2, 2, None, (1, 1, 2)), (10, 3, 0, (14, 7, 9))],
)  # fmt: skip
def test_split_in_time(tmp_path, steps, count, val, sizes):
    capture = write_capture(tmp_path, cameras(count), pictures(steps * count)[0], val_camera=val)
    split = {name: capture.split(name) for name in ("train", "val", "test")}
    assert tuple(len(frames) for frames in split.values()) == sizes
    assert max(f.timestep for f in split["train"]) < min((f.timestep for f in split["test"]), default=steps)
    held = val if val is not None else (8 if count == 10 else count - 1)
    assert {f.camera_index for f in split["val"]} == ({held} if sizes[1] else set())
    assert sorted(i for part in capture.splits.values() for i in part) == list(range(steps * count))


def test_background_becomes_white(tmp_path):
    image = np.full((H, W, 3), 100, np.uint8)
    mask = np.zeros((H, W), np.float32)
    mask[:, :5], mask[:, 5:10] = 1.0, 0.5
    frame = write_capture(tmp_path, cameras(1), [image], [mask]).frames[0]
    assert (frame.image()[:, :5] == 100).all() and (frame.image()[:, 10:] == 255).all()
    assert (frame.image()[:, 5:10] - 177).abs().max() <= 1
    assert (frame.mask()[:, 5:10] == 128).all()


def test_centring_moves_head_and_cameras_together(tmp_path):
    params, shots = motion(6), cameras(2)
    capture = write_capture(tmp_path, shots, pictures(12)[0], None, params)
    moved = capture.params()["translation"]
    np.testing.assert_allclose(moved.mean(0), 0, atol=1e-6)
    for c, camera in enumerate(shots):
        before = camera.project(torch.from_numpy(params["translation"]))
        after = capture.frames[c].camera.project(torch.from_numpy(moved))
        torch.testing.assert_close(after, before, atol=1e-4, rtol=1e-4)
    again, _ = centred([f.camera for f in capture.frames[:2]], capture.params())
    torch.testing.assert_close(again[0].world_to_camera, capture.frames[0].camera.world_to_camera, atol=1e-6, rtol=0)


def handwritten(folder, frames: list[dict], **top) -> None:
    (folder / "transforms.json").write_text(json.dumps({**top, "frames": frames}))


def picture(path, size=(W, H)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (10, 20, 30)).save(path)


IDENTITY = np.eye(4).tolist()


def test_gaussianavatars_files_are_read(tmp_path):
    """Written by hand: two cameras, union of sequences in sibling folders, focal length as field of view only."""
    data = tmp_path / "UNION"
    data.mkdir()
    pose = [[1, 0, 0, 0.5], [0, 1, 0, 0.1], [0, 0, 1, 2.0], [0, 0, 0, 1]]
    entries = [
        {
            "timestep_index": t, "timestep_id": f"0{t}0", "camera_index": c, "camera_id": f"2222{c}",
            "camera_angle_x": 0.4, "transform_matrix": pose, "file_path": f"../EMO/images/{t:05d}_{c:02d}.png",
            "fg_mask_path": f"../EMO/fg_masks/{t:05d}_{c:02d}.png",
            "flame_param_path": f"../EMO/flame_param/{t:05d}.npz",
        }
        for t in (1, 0) for c in (0, 1)
    ]  # fmt: skip
    for entry in entries:
        picture(data / entry["file_path"])
    handwritten(data, entries, camera_angle_x=0.4, timestep_indices=[0, 1], camera_indices=[0, 1])
    (data / "transforms_test.json").write_text(json.dumps({"frames": entries[:2]}))
    capture = read_capture(data)
    assert [(f.timestep, f.camera_index) for f in capture.frames] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [(f.timestep, f.camera_index) for f in capture.split("test")] == [(1, 0), (1, 1)] and not capture.split(
        "train"
    )
    camera = capture.frames[0].camera
    focal = W / 2 / math.tan(0.2)
    expected = torch.tensor([[focal, 0, W / 2], [0, focal, H / 2], [0, 0, 1]])
    torch.testing.assert_close(camera.K, expected)
    torch.testing.assert_close(camera.center, torch.tensor([0.5, 0.1, 2.0]))
    pixel, depth = camera.project(torch.tensor([0.5, 0.2, 0.0]))
    assert depth == pytest.approx(2.0) and pixel[1] < H / 2, "what is above appears above"
    assert capture.head_model is None and capture.canonical_params() == {}
    with pytest.raises(InputError, match="does not exist"):
        capture.params()


def test_other_transforms_are_read(tmp_path):
    """INSTA and Blender: no whole list, no time steps, sizes from the pictures, names without suffix."""
    for name, count in (("train", 2), ("test", 1)):
        frames = [{"file_path": f"{name}/{i}", "transform_matrix": IDENTITY[:3]} for i in range(count)]
        for frame in frames:
            picture(tmp_path / f"{frame['file_path']}.jpg", (30, 10))
        (tmp_path / f"transforms_{name}.json").write_text(json.dumps({"fl_x": 40, "cx": 14.0, "frames": frames}))
    capture = read_capture(tmp_path)
    assert [f.timestep for f in capture.frames] == [0, 1, 2] and len(capture.split("test")) == 1
    camera = capture.frames[2].camera
    assert (camera.width, camera.height) == (30, 10)
    assert camera.K.tolist() == [[40, 0, 14], [0, 40, 5], [0, 0, 1]]
    assert (capture.frames[0].mask() == 255).all() and capture.frames[0].params() == {}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"transform_matrix": None}, "cannot be read"),
        ({"transform_matrix": [[1, 2], [3, 4]]}, "no pose"),
        ({"transform_matrix": np.zeros((4, 4)).tolist()}, "no pose"),
        ({"camera_angle_x": None}, "frame 0 cannot be read"),
        ({"fl_x": -3}, "expected positive numbers"),
        ({"file_path": "absent.png"}, "tells the image size"),
    ],
)
def test_bad_frames_are_named(tmp_path, change, message):
    picture(tmp_path / "a.png")
    good = {"file_path": "a.png", "transform_matrix": IDENTITY, "camera_angle_x": 0.5}
    handwritten(tmp_path, [good])
    read_capture(tmp_path)
    handwritten(tmp_path, [{**good, **change}])
    with pytest.raises(FormatError, match=message):
        read_capture(tmp_path)
    handwritten(tmp_path, [{k: v for k, v in good.items() if k not in change}])
    if "fl_x" not in change:
        with pytest.raises(FormatError, match="lacks"):
            read_capture(tmp_path)


def test_bad_captures_are_named(tmp_path):
    with pytest.raises(InputError, match="no capture in"):
        read_capture(tmp_path)
    for text, message in (("{", "not a JSON file"), ("[]", "expected an object"), ('{"frames": []}', "no frames")):
        (tmp_path / "transforms.json").write_text(text)
        with pytest.raises(FormatError, match=message):
            read_capture(tmp_path)


def test_what_does_not_fit_is_not_written(tmp_path):
    images, masks = pictures(4)
    shots = cameras(2)
    for given, message in (
        ({"images": images[:3]}, "3 images for 2 cameras"),
        ({"images": []}, "0 images"),
        ({"images": [images[0][:5]]}, "image 0 is 20 x 5 pixels, its camera's are 20 x 16"),
        ({"images": images, "masks": masks[:3]}, "3 masks for 4 images"),
        ({"images": images, "masks": [*masks, masks[0]]}, "more than 4 masks"),
        ({"images": images, "masks": [m[:, :5] for m in masks]}, "mask 0 is 5 x 16"),
        ({"images": images, "params": motion(3)}, "expected 2 time steps"),
    ):
        with pytest.raises(ShapeError, match=message):
            write_capture(tmp_path / "x", shots, **given)
        assert not (tmp_path / "x" / "transforms.json").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError):
        write_capture(tmp_path / "file", shots, images)


def test_parameters_that_differ_between_steps_are_named(tmp_path):
    capture = write_capture(tmp_path, cameras(1), pictures(2)[0], None, motion(2))
    np.savez(tmp_path / "flame_param" / "00001.npz", expr=np.zeros((1, 3)))
    with pytest.raises(FormatError, match="differ"):
        capture.params()
    (tmp_path / "flame_param" / "00001.npz").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"not an \.npz"):
        capture.params()
    with pytest.raises(InputError, match="no head parameters"):
        write_capture(tmp_path / "bare", cameras(1), pictures(2)[0]).params()
