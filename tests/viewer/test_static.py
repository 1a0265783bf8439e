import base64
import gzip
import json
import re

import numpy as np
import pytest
import torch

from chromium import psnr_db, screenshot
from unseen.core.camera import Camera
from unseen.core.errors import InputError, ResourceError, ShapeError
from unseen.core.gaussians import Gaussians
from unseen.core.rotations import axis_angle_to_matrix
from unseen.render.scene import render_gaussians
from unseen.viewer.static import AnimatedSplats, write_viewer

TYPES = {"u8": "u1", "u16": "<u2", "i16": "<i2", "u32": "<u4", "f32": "<f4"}


def scene(num: int, degree: int = 0, seed: int = 0, size: float = 0.02) -> Gaussians:
    g = torch.Generator().manual_seed(seed)
    return Gaussians(
        means=(torch.rand(num, 3, generator=g) - 0.5) * torch.tensor([0.3, 0.2, 0.25]),
        quats=torch.randn(num, 4, generator=g),
        log_scales=(torch.rand(num, 3, generator=g) * size + 0.003).log(),
        logit_opacities=torch.randn(num, generator=g) * 2,
        sh0=torch.rand(num, 3, generator=g) * 3 - 1.5,
        shN=torch.randn(num, (degree + 1) ** 2 - 1, 3, generator=g) * 0.2,
    )


def rig(num_frames: int = 6, per_face: int = 2, side: int = 12) -> AnimatedSplats:
    """A cylinder that turns and breathes, coloured splats on its triangles."""
    angle, height = np.meshgrid(np.linspace(0, 2 * np.pi, side, endpoint=False), np.linspace(-0.1, 0.1, side))
    angle, height = torch.tensor(angle).flatten(), torch.tensor(height).flatten()
    rest = torch.stack([0.08 * angle.cos(), height, 0.08 * angle.sin()], 1).float()
    i, j = np.meshgrid(np.arange(side - 1), np.arange(side), indexing="ij")
    a, b = i * side + j, i * side + (j + 1) % side
    faces = torch.tensor(np.stack([np.stack([a, b, a + side]), np.stack([b, b + side, a + side])])).permute(0, 2, 3, 1)
    faces = faces.reshape(-1, 3)
    frames = []
    for t in range(num_frames):
        turn = axis_angle_to_matrix(torch.tensor([0.1, 0.5 * t / num_frames, 0.2]))
        frames.append(rest * (1 + 0.3 * t / num_frames) @ turn.T + torch.tensor([0.02 * t / num_frames, 0, 0]))
    binding = torch.arange(len(faces)).repeat_interleave(per_face)
    g = torch.Generator().manual_seed(1)
    num = len(binding)
    local = Gaussians(
        means=torch.randn(num, 3, generator=g) * torch.tensor([0.3, 0.1, 0.3]),
        quats=torch.randn(num, 4, generator=g),
        log_scales=torch.rand(num, 3, generator=g) - 1.5,
        logit_opacities=torch.randn(num, generator=g) + 1,
        sh0=torch.rand(num, 3, generator=g) * 3 - 1.5,
        shN=torch.zeros(num, 0, 3),
    )
    return AnimatedSplats(local, binding, faces, torch.stack(frames), fps=10.0)


def unpack(page: str) -> tuple[dict, dict[str, np.ndarray]]:
    """Manifest and arrays of a page, with quantised ones as floats."""
    manifest = json.loads(re.search(r'<script id="manifest"[^>]*>(.*?)</script>', page, re.S)[1])
    payload = re.search(r'<script id="payload"[^>]*>(.*?)</script>', page, re.S)[1]
    data, arrays = gzip.decompress(base64.b64decode(payload)), {}
    for entry in manifest["arrays"]:
        dtype = np.dtype(TYPES[entry["type"]])
        count = int(np.prod(entry["shape"]))
        planes, data = data[: count * dtype.itemsize], data[count * dtype.itemsize :]
        array = np.frombuffer(planes, np.uint8).reshape(dtype.itemsize, count).T.copy().view(dtype)
        array = array.reshape(entry["shape"])
        if entry["delta"]:
            array = np.cumsum(array, axis=0, dtype=array.dtype)
        if "lo" in entry:
            lo, hi = np.array(entry["lo"]), np.array(entry["hi"])
            array = lo + array * ((hi - lo) / np.iinfo(dtype).max)
        arrays[entry["name"]] = array
    assert data == b""
    return manifest, arrays


