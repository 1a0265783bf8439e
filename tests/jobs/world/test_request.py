"""Requests: FlashWorld's JSON, its crop rule, and one clear line for each mistake."""

import base64
import copy
import io
import json
import math
import os

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from unseen.core.errors import FormatError, InputError
from unseen.core.flashworld_cameras import camera_to_flashworld
from unseen.jobs.world.compose import PATHS, compose, named_path, path_from_file
from unseen.jobs.world.framing import Framing, halved_size
from unseen.jobs.world.picture import as_data_url
from unseen.jobs.world.request import parse_request, read_request
from unseen.jobs.world.settings import WorldSettings


def png(width=96, height=64, seed=0, **options):
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG", **options)
    return out.getvalue()


def request(views=3, height=32, width=48, cameras=None, image=None, **changes):
    cameras = [camera_to_flashworld(c) for c in named_path("orbit", cameras or views, width, height, 0.9)]
    content = {
        "image_prompt": None,
        "text_prompt": "a red room",
        "image_index": 1,
        "resolution": [views, height, width],
    }
    if image is not None:
        content |= {"image_prompt": as_data_url(image), "text_prompt": ""}
    return {**content, "cameras": cameras, **changes}


def parse(content, multiple=16, roots=()):
    return parse_request(content, multiple=multiple, roots=roots)


def with_camera(content, k, **changes):
    cameras = [{**c, **changes} if i == k else c for i, c in enumerate(content["cameras"])]
    return {**content, "cameras": cameras}


def test_a_request_becomes_opencv_cameras_and_leaves_the_json_alone():
    content = request(image=png())
    content["cameras"] = [{**c, "fx": 70.0, "fy": 70.0, "cx": 48.0, "cy": 32.0} for c in content["cameras"]]
    before = copy.deepcopy(content)
    made = parse(content)
    assert content == before and made.content["cameras"] == before["cameras"]
    assert (len(made.cameras), made.size, made.image_index, made.notes) == (3, (48, 32), 1, ())
    assert torch.allclose(made.cameras[0].K, torch.tensor([[35.0, 0, 24], [0, 35, 16], [0, 0, 1]]), atol=1e-4)
    assert made.image.shape == (32, 48, 3) and 0 <= made.image.min() < 0.5 < made.image.max() <= 1
    again = parse(json.loads(json.dumps(made.content)))
    assert torch.equal(again.image, made.image)
    assert all(torch.equal(a.K, b.K) for a, b in zip(again.cameras, made.cameras, strict=True))


@settings(max_examples=200, deadline=None)
@given(*[st.integers(5, 400)] * 4)
def test_framing_cuts_centrally_and_turns_back(w, h, to_w, to_h):
    framing = Framing.of(w, h, to_w, to_h)
    assert framing.scale == max(to_h / h, to_w / w)
    assert framing.left + framing.cut_width <= w and framing.top + framing.cut_height <= h
    assert abs(framing.left - (w - framing.cut_width) / 2) <= 0.5
    assert framing.cut_width == w or framing.cut_height == h
    camera = named_path("pan", 1, w, h, 0.7)[0].to(dtype=torch.float64)
    back = framing.unframed(framing.camera(camera), w, h)
    assert torch.allclose(back.K, camera.K, rtol=1e-9) and (back.width, back.height) == (w, h)


def test_the_cut_is_the_references():
    framing = Framing.of(1000, 501, 704, 480)  # s = 480 / 501
    assert (framing.left, framing.top, framing.cut_width, framing.cut_height) == (133, 0, 734, 501)
    camera = named_path("pan", 1, 1000, 501, 0.7)[0]
    assert framing.camera(camera).K[0, 2] == pytest.approx(480 / 501 * (500 - 133), rel=1e-6)


def test_preview_halves_the_views():
    made = parse(request(height=64, width=96, image=png())).halved(16)
    assert made.size == (48, 32) and made.image.shape == (32, 48, 3)
    assert halved_size(704, 480, 32) == (352, 256) and halved_size(32, 32, 32) == (32, 32)
    assert made.cameras[0].K[0, 2] == pytest.approx(24, abs=0.6)


def test_pictures_come_as_path_base64_or_data_url(tmp_path):
    data = png()
    (tmp_path / "room.png").write_bytes(data)
    file = tmp_path / "request.json"
    forms = ["room.png", str(tmp_path / "room.png"), base64.b64encode(data).decode(), as_data_url(data)]
    images = []
    for form in forms:
        file.write_text(json.dumps(request(image=data, image_prompt=form)))
        images.append(read_request(file, (), 16).image)
    assert all(torch.equal(image, images[0]) for image in images)


