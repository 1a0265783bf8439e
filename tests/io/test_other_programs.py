"""What we write is read by independent programs and libraries, and what they write by us, and both agree.

The programs are found by themselves: `splat-transform` (npm: @playcanvas/splat-transform, which brings the PlayCanvas
engine) on PATH or by UNSEEN_SPLAT_TRANSFORM, and node on PATH. Their tests are skipped where they are missing.
"""

import json
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import gsply
import numpy as np
import pygltflib
import pytest
import torch
from splat_samples import assert_close, matched, random_gaussians

from unseen.core.gaussians import Gaussians
from unseen.io.axes import rdf_to_rub
from unseen.io.ply import load_ply, save_ply
from unseen.io.scene import load_gaussians, save_gaussians
from unseen.io.spz import load_spz

pytestmark = pytest.mark.interop
NUM = 1500  # several chunks of 256 and a part of one
WRITTEN = [".ply", ".compressed.ply", ".splat", ".spz", ".sog", "meta.json"]
QUANTISED = {
    ".ply": {},
    ".compressed.ply": {"position": 0.008, "log_scale": 0.005, "rotation": 0.004, "opacity": 0.002, "rgb": 0.003,
                        "sh": 0.032},
    ".splat": {"rotation": 0.02, "opacity": 0.002, "rgb": 0.5},  # a colour is clamped to [0, 1]
    ".spz": {"position": 1e-5, "log_scale": 0.032, "rotation": 0.006, "opacity": 0.002, "rgb": 0.004, "sh": 0.004},
    ".sog": {"position": 4e-4, "log_scale": 0.05, "rotation": 0.012, "opacity": 0.004, "rgb": 0.01, "sh": 0.02},
}  # fmt: skip
QUANTISED["meta.json"] = QUANTISED[".sog"]


@pytest.fixture(scope="module")
def splat_transform():
    """Runs the program; skips where it is missing."""
    program = os.environ.get("UNSEEN_SPLAT_TRANSFORM") or shutil.which("splat-transform")
    if not program or not shutil.which("node"):
        pytest.skip("needs node, and splat-transform on PATH or by UNSEEN_SPLAT_TRANSFORM")

    def run(*args: object) -> None:
        result = subprocess.run([program, "-q", "-w", *map(str, args)], capture_output=True, text=True, timeout=300)
        assert result.returncode == 0, result.stderr + result.stdout

    run.path = Path(program).resolve()
    return run


@pytest.fixture(scope="module")
def scene() -> Gaussians:
    return random_gaussians(NUM, 3, seed=5)


@pytest.mark.parametrize("ending", WRITTEN)
@pytest.mark.parametrize("degree", [0, 3])
def test_splat_transform_reads_what_we_write(splat_transform, scene, tmp_path, ending, degree):
    given = scene if degree == 3 else random_gaussians(NUM + 1, degree)
    path = tmp_path / f"scene{ending}" if ending != "meta.json" else tmp_path / ending
    save_gaussians(path, given)
    splat_transform(path, tmp_path / "theirs.ply")
    theirs, ours = load_ply(tmp_path / "theirs.ply"), load_gaussians(path)
    # of a byte b of a quaternion they make b / 127.5 - 1 where the format's own viewer makes (b - 128) / 128
    figures = assert_close(theirs, ours, opacity=1e-5, rotation=0.009 if ending == ".splat" else 1e-5)
    print(f"\n{ending} degree {degree}, their reading against ours: {figures}")
    against = replace(given, shN=given.shN[:, :0]) if ending == ".splat" else given
    figures = assert_close(matched(against, theirs), against, **QUANTISED[ending])
    print(f"{ending} degree {degree}, their reading against the original: {figures}")