def check_splats(arrays: dict[str, np.ndarray], g: Gaussians) -> None:
    assert np.array_equal(arrays["means"], g.means.numpy())
    unit = torch.nn.functional.normalize(g.quats, dim=1).numpy()
    assert np.abs(arrays["quats"] / 32767 - unit).max() < 2e-5
    for name, values in (("log_scales", g.log_scales), ("opacities", g.opacities), ("rgb", g.rgb)):
        extent = float(values.max() - values.min()) if name != "opacities" else 1.0
        assert np.abs(arrays[name] - values.numpy()).max() <= 0.51 * extent / 65535 + 1e-6, name


def test_page_is_self_contained(tmp_path):
    write_viewer(tmp_path / "a.html", scene(50))
    page = (tmp_path / "a.html").read_text()
    payload = re.search(r'<script id="payload"[^>]*>(.*?)</script>', page, re.S)[1]
    rest = page.replace(payload, "")
    assert not re.search(r"https?:|//[\w-]+\.\w|<link|@import|\bsrc=|\bhref=|fetch\(|XMLHttp|import\(", rest)
    assert "default-src 'none'" in rest and "@@" not in rest


def test_static_scene_decodes_back(tmp_path):
    g = scene(300, degree=2)
    camera = Camera.look_at([0.1, 0.2, 0.8], [0, 0, 0], 320, 240, fov_y_rad=0.5)
    write_viewer(tmp_path / "a.html", g, title="A & B", camera=camera, background="white")
    manifest, arrays = unpack((tmp_path / "a.html").read_text())
    check_splats(arrays, g)
    limit = np.abs(g.shN.numpy()).max()
    clipped = np.clip(g.shN.numpy(), arrays["sh"].min(), arrays["sh"].max())
    assert np.abs(arrays["sh"] - clipped).max() <= 0.51 * 2 * limit / 255
    view = manifest["view"]
    assert manifest["title"] == "A & B" and manifest["background"] == "white"
    assert view["eye"] == pytest.approx([0.1, 0.2, 0.8], abs=1e-5) and view["up"] == [0, 1, 0]
    assert view["focal"] == pytest.approx([float(camera.K[0, 0]), float(camera.K[1, 1])]) and view["size"] == [320, 240]


def test_rig_decodes_back(tmp_path):
    animated = rig()
    write_viewer(tmp_path / "a.html", rig=animated)
    manifest, arrays = unpack((tmp_path / "a.html").read_text())
    check_splats(arrays, animated.local)
    assert np.array_equal(arrays["binding"], animated.binding) and np.array_equal(arrays["faces"], animated.faces)
    assert arrays["vertices"].shape == tuple(animated.vertices.shape)
    assert np.abs(arrays["vertices"] - animated.vertices.numpy()).max() < 4e-6
    assert manifest["fps"] == 10.0 and "sh" not in arrays


def test_titles_cannot_break_the_page(tmp_path):
    title = "</script><script>alert(1)</script> <!-- & @@PAYLOAD@@ \"'"
    write_viewer(tmp_path / "a.html", scene(5), title=title)
    page = (tmp_path / "a.html").read_text()
    assert "<script>alert" not in page and page.count("<script") == 3
    assert unpack(page)[0]["title"] == title


def test_non_finite_splats_are_left_out(tmp_path):
    g = scene(10)
    g.means[3, 0], g.sh0[7, 1] = float("nan"), float("inf")
    write_viewer(tmp_path / "a.html", g)
    assert unpack((tmp_path / "a.html").read_text())[1]["means"].shape == (8, 3)
    animated = rig()
    animated.local.log_scales[4] = float("nan")
    write_viewer(tmp_path / "b.html", rig=animated)
    arrays = unpack((tmp_path / "b.html").read_text())[1]
    assert len(arrays["binding"]) == len(animated.binding) - 1 and np.isfinite(arrays["log_scales"]).all()


