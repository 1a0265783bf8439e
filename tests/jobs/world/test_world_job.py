"""The whole job: files in the caller's frame, the same again with a seed, and batches that survive being killed."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_world import FakePipeline, film
from PIL import Image

from small_models import small_world
from unseen.core.errors import InputError, ResourceError
from unseen.core.gaussians import Gaussians
from unseen.core.paths import from_file
from unseen.fit.metrics import psnr
from unseen.io.images import read_image_float
from unseen.io.ply import load_ply
from unseen.io.scene import load_gaussians
from unseen.io.video import probe
from unseen.jobs.progress import Silent
from unseen.jobs.world.batch import job_of, request_files, run_batch
from unseen.jobs.world.compose import Asked, compose, named_path
from unseen.jobs.world.job import WorldJob, describe, run_world
from unseen.jobs.world.making import white_picture
from unseen.jobs.world.outputs import Exports, axes_of
from unseen.jobs.world.refining import refined
from unseen.jobs.world.settings import WorldSettings
from unseen.render.scene import view_gaussians


class Given:
    """Models that are one given one, whatever their name."""

    def __init__(self, model):
        self.model = model

    def config(self, name):
        return self.model.config

    @contextmanager
    def running(self, name, views, size, reporter):
        yield self.model


class Notes(Silent):
    def __init__(self):
        self.lines = []

    def note(self, message):
        self.lines.append(message)


FEW = Exports(video=False, html=False)


def asked(model, out, settings=None, exports=FEW, **changes):
    request = Asked(**{"prompt": "a red room", "views": 3, "size": (48, 32), **changes}).request(model.config)
    return WorldJob(request, out, settings or WorldSettings(), exports)


def test_all_files_are_written_in_the_callers_frame(tmp_path):
    model = FakePipeline()
    job = asked(model, tmp_path / "a", exports=Exports(fps=4, seconds=1.5), views=4)
    summary = run_world(job, Given(model), Silent())
    names = {p.name for p in job.out.iterdir()}
    assert names == {
        "scene.ply", "scene.spz", "viewer.html", "video.mp4", "views", "depth", "cameras.json", "request.json",
        "world.json",
    }  # fmt: skip
    assert json.loads((job.out / "world.json").read_text()) == json.loads(json.dumps(summary))
    film_of = probe(job.out / "video.mp4")
    assert (film_of.num_frames, film_of.fps, film_of.width, film_of.height) == (7, 4, 48, 32)
    scene = load_ply(job.out / "scene.ply")
    cameras = from_file(job.out / "cameras.json")
    for k, (camera, wanted) in enumerate(zip(cameras, job.request.cameras, strict=True)):
        assert torch.allclose(camera.world_to_camera, wanted.world_to_camera, atol=1e-5)
        stored = read_image_float(job.out / "views" / f"{k:03d}.png")
        assert torch.allclose(view_gaussians(scene, wanted).image, stored, atol=0.003)
    unit = json.loads((job.out / "cameras.json").read_text())["depth_unit"]
    depth = np.asarray(Image.open(job.out / "depth" / "001.png"), float) * unit
    assert np.allclose(depth, view_gaussians(scene, job.request.cameras[1]).depth, atol=0.01)
    compact = load_gaussians(job.out / "scene.spz")
    assert torch.allclose(compact.means.mean(0), scene.means.mean(0), atol=0.01)


def test_a_request_file_makes_the_same_world_again(tmp_path):
    model = small_world()
    settings = WorldSettings(seed=5, steps=2, preview=True)
    first = asked(model, tmp_path / "a", settings, size=(96, 64), path="walk")
    run_world(first, Given(model), Silent())
    models = Given(model)
    again = job_of(tmp_path / "a" / "request.json", tmp_path / "b", {"seed": None}, FEW, (), models)
    assert again.fingerprint == first.fingerprint
    run_world(again, models, Silent())
    for name in ("request.json", "cameras.json"):
        assert _without_unit(tmp_path / "a" / name) == _without_unit(tmp_path / "b" / name)
    made, remade = (load_ply(tmp_path / k / "scene.ply") for k in "ab")
    assert torch.allclose(made.means, remade.means, atol=1e-4) and torch.allclose(made.sh, remade.sh, atol=1e-3)
    other = job_of(tmp_path / "a" / "request.json", tmp_path / "c", {"seed": 6}, FEW, (), models)
    run_world(other, models, Silent())
    assert not torch.allclose(made.means, load_ply(tmp_path / "c" / "scene.ply").means, atol=1e-2)


def _without_unit(file):
    return {k: v for k, v in json.loads(file.read_text()).items() if k != "depth_unit"}


def test_a_finished_folder_is_left_alone_and_another_world_replaces_it(tmp_path):
    model = FakePipeline()
    job = asked(model, tmp_path / "a")
    (tmp_path / "a" / "views").mkdir(parents=True)
    (tmp_path / "a" / "views" / "mine.txt").write_text("kept")
    notes = Notes()
    run_world(job, Given(model), Silent())
    assert run_world(job, Given(model), notes)["gaussians"] > 0
    assert model.calls == 1 and "already holds this world" in notes.lines[0]
    other = asked(model, tmp_path / "a", exports=Exports(spz=False, video=False, html=False), views=2)
    run_world(other, Given(model), Silent())
    assert {p.name for p in (tmp_path / "a" / "views").iterdir()} == {"000.png", "001.png", "mine.txt"}
    assert not (tmp_path / "a" / "scene.spz").exists() and model.calls == 2


def test_budget_windows_and_refinement_are_reported(tmp_path):
    model = FakePipeline(jitter=0.02)
    settings = WorldSettings(window=4, overlap=2, budget=1200, refine=30)
    job = asked(model, tmp_path / "a", settings, views=6, path="pan")
    summary = run_world(job, Given(model), Silent())
    assert summary["gaussians"] == 1200 == summary["merging"]["after"] == len(load_ply(job.out / "scene.ply"))
    assert len(summary["windows"]) == 2 and summary["counts"]["kept"] == summary["merging"]["before"]
    scores = summary["refining"]["psnr_db"]
    assert scores["views"]["after"] > scores["views"]["before"] and scores["between"]["after"] > 15
    text = "\n".join(describe(summary))
    assert "2 windows, which agree to" in text and "merged from" in text and "refined in 30 steps: views" in text


def test_the_networks_make_windows_too(tmp_path):
    model = small_world()
    settings = WorldSettings(window=2, overlap=1, steps=2, budget=900)
    summary = run_world(asked(model, tmp_path / "a", settings, path="pan"), Given(model), Silent())
    assert [w["views"] for w in summary["windows"]] == [[0, 1], [1, 2]] and summary["gaussians"] == 900
    assert summary["windows"][0]["kept"] == 2 * 2 * 16 * 24 and "transformer" in summary["seconds"]["networks"]


def test_refinement_brings_back_spoilt_colours():
    cameras = named_path("orbit", 4, 96, 64, 0.9)
    good = Gaussians.cat([film(camera) for camera in cameras])
    views = [white_picture(v.image, v.alpha, c) for c in cameras for v in [view_gaussians(good, c)]]
    spoilt = replace(good, sh0=good.sh0 + 0.3)
    better, report = refined(spoilt, views, [], 60, 0, Silent())
    assert len(better) == len(good) and report["psnr_db"]["between"]["after"] is None
    gained = psnr(view_gaussians(better, cameras[1]).image, view_gaussians(good, cameras[1]).image)
    before = psnr(view_gaussians(spoilt, cameras[1]).image, view_gaussians(good, cameras[1]).image)
    assert gained > before + 3
    assert torch.allclose(better.means, good.means, atol=0.05)  # back in the caller's frame
    same, report = refined(good, views, views[:1], 5, 0, Silent())
    assert same is good and not report["kept"]  # it was as good as can be


def test_what_cannot_end_well_is_refused_at_once(tmp_path):
    model = FakePipeline()
    for settings, exports, words in (
        (WorldSettings(refine=5), FEW, "neither --budget nor --window"),
        (WorldSettings(), Exports(fps=0), "expected more than 0"),
        (WorldSettings(), Exports(seconds=1e9), "at most 100000"),
    ):
        with pytest.raises(InputError, match=words):
            run_world(asked(model, tmp_path / "a", settings, exports), Given(model), Silent())
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run_world(asked(model, tmp_path / "file"), Given(model), Silent())
    with pytest.raises(InputError, match="no Gaussian left"):
        run_world(asked(model, tmp_path / "b", WorldSettings(least_opacity=0.99)), Given(model), Silent())
    assert model.calls == 1


def test_too_little_memory_is_said_with_a_way_out(tmp_path):
    class Greedy(FakePipeline):
        def generate(self, *args, **options):
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(ResourceError, match="3 views of 48 x 32: use --preview"):
        run_world(asked(Greedy(), tmp_path / "a"), Given(Greedy()), Silent())


def test_axes_follow_the_cameras():
    cameras = named_path("orbit", 3, 48, 32, 0.9)
    assert axes_of(cameras) == "RDF"


def write_requests(folder: Path, prompts):
    folder.mkdir()
    for k, prompt in enumerate(prompts):
        content = compose(
            prompt=prompt, picture=None, image_index=0, views=3, cameras=named_path("orbit", 3, 48, 32, 0.9)
        )
        (folder / f"{k}.json").write_text(json.dumps(content))
    return folder


def batch(folder, out, model, reporter):
    models = Given(model)
    return run_batch(
        request_files(folder), out, lambda file, place: job_of(file, place, {}, FEW, (), models), models, reporter
    )


def test_a_failed_request_leaves_its_reason_and_stops_no_other(tmp_path):
    folder = write_requests(tmp_path / "in", ["a room", "a cursed room", "", "a hall"])
    (folder / "4.json").write_text("{")
    model, notes = FakePipeline(fail_on="cursed"), Notes()
    found = batch(folder, tmp_path / "out", model, notes)
    assert set(found["worlds"]) == {"0", "3"} and set(found["failed"]) == {"1", "2", "4"}
    reasons = {k: json.loads((tmp_path / "out" / k / "error.json").read_text())["error"] for k in ("1", "2", "4")}
    assert reasons == found["failed"] and "the network fell over" in reasons["1"]
    assert "neither image_prompt nor text_prompt" in reasons["2"] and "not JSON" in reasons["4"]
    assert len(notes.lines) == 3
    model.fail_on = "\n"
    again = batch(folder, tmp_path / "out", model, Silent())
    assert set(again["worlds"]) == {"0", "1", "3"} and model.calls == 3  # the finished ones were not made again
    assert not (tmp_path / "out" / "1" / "error.json").exists()
    with pytest.raises(InputError, match=r"holds no \.json files"):
        request_files(tmp_path / "out")


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from fake_world import FakePipeline
from test_world_job import batch
from unseen.jobs.progress import Silent
batch(Path(sys.argv[2]), Path(sys.argv[3]), FakePipeline(pause_s=0.5), Silent())
"""


@pytest.mark.slow
def test_a_killed_batch_goes_on_where_it_was(tmp_path):
    here, out = Path(__file__).parent, tmp_path / "out"
    folder = write_requests(tmp_path / "in", ["a room"] * 6)
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([*sys.path, str(here.parents[1])]))
    process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(here), str(folder), str(out)], env=environment)
    end = time.monotonic() + 240
    while not (out / "1" / "world.json").exists() and time.monotonic() < end and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {p.parent.name: p.stat().st_mtime_ns for p in out.glob("*/world.json")}
    assert {"0", "1"} <= set(finished) < {*"012345"}
    model = FakePipeline()
    found = batch(folder, out, model, Silent())
    assert not found["failed"] and model.calls == 6 - len(finished)
    assert {n: (out / n / "world.json").stat().st_mtime_ns for n in finished} == finished
    assert len({(out / n / "scene.ply").read_bytes() for n in "012345"}) == 1
    assert not list(out.glob("*/**/.*"))