@pytest.mark.parametrize(
    ("ending", "options"),
    [(".compressed.ply", []), (".spz", ["--spz-version", 3]), (".spz", ["--spz-version", 4]),
     (".sog", ["-g", "cpu"]), ("meta.json", ["-g", "cpu"])],
)  # fmt: skip
def test_we_read_what_splat_transform_writes(splat_transform, scene, tmp_path, ending, options):
    save_ply(tmp_path / "ours.ply", scene)
    path = tmp_path / f"scene{ending}" if ending != "meta.json" else tmp_path / ending
    splat_transform(*options, tmp_path / "ours.ply", path)
    ours = load_gaussians(path)
    splat_transform(path, tmp_path / "theirs.ply")
    figures = assert_close(load_ply(tmp_path / "theirs.ply"), ours, opacity=1e-5, rotation=1e-5)
    print(f"\n{ending} {options}, our reading against theirs: {figures}")
    # they cut where we round, keep 12 binary places, 5 and 4 bits of harmonics in .spz, a small palette in .sog, and
    # no colour of what is transparent
    coarse = {"position": 0.008, "log_scale": 0.15, "rotation": 0.03, "opacity": 0.004, "rgb": 0.05, "sh": 2.0}
    seen = scene.select(scene.opacities > 1 / 255)
    figures = assert_close(matched(seen, ours), seen, **coarse)
    print(f"{ending} {options}, our reading against the original: {figures}")


def test_we_read_the_glb_of_splat_transform(splat_transform, scene, tmp_path):
    save_ply(tmp_path / "ours.ply", scene)
    splat_transform(tmp_path / "ours.ply", tmp_path / "scene.glb")
    # they turn half about z where we turn half about x: y is up in both, front and back are exchanged
    found = load_gaussians(tmp_path / "scene.glb", axes="RUB")
    assert len(found) == NUM and found.sh_degree == 3
    assert torch.allclose(found.means, scene.means * torch.tensor([-1.0, -1.0, 1.0]), atol=1e-6)
    assert torch.allclose(found.sh0, scene.sh0) and torch.allclose(found.opacities, scene.opacities)
    assert torch.allclose(found.log_scales, scene.log_scales, atol=1e-6)


def test_the_playcanvas_engine_reads_our_glb(splat_transform, scene, tmp_path):
    engine = splat_transform.path.parents[3] / "playcanvas"
    if not engine.is_dir():
        pytest.skip(f"needs the playcanvas package beside splat-transform, not found at {engine}")
    save_gaussians(tmp_path / "scene.glb", scene)
    command = ["node", Path(__file__).with_name("read_glb.mjs"), engine, tmp_path / "scene.glb", tmp_path / "out.json"]
    subprocess.run(command, check=True, timeout=120)
    out = json.loads((tmp_path / "out.json").read_text())
    assert out["activated"]

    def columns(*names: str) -> torch.Tensor:
        return torch.tensor([out["columns"][name] for name in names]).T

    theirs = Gaussians(
        means=columns("x", "y", "z"),
        quats=columns(*(f"rot_{i}" for i in range(4))),
        log_scales=columns(*(f"scale_{i}" for i in range(3))).log(),
        logit_opacities=columns("opacity")[:, 0].logit(),
        sh0=columns(*(f"f_dc_{i}" for i in range(3))),
        shN=columns(*(f"f_rest_{i}" for i in range(45))).reshape(NUM, 3, 15).transpose(1, 2),
    )
    figures = assert_close(theirs, rdf_to_rub(scene))
    print(f"\n.glb, the engine's reading against the original: {figures}")