def test_an_avatar_of_usual_size_stays_under_ten_megabytes(tmp_path):
    num_vertices, num_faces, num_frames = 7000, 13900, 160
    g = torch.Generator().manual_seed(0)
    rest = torch.randn(num_vertices, 3, generator=g) * 0.1
    time = torch.arange(num_frames)[:, None, None] / 25
    vertices = (
        rest + 0.02 * torch.sin(2 * time + 9 * rest) + 1e-5 * torch.randn(num_frames, num_vertices, 3, generator=g)
    )
    faces = torch.randint(num_vertices, (num_faces, 3), generator=g)
    binding = torch.randint(num_faces, (30000,), generator=g)
    write_viewer(tmp_path / "a.html", rig=AnimatedSplats(scene(30000), binding, faces, vertices, 25.0))
    assert (tmp_path / "a.html").stat().st_size < 10e6


def test_refusals(tmp_path):
    for arguments, words in [
        ({}, "give exactly one"),
        ({"gaussians": scene(2), "rig": rig()}, "give exactly one"),
        ({"gaussians": scene(2), "background": "pink"}, "'pink': expected one of dark"),
        ({"gaussians": scene(0)}, "nothing to show"),
    ]:
        with pytest.raises(InputError, match=words):
            write_viewer(tmp_path / "a.html", **arguments)
    with pytest.raises(ResourceError):
        write_viewer(tmp_path / "none" / "a.html", scene(2))
    good = rig()
    with pytest.raises(ShapeError, match="indices outside"):
        AnimatedSplats(good.local, good.binding + 1, good.faces, good.vertices, 10)
    with pytest.raises(ShapeError, match=r"expected \[N\]"):
        AnimatedSplats(good.local, good.binding, good.faces, good.vertices[0, :, 0], 10)
    with pytest.raises(InputError, match="positive rate"):
        AnimatedSplats(good.local, good.binding, good.faces, good.vertices, 0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("degree", [0, 3])
def test_browser_draws_what_the_rasteriser_draws(tmp_path, degree):
    """Colours, handedness, orientation, order and harmonics, from a tilted camera off the axes, y down."""
    g = scene(400, degree)
    camera = Camera.look_at([0.3, -0.25, -0.6], [0.02, 0, 0], 300, 220, fov_y_rad=0.5, up=(0.15, -1, 0.1))
    write_viewer(tmp_path / "a.html", g, camera=camera, background="white")
    shown = screenshot(f"{(tmp_path / 'a.html').as_uri()}#ui=0", (300, 220))
    assert psnr_db(shown, render_gaussians(g, camera)) > 40
    assert psnr_db(shown.flip(1), render_gaussians(g, camera)) < 20  # the comparison can fail


@pytest.mark.slow
def test_browser_poses_the_rig(tmp_path):
    animated = rig()
    camera = Camera.look_at([0.1, 0.1, 0.7], [0, 0, 0], 260, 260, fov_y_rad=0.6)
    write_viewer(tmp_path / "a.html", rig=animated, camera=camera, background="white")
    for frame in (0, 5):
        shown = screenshot(f"{(tmp_path / 'a.html').as_uri()}#ui=0&frame={frame}", (260, 260))
        assert psnr_db(shown, render_gaussians(animated.at(frame), camera)) > 40
    assert psnr_db(shown, render_gaussians(animated.at(0), camera)) < 30


@pytest.mark.slow
def test_browser_shows_the_controls(tmp_path):
    write_viewer(tmp_path / "a.html", rig=rig(), title="A head", background="dark")
    shown = screenshot(f"{(tmp_path / 'a.html').as_uri()}#frame=2", (600, 400))
    bare = screenshot(f"{(tmp_path / 'a.html').as_uri()}#frame=2&ui=0", (600, 400))
    changed = (shown - bare).abs().amax(-1) > 0.1
    assert changed[340:].any() and changed[:60, :120].any() and changed[:60, -150:].any()  # player, title, buttons
    assert not changed[100:300].any()
    assert bare[150:250, 250:350].std() > 0.1 and bare[:, :60].std() < 0.05  # framed: in the middle, not at the edge