def test_exif_orientation_is_applied():
    picture = Image.new("RGB", (64, 96))
    picture.paste((255, 0, 0), (0, 0, 64, 48))  # red above as stored; 6: turn clockwise to stand upright
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    picture.save(out, "PNG", exif=exif)
    made = parse(request(image=out.getvalue()))
    assert made.image[16, 44, 0] > 0.9 and made.image[16, 4, 0] < 0.1


def test_no_path_outside_the_named_folders_is_looked_at(tmp_path):
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.png").write_bytes(png())
    os.symlink(outside / "secret.png", inside / "link.png")
    messages = []
    for name in ("../out/secret.png", "../out/absent.png", str(outside / "secret.png"), "link.png"):
        with pytest.raises(InputError, match="is no file inside") as error:
            parse(request(image=png(), image_prompt=name), roots=(inside,))
        messages.append(str(error.value).replace(name, ""))
    assert len(set(messages)) == 1  # nothing tells what exists
    made = parse(request(image=png(), image_prompt="secret.png"), roots=(inside, outside))
    assert made.image is not None and made.content["image_prompt"].startswith("data:image/png;base64,")


MISTAKES = {
    "no image and no prompt": (request(text_prompt="  "), "neither image_prompt nor text_prompt"),
    "text null": (request(text_prompt=None), "neither image_prompt nor text_prompt"),
    "size": (request(resolution=[3, 50, 48]), "divisible by 16, such as 48 x 48"),
    "one camera": (request(cameras=1), "holds 1 camera: a world needs a path of at least 2"),
    "no cameras": (request() | {"cameras": None}, "holds no list"),
    "one view": (request(resolution=[1, 32, 48]), "asks for 1 view"),
    "quaternion": (with_camera(request(), 1, quaternion=[1, 1, 0, 0]), "camera 1: its quaternion .* length 1.414"),
    "broken base64": (request(image_prompt="data:image/png;base64,iVBOR$$$"), "broken base64"),
    "plain broken base64": (request(image_prompt="iVBORw0KGgo=====abc"), "broken base64"),
    "data url without base64": (request(image_prompt="data:image/svg+xml,<svg/>"), "expected data:image"),
    "normalised intrinsics": (with_camera(request(), 2, fx=0.8, fy=1.2, cx=0.5, cy=0.5), "look like shares .* fx 38"),
    "normalised centre": (with_camera(request(), 2, cx=0.5, cy=0.5), "look like shares"),
    "intrinsics of another size": (with_camera(request(), 0, cx=352, cy=240), r"in pixels of the views \(48 x 32\)"),
    "intrinsics multiplied twice": (with_camera(request(), 0, fx=40 * 704.0), "in pixels of the views"),
    "NaN": (with_camera(request(), 0, position=[0, math.nan, 0]), "camera 0: its position holds nan"),
    "missing key": ({**request(), "cameras": [{"quaternion": [1, 0, 0, 0]}] * 2}, "camera 0 lacks 'position'"),
    "no object": (request() | {"cameras": [1, 2]}, "camera 0 is 1: expected an object"),
    "huge": (request(resolution=[10**9, 32, 48]), "at most 2000"),
    "huge side": (request(resolution=[3, 1 << 20, 48]), "at most 2000, of 4096"),
    "float resolution": (request(resolution=[3.0, 32, 48]), "three positive whole numbers"),
    "image_index": (request(image_index=3), "image_index is 3: expected 0 to 2"),
    "image_index bool": (request(image_index=True), "image_index is True"),
    "text type": (request(text_prompt=["a"]), "text_prompt is"),
    "a list": ([1], "a request is list"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_get_one_clear_line(name):
    content, words = MISTAKES[name]
    with pytest.raises(InputError, match=words) as error:
        parse(content)
    assert "\n" not in str(error.value) and len(str(error.value)) < 300


def test_damaged_and_oversized_pictures_are_refused():
    with pytest.raises(FormatError, match=r"image_prompt is (damaged|not a picture)"):
        parse(request(image_prompt=as_data_url(png()[:400])))
    bomb = io.BytesIO()
    Image.new("1", (8000, 8000)).save(bomb, "PNG")
    with pytest.raises(InputError, match="8000 x 8000 pixels: expected at most"):
        parse(request(image_prompt=as_data_url(bomb.getvalue())))


def test_nearly_unit_quaternions_are_normalised():
    made = parse(with_camera(request(), 0, quaternion=[1.0005, 0, 0, 0]))
    rotation = made.cameras[0].world_to_camera[:3, :3]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-6)


def test_another_number_of_cameras_is_resampled_and_said():
    made = parse(request(views=5, cameras=3))
    assert len(made.cameras) == 5 and "3 cameras for 5 views" in made.notes[0]
    keys = parse(request(views=3)).cameras
    assert torch.allclose(made.cameras[2].world_to_camera, keys[1].world_to_camera, atol=1e-5)
    assert "'zoom' is no key" in parse(request(zoom=2)).notes[0]
    mixed = parse(request(image=png(384, 256)))  # intrinsics written for the views, not for the picture
    assert "not of the picture (384 x 256)" in mixed.notes[0]


@pytest.mark.parametrize("kind", PATHS)
@pytest.mark.parametrize("size", [None, (96, 64), (200, 64), (64, 200)])
def test_composed_requests_give_the_path_back(kind, size, tmp_path):
    wanted = named_path(kind, 4, 48, 32, 0.9)
    picture = None
    if size is not None:
        picture = tmp_path / "a.png"
        picture.write_bytes(png(*size))
    content = compose(prompt="a", picture=picture, image_index=1, views=4, cameras=wanted)
    made = parse(json.loads(json.dumps(content)))
    for a, b in zip(made.cameras, wanted, strict=True):
        assert torch.allclose(a.K, b.K, atol=1e-4) and torch.allclose(a.world_to_camera, b.world_to_camera, atol=1e-5)
    assert (made.image is None) == (size is None)
    assert not made.notes


def test_cameras_come_from_files_of_four_kinds(tmp_path):
    wanted = named_path("walk", 3, 48, 32, 0.9)
    entries = [camera_to_flashworld(c) for c in wanted]
    opengl = torch.diag(torch.tensor([1.0, -1, -1, 1]))
    poses = [(c.camera_to_world @ opengl).tolist() for c in wanted]
    flats = torch.tensor(poses).flatten(1).tolist()
    matrices = [{"world_to_camera": c.world_to_camera.tolist(), "K": c.K.tolist()} for c in wanted]
    contents = {
        "bare.json": entries,
        "flashworld.json": {"resolution": [3, 32, 48], "cameras": entries},
        "ours.json": {"width": 48, "height": 32, "cameras": matrices},
        "nerfstudio.json": {
            "render_width": 96, "render_height": 64,
            "camera_path": [{"camera_to_world": flat, "fov": math.degrees(0.9)} for flat in flats],
        },
        "transforms.json": {
            "w": 48, "h": 32, "fl_x": entries[0]["fx"], "frames": [{"transform_matrix": p} for p in poses],
        },
    }  # fmt: skip
    for name, content in contents.items():
        (tmp_path / name).write_text(json.dumps(content))
        for a, b in zip(path_from_file(tmp_path / name, 48, 32), wanted, strict=True):
            assert torch.allclose(a.K, b.K, atol=1e-3), name
            assert torch.allclose(a.world_to_camera, b.world_to_camera, atol=1e-5), name
    (tmp_path / "bad.json").write_text(json.dumps({"frames": [{}], "w": 4, "h": 4, "fl_x": 3}))
    with pytest.raises(FormatError, match=r"frame 0 .* lacks 'transform_matrix'"):
        path_from_file(tmp_path / "bad.json", 48, 32)
    with pytest.raises(InputError, match="unknown camera path 'loop'"):
        named_path("loop", 3, 48, 32, 0.9)


def test_settings_of_a_file_yield_to_those_given():
    made = WorldSettings.of({"seed": 7, "steps": 2, "least_opacity": 0}, {"steps": 8, "budget": None})
    assert (made.seed, made.steps, made.budget) == (7, 8, 0)
    with pytest.raises(InputError, match="unknown setting 'sed'"):
        WorldSettings.of({"sed": 1}, {})
    with pytest.raises(InputError, match="setting seed is '1': expected int"):
        WorldSettings.of({"seed": "1"}, {})
    with pytest.raises(InputError, match="windows of 4 views that share 4"):
        WorldSettings(window=4, overlap=4)
    with pytest.raises(InputError, match="steps is 0"):
        WorldSettings(steps=0)
