import json
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.core.flashworld_cameras import camera_from_flashworld, camera_to_flashworld
from unseen.core.paths import dolly, from_file, orbit, pan, spiral, spline, turntable, walk

TARGET = torch.tensor([0.1, 0.2, -0.3])


def assert_looks_at(camera: Camera, target: torch.Tensor, up=(0.0, 1.0, 0.0)) -> None:
    """The target falls on the principal point in front of the camera, and `up` points up in the image."""
    pixel, depth = camera.project(target)
    assert depth > 0 and torch.allclose(pixel, torch.tensor([camera.width / 2, camera.height / 2]), atol=1e-2)
    assert camera.project(target + 0.01 * torch.tensor(up))[0][1] < pixel[1]
    rotation = camera.world_to_camera[:3, :3]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-5) and rotation.det() > 0


def azimuth_rad(camera: Camera) -> float:
    x, _, z = (camera.center - TARGET).tolist()
    return math.atan2(x, z)


def test_orbit_keeps_distance_elevation_and_gaze():
    cameras = orbit(
        9,
        radius_m=2.0,
        target=TARGET,
        elevation_rad=0.3,
        start_azimuth_rad=-1.0,
        end_azimuth_rad=0.6,
        width=60,
        height=40,
    )
    assert [azimuth_rad(c) for c in cameras] == pytest.approx([-1.0 + 0.2 * i for i in range(9)], abs=1e-4)
    for camera in cameras:
        assert_looks_at(camera, TARGET)
        offset = camera.center - TARGET
        assert offset.norm().item() == pytest.approx(2.0, abs=1e-4)
        assert offset[1].item() == pytest.approx(2.0 * math.sin(0.3), abs=1e-4)
        assert (camera.width, camera.height) == (60, 40)
    assert azimuth_rad(orbit(1, radius_m=1, target=TARGET)[0]) == pytest.approx(0, abs=1e-6)


def test_field_of_view_is_vertical():
    camera = orbit(1, radius_m=2.0, fov_y_rad=0.8, width=100, height=50)[0]
    edge = torch.tensor([0.0, 2.0 * math.tan(0.4), 0.0])
    assert torch.allclose(camera.project(edge)[0], torch.tensor([50.0, 0.0]), atol=1e-2)


def test_turntable_starts_in_front_and_loops():
    cameras = turntable(8, radius_m=1.5, target=TARGET)
    turns = [azimuth_rad(c) % (2 * math.pi) for c in cameras]
    assert turns == pytest.approx([i * math.pi / 4 for i in range(8)], abs=1e-4)
    assert (cameras[0].center - TARGET)[2].item() == pytest.approx(1.5)


@pytest.mark.parametrize("up", [(0, 1, 0), (0, -1, 0), (0, 0, 1), (1, 0, 0), (0.6, 0.8, 0.0)])
def test_any_direction_may_be_up(up):
    up = tuple(float(x) for x in up)
    cameras = turntable(6, radius_m=1.0, target=TARGET, elevation_rad=0.2, up=up)
    for camera in cameras:
        assert_looks_at(camera, TARGET, up)
        assert ((camera.center - TARGET) @ torch.tensor(up)).item() == pytest.approx(math.sin(0.2), abs=1e-5)


def test_other_ups_turn_the_frame_about_x():
    assert torch.allclose(turntable(1, radius_m=1, up=(0, -1, 0))[0].center, torch.tensor([0.0, 0, -1]), atol=1e-6)
    assert torch.allclose(turntable(1, radius_m=1, up=(0, 0, 1))[0].center, torch.tensor([0.0, -1, 0]), atol=1e-6)


def test_dolly_moves_straight_and_eases():
    start, end = torch.tensor([0.0, 0, 2]), torch.tensor([1.0, 0.5, 1])
    cameras = dolly(11, start=start, end=end, target=TARGET)
    along = torch.stack([c.center for c in cameras]) - start
    fraction = along @ (end - start) / (end - start).square().sum()
    assert torch.allclose(along, fraction[:, None] * (end - start), atol=1e-5)
    steps = fraction.diff()
    assert fraction[0] == pytest.approx(0, abs=1e-6) and fraction[-1].item() == pytest.approx(1, abs=1e-5)
    assert (steps > 0).all() and steps[0] < 0.5 * steps[5] and steps[-1] < 0.5 * steps[5]
    for camera in cameras:
        assert_looks_at(camera, TARGET)


def test_spiral_swings_around_the_viewpoint():
    view = Camera.look_at([0.5, 0.2, 2.0], TARGET, 64, 48, fov_y_rad=0.7)
    focus = view.center + 1.5 * view.camera_to_world[:3, 2]
    cameras = spiral(40, camera=view, focus_m=1.5, right_m=0.2, up_m=0.1, forward_m=0.05, turns=2)
    offsets = torch.stack([view.world_to_camera[:3, :3] @ (c.center - view.center) for c in cameras])
    assert offsets.abs().amax(0).tolist() == pytest.approx([0.2, 0.1, 0.05], abs=2e-3)
    assert offsets[0, 0] == pytest.approx(0.2, abs=1e-5) and offsets[3, 1] < 0  # first right, then up (y down)
    for camera in cameras:
        pixel, _ = camera.project(focus)
        assert torch.allclose(pixel, torch.tensor([32.0, 24.0]), atol=1e-2)
        assert torch.equal(camera.K, view.K)