def test_pygltflib_reads_our_glb(scene, tmp_path):
    save_gaussians(tmp_path / "scene.glb", scene, axes="RUB")
    gltf = pygltflib.GLTF2().load(str(tmp_path / "scene.glb"))
    (primitive,) = gltf.meshes[0].primitives
    extension = primitive.extensions["KHR_gaussian_splatting"]
    assert gltf.extensionsUsed == ["KHR_gaussian_splatting"] and primitive.mode == pygltflib.POINTS
    assert (extension["kernel"], extension["colorSpace"]) == ("ellipse", "srgb_rec709_display")

    def read(name: str, width: int, kind: str = "<f4") -> np.ndarray:
        accessor = gltf.accessors[getattr(primitive.attributes, name)]
        view = gltf.bufferViews[accessor.bufferView]
        assert view.byteOffset % 4 == 0
        return np.frombuffer(gltf.binary_blob(), kind, accessor.count * width, view.byteOffset).reshape(-1, width)

    assert np.array_equal(read("POSITION", 3), scene.means)
    bounds = gltf.accessors[primitive.attributes.POSITION]
    assert np.allclose(bounds.min, scene.means.amin(0)) and np.allclose(bounds.max, scene.means.amax(0))
    assert np.allclose(read("KHR_gaussian_splatting:SCALE", 3), scene.scales)
    assert np.allclose(read("KHR_gaussian_splatting:OPACITY", 1)[:, 0], scene.opacities)
    unit = torch.nn.functional.normalize(scene.quats, dim=1)[:, [1, 2, 3, 0]]
    assert np.allclose(read("KHR_gaussian_splatting:ROTATION", 4), unit, atol=1e-6)
    k = 0
    for band in range(4):
        for m in range(2 * band + 1):
            found = read(f"KHR_gaussian_splatting:SH_DEGREE_{band}_COEF_{m}", 3)
            assert np.array_equal(found, scene.sh[:, k])
            k += 1
    color = read("COLOR_0", 4, "u1") / 255
    shown = np.where(color <= 0.0031308, color * 12.92, 1.055 * color ** (1 / 2.4) - 0.055)  # as a screen shows it
    assert np.abs(shown[:, :3] - scene.rgb.clamp(0, 1).numpy()).max() < 0.03
    assert np.abs(color[:, 3] - scene.opacities.numpy()).max() <= 0.51 / 255


def _of_gsply(data: gsply.GSData) -> Gaussians:
    tensors = (np.array(a, np.float32) for a in (data.means, data.quats, data.scales, data.opacities, data.sh0))
    shN = np.zeros((len(data.means), 0, 3), np.float32) if data.shN is None else np.array(data.shN, np.float32)
    return Gaussians(*map(torch.from_numpy, tensors), torch.from_numpy(shN).reshape(len(data.means), -1, 3))


def _to_gsply(g: Gaussians) -> gsply.GSData:
    arrays = {"means": g.means, "scales": g.log_scales, "quats": torch.nn.functional.normalize(g.quats, dim=1)}
    arrays |= {"opacities": g.logit_opacities, "sh0": g.sh0, "shN": g.shN}
    return gsply.GSData.from_arrays(**{name: value.numpy() for name, value in arrays.items()}, format="ply")


def test_gsply_reads_our_spz_and_we_read_both_of_its_versions(scene, tmp_path):
    save_gaussians(tmp_path / "a.spz", scene, axes="RUB")
    theirs = _of_gsply(gsply.read_spz(tmp_path / "a.spz"))
    figures = assert_close(theirs, load_spz(tmp_path / "a.spz", axes="RUB"), opacity=1e-5)
    print(f"\n.spz, gsply's reading against ours: {figures}")
    for version in (3, 4):
        gsply.write_spz(tmp_path / "b.spz", _to_gsply(scene), version=version, fractional_bits=16)
        assert_close(load_spz(tmp_path / "b.spz", axes="RUB"), scene, **QUANTISED[".spz"])


def test_gsply_reads_our_compressed_ply(scene, tmp_path):
    save_gaussians(tmp_path / "a.compressed.ply", scene)
    theirs = _of_gsply(gsply.plyread(tmp_path / "a.compressed.ply"))
    figures = assert_close(theirs, load_ply(tmp_path / "a.compressed.ply"), opacity=1e-5)
    print(f"\n.compressed.ply, gsply's reading against ours: {figures}")
