"""Photos become a scene: the whole job on a small album, killed and resumed, exported, judged again from its files."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from fitting_scenes import blobs, pictures_of, ring_of_cameras
from unseen.core.errors import FormatError, InputError
from unseen.fit.config import FitConfig
from unseen.fit.world import Similarity
from unseen.io.colmap import write_colmap
from unseen.io.images import write_image
from unseen.io.ply import load_ply
from unseen.io.scene import load_gaussians
from unseen.jobs.fit import FitRequest, evaluate_run, run_fit
from unseen.jobs.fit.settings import fit_settings
from unseen.jobs.fit.sources import PhotoSource, has_cameras
from unseen.jobs.progress import Silent

CONFIG = FitConfig(steps=700, max_splats=900, sh_degree=1, checkpoint_every=100, far_splats=200)


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Path:
    """24 photos of blobs, as a COLMAP project somewhere else in the world and at another scale."""
    folder = tmp_path_factory.mktemp("album")
    splats, cameras = blobs(), ring_of_cameras(24, 40)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(3)))[0]
    world = Similarity(3.0, turn * turn.det(), torch.tensor([5.0, -2.0, 1.0]))
    names = [f"{i:02d}.png" for i in range(24)]
    for name, picture in zip(names, pictures_of(splats, cameras).pictures, strict=True):
        (folder / "images").mkdir(exist_ok=True)
        write_image(folder / "images" / name, torch.from_numpy(picture.image) / 255)
    spread = 0.05 * torch.randn(480, 3, generator=torch.Generator().manual_seed(4))
    points = world.points(splats.means.repeat(8, 1) + spread)
    write_colmap(folder, [world.camera(c) for c in cameras], names, points, splats.rgb.repeat(8, 1))
    return folder


def request(album: Path, out: Path, **changes) -> FitRequest:
    return replace(FitRequest(PhotoSource(album), out, CONFIG, formats=("html", "spz"), tensorboard=False), **changes)


@pytest.fixture(scope="module")
def finished(album, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("fit") / "out"
    run_fit(request(album, out), Silent())
    return out


def test_what_it_leaves(finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "scene.ply",
        "scene.spz",
        "viewer.html",
        "metrics.json",
        "config.json",
        "split.json",
        "world.json",
        "preview.jpg",
    }
    metrics = json.loads((finished / "metrics.json").read_text())
    assert metrics["fitted_photos"] == 21 and metrics["held_out"]["photos"] == 3
    assert metrics["held_out"]["psnr"] > 20
    assert len(load_gaussians(finished / "scene.spz")) == len(load_ply(finished / "scene.ply")) == metrics["splats"]


def test_the_files_alone_give_the_same_judgement(finished):
    found = evaluate_run(finished, renders=True)
    kept = json.loads((finished / "metrics.json").read_text())["held_out"]
    assert found["psnr"] == pytest.approx(kept["psnr"], abs=0.02)
    assert [view["photo"] for view in found["views"]] == ["00.png", "08.png", "16.png"]
    assert len(list((finished / "eval").glob("*.png"))) == 3


def test_the_scene_is_in_the_world_of_the_photos(finished, album):
    world = Similarity.load(finished / "world.json")
    scene = load_ply(finished / "scene.ply")
    opaque = scene.select(scene.opacities > 0.5)
    assert float((opaque.means.median(0).values - torch.tensor([5.0, -2.0, 1.0])).norm()) < 1.5
    assert world.scale == pytest.approx(1 / 3 / ring_of_cameras(1)[0].center[[0, 2]].norm().item(), rel=0.05)


def test_a_second_run_does_not_mix_with_the_first(finished, album):
    with pytest.raises(InputError, match="already holds a run"):
        run_fit(request(album, finished), Silent())
    with pytest.raises(InputError, match="another fit"):
        run_fit(request(album, finished, fit=replace(CONFIG, steps=701), resume=True), Silent())


def test_formats_are_checked_before_the_work(album, tmp_path):
    with pytest.raises(InputError, match="cannot export 'obj'"):
        run_fit(request(album, tmp_path / "out", formats=("obj",)), Silent())
    assert not (tmp_path / "out" / "checkpoints").exists()


@pytest.mark.slow
def test_a_killed_run_ends_with_the_same_bytes(finished, album, tmp_path):
    """kill -9 in the middle, as nothing else interrupts without a word."""
    out = tmp_path / "out"
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from pathlib import Path; from unseen.jobs.fit import run_fit; from unseen.jobs.progress import Silent\n"
        "from jobs.fit.test_fit_job import request\n"
        "run_fit(request(Path(sys.argv[2]), Path(sys.argv[3]), resume=True), Silent())\n"
    )
    tests = Path(__file__).resolve().parents[2]
    command = [sys.executable, "-c", code, str(tests), str(album), str(out)]
    child = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(tests)})
    while child.poll() is None and not (out / "checkpoints" / "fit.safetensors").exists():
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert not (out / "scene.ply").exists()
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(tests)})
    assert (out / "scene.ply").read_bytes() == (finished / "scene.ply").read_bytes()


def test_cameras_are_recognised(album, tmp_path):
    assert has_cameras(album) and not has_cameras(album / "images") and not has_cameras(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        run_fit(request(tmp_path / "nothing", tmp_path / "out"), Silent())


def test_judging_what_is_not_there(tmp_path, finished):
    with pytest.raises(InputError, match="no finished fit"):
        evaluate_run(tmp_path, renders=False)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "split.json").write_text("{")
    with pytest.raises(FormatError, match="damaged"):
        evaluate_run(tmp_path, renders=False)


def test_settings_from_a_file_and_options(tmp_path):
    file = tmp_path / "settings.json"
    file.write_text(json.dumps({"fit": {"steps": 10, "ssim_weight": 0.5}}))
    options = {"steps": 7000, "strategy": "mcmc"}
    assert fit_settings(file, options, set()).steps == 10
    assert fit_settings(file, options, {"steps"}).steps == 7000
    assert fit_settings(file, options, set()).opacity_penalty == 0.0003
    for text, problem in [('{"stepps": 3}', "no setting"), ('{"steps": "3"}', "expected something like"),
                          ('{"strategy": "magic"}', "expected one of")]:  # fmt: skip
        file.write_text(text)
        with pytest.raises(InputError, match=problem):
            fit_settings(file, {}, set())
    file.write_text("[1]")
    with pytest.raises(FormatError, match="no settings"):
        fit_settings(file, {}, set())