@pytest.mark.parametrize("closed", [False, True])
def test_spline_passes_the_keys_smoothly(closed):
    keys = [
        *orbit(4, radius_m=2.0, target=TARGET, start_azimuth_rad=-2, end_azimuth_rad=2),
        turntable(1, radius_m=3)[0],
    ]
    num = 200 if closed else 161
    cameras = spline(keys, num, closed=closed)
    assert len(cameras) == num
    for index, key in enumerate(keys):
        assert torch.allclose(cameras[40 * index].world_to_camera, key.world_to_camera, atol=1e-4)
    centers = torch.stack([c.center for c in cameras])
    if closed:
        centers = torch.cat([centers, centers[:1]])
    assert centers.diff(dim=0).norm(dim=1).max() < 0.2
    assert centers.diff(n=2, dim=0).norm(dim=1).max() < 0.02  # no kink at a key
    for camera in cameras:
        rotation = camera.world_to_camera[:3, :3]
        assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-4)


def test_spline_interpolates_rotation_and_focal_length():
    a = Camera.look_at([0, 0, 2], [0, 0, 0], 64, 64, focal_px=100.0)
    b = Camera.look_at([2, 0, 0], [0, 0, 0], 64, 64, focal_px=200.0)
    middle = spline([a, b], 3)[1]
    direction = middle.camera_to_world[:3, 2]
    assert torch.allclose(direction, torch.tensor([-(0.5**0.5), 0.0, -(0.5**0.5)]), atol=1e-5)
    assert middle.K[0, 0].item() == pytest.approx(150)
    assert [torch.equal(c.center, a.center) for c in spline([a], 3)] == [True] * 3


def test_refusals():
    camera = turntable(1, radius_m=1.0)[0]
    for call in (
        lambda: turntable(0, radius_m=1.0),
        lambda: orbit(-1, radius_m=1.0),
        lambda: orbit(3, radius_m=0.0),
        lambda: orbit(3, radius_m=1.0, elevation_rad=math.pi / 2),
        lambda: dolly(3, start=(0, 0, 1), end=(0, 0, -1)),
        lambda: spiral(3, camera=camera, focus_m=0.0, right_m=0.1, up_m=0.1),
        lambda: spline([], 3),
        lambda: spline([camera], 0),
    ):
        with pytest.raises(InputError, match=r"expected|nothing to look at|at least one"):
            call()
    with pytest.raises(ShapeError):
        spline([camera, camera.resized(10, 10)], 3)


def write(tmp_path, value):
    path = tmp_path / "path.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_from_file_reads_every_form_of_a_camera(tmp_path):
    want = Camera.look_at([0.3, 0.4, 2.0], [0, 0.1, 0], 80, 60, fov_y_rad=0.5)
    pose = {"eye": [0.3, 0.4, 2.0], "target": [0, 0.1, 0]}
    cameras = [
        {**pose, "fov_y_rad": 0.5},
        {**pose, "up": [0, 2, 0], "fov_y_deg": math.degrees(0.5)},
        {"world_to_camera": want.world_to_camera.tolist(), "K": want.K.tolist()},
        {"camera_to_world": want.camera_to_world.flatten().tolist(), "focal_px": want.K[0, 0].item()},
    ]
    for data in ({"width": 80, "height": 60, "cameras": cameras}, [{"width": 80, "height": 60, **c} for c in cameras]):
        got = from_file(write(tmp_path, data))
        assert len(got) == 4
        for camera in got:
            assert (camera.width, camera.height) == (80, 60)
            assert torch.allclose(camera.world_to_camera, want.world_to_camera, atol=1e-5)
            assert torch.allclose(camera.K, want.K, atol=1e-3)
    larger = from_file(write(tmp_path, data), height=120)[0]
    assert (larger.width, larger.height) == (160, 120) and torch.allclose(larger.K[:2], 2 * want.K[:2], atol=1e-3)


def test_from_file_reads_nerfstudio(tmp_path):
    """OpenGL axes: x right, y up, looking along -z; here from (0, 0, 2) at the origin."""
    c2w = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1]
    frame = {"camera_to_world": c2w, "fov": 60, "aspect": 2}
    data = {
        "camera_type": "perspective",
        "render_height": 50,
        "render_width": 100,
        "camera_path": [frame, frame],
        "fps": 24,
    }
    camera = from_file(write(tmp_path, data))[1]
    want = Camera.look_at([0, 0, 2], [0, 0, 0], 100, 50, fov_y_rad=math.radians(60))
    assert torch.allclose(camera.world_to_camera, want.world_to_camera, atol=1e-6)
    assert torch.allclose(camera.K, want.K, atol=1e-3)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("{", "not JSON"),
        ([], "no cameras"),
        ({"frames": []}, "no cameras"),
        ([{"eye": [0, 0, 1], "target": [0, 0, 0], "fov_y_rad": 1}], "camera 0 .* lacks 'width'"),
        ({"width": 8, "height": 8, "cameras": [{"fov_y_rad": 1}]}, "lacks 'eye'"),
        ({"width": 8, "height": 8, "cameras": [{"eye": [0, 0, 1], "target": [0, 0, 0]}]}, "lacks 'fov_y_rad'"),
        ({"width": 8, "height": 8, "cameras": [{"K": [1, 2], "eye": [0, 0, 1], "target": [0, 0, 0]}]}, "3 x 3"),
        (
            {"width": 8, "height": 8, "cameras": [{"fov_y_rad": 9, "eye": [0, 0, 1], "target": [0, 0, 0]}]},
            "field of view",
        ),
        ({"camera_type": "equirectangular", "camera_path": []}, "equirectangular"),
        ({"camera_path": [{"fov": 50}], "render_width": 8, "render_height": 8}, "nerfstudio"),
    ],
)
def test_from_file_says_what_is_wrong(tmp_path, value, words):
    with pytest.raises(FormatError, match=words):
        from_file(write(tmp_path, value))
    with pytest.raises(InputError, match="No such file"):
        from_file(tmp_path / "none.json")


LEVEL = Camera.from_parts(torch.eye(3), torch.zeros(3), 50.0, 64, 48)


def test_pan_turns_on_the_spot_to_the_right():
    cameras = pan(5, camera=LEVEL, start_rad=-0.4, end_rad=0.8)
    assert all(c.center.norm() < 1e-6 for c in cameras)
    gazes = [c.world_to_camera[2, :3] for c in cameras]
    assert [math.atan2(g[0], g[2]) for g in gazes] == pytest.approx([-0.4 + 0.3 * i for i in range(5)], abs=1e-5)
    assert all(torch.allclose(c.world_to_camera[1, :3], torch.tensor([0.0, 1, 0]), atol=1e-6) for c in cameras)


def test_walk_looks_along_its_way():
    cameras = walk(201, camera=LEVEL, distance_m=2.0, sway_m=0.2)
    centers = torch.stack([c.center for c in cameras])
    assert torch.allclose(centers[0], torch.zeros(3), atol=1e-6)
    assert torch.allclose(centers[-1], torch.tensor([0.0, 0, 2]), atol=1e-5)
    assert centers[:, 0].max() > 0.1 and centers[:, 0].min() < -0.1
    ways = torch.nn.functional.normalize(centers[2:] - centers[:-2], dim=1)
    gazes = torch.stack([c.world_to_camera[2, :3] for c in cameras[1:-1]])
    assert (ways * gazes).sum(1).min() > 0.9999
    assert torch.allclose(cameras[0].world_to_camera, LEVEL.world_to_camera, atol=1e-6)


def test_flashworld_files_are_opengl_camera_to_world(tmp_path):
    entry = {"quaternion": [1, 0, 0, 0], "position": [0, 0, 3], "fx": 40, "fy": 50, "cx": 32, "cy": 24}
    file = tmp_path / "path.json"
    file.write_text(json.dumps({"resolution": [1, 48, 64], "cameras": [entry]}))
    camera = from_file(file)[0]
    assert_looks_at(camera, torch.zeros(3))
    assert camera.center.tolist() == [0, 0, 3] and camera.K[0, 0] == 40
    assert from_file(file, width=32)[0].K[1, 1] == 25
    file.write_text(json.dumps([entry]))
    assert from_file(file, width=64, height=48)[0].width == 64
    file.write_text(json.dumps([{**entry, "width": 64, "height": 48, "quaternion": [1, 1, 0, 0]}]))
    with pytest.raises(FormatError, match=r"camera 0 .* length 1\.414"):
        from_file(file)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=7, max_size=7).filter(lambda v: sum(x * x for x in v[:4]) > 0.01))
def test_flashworld_cameras_survive_both_ways(values):
    q, position = torch.tensor(values[:4], dtype=torch.float64), values[4:]
    q = q / q.norm()
    entry = {"quaternion": q.tolist(), "position": position, "fx": 40.0, "fy": 50.0, "cx": 31.0, "cy": 24.0}
    back = camera_to_flashworld(camera_from_flashworld(entry, 64, 48))
    assert back["position"] == pytest.approx(position, abs=1e-5)
    assert abs(float(q @ torch.tensor(back["quaternion"], dtype=torch.float64))) == pytest.approx(1, abs=1e-6)
    assert {k: back[k] for k in ("fx", "fy", "cx", "cy")} == {"fx": 40, "fy": 50, "cx": 31, "cy": 24}
