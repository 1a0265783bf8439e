"""Captures become triplets, whatever happens in between."""

import json
from dataclasses import dataclass, replace

import pytest
import torch

from fitting_scenes import blobs, ring_of_cameras
from unseen.core.errors import InputError
from unseen.fit.config import FitConfig
from unseen.fit.trainer import SceneTrainer
from unseen.io.images import read_image_float
from unseen.io.triplets import TripletScene, read_triplets
from unseen.jobs.curate import CurateRequest, FullPlan, SmallPlan, run_curate
from unseen.jobs.curate.invented import invented_photos
from unseen.jobs.curate.plan import Shortage
from unseen.jobs.curate.sources import captured, invented
from unseen.jobs.progress import Silent
from unseen.priors.fixer.training.triplets import Triplets
from unseen.synthetic.scenes import shoot_splats, write_album
from unseen.synthetic.worlds import HELD_OUT_FROM

FIT = FitConfig(steps=30, max_splats=400, far_splats=0, sh_degree=0, checkpoint_every=10)
PLAN = FullPlan(fit=FIT, every=(3,), at=(4, 12), photos=8, size=(48, 36), detail=0.1)


@dataclass(frozen=True)
class Notes(Silent):
    lines: list

    def note(self, message):
        self.lines.append(message)


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    """Two captures of ten photos, one of them a folder deeper, and a folder that is none."""
    root = tmp_path_factory.mktemp("captures")
    for name, place in (("one", root / "one"), ("two", root / "two" / "nerf")):
        cameras = ring_of_cameras(10, 40)
        splats = blobs(60, seed=len(name))
        write_album(place, cameras, [shoot_splats(splats, c) for c in cameras], model=name)
    (root / "empty").mkdir()
    return root


@pytest.fixture(scope="module")
def curated(captures, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    return out, run_curate(CurateRequest((captures,), out, PLAN, held_out=1), Silent())


def contents(out):
    """All that is in a folder of scenes."""
    return {p.relative_to(out): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def test_captures_become_triplets(curated):
    out, summary = curated
    assert summary["scenes"] == 2 and summary["failed"] == {}
    assert {name: entry["count"] for name, entry in summary["triplets"].items()} == {"sparse": 12, "underfitting": 60}
    triplets = read_triplets(out)
    assert {(t.scene, t.split) for t in triplets} == {("one", "train"), ("two", "val")}
    assert len({t.name for t in triplets}) == len(triplets) == 72
    for t in triplets:
        render, truth = read_image_float(t.render), read_image_float(t.truth)
        assert render.shape == truth.shape == (40, 40, 3) and len(t.references) == 3
        assert t.truth not in t.references
        assert t.psnr == pytest.approx(float(-10 * (render - truth).square().mean().log10()), abs=0.01)
    early, late = (
        torch.tensor([t.psnr for t in triplets if t.strategy == "underfitting" and t.iteration == step]).mean()
        for step in (4, 30)
    )
    assert late > early + 1
    assert len(Triplets([out], 32).sample(2, torch.Generator()).renders) == 2


def test_references_are_the_nearest_photos_fitted(curated):
    scene = TripletScene.load(curated[0] / "one")
    (sparse,) = [fit for fit in scene.fits if fit.strategy == "sparse"]
    assert sparse.kept == (0, 3, 6, 9)
    firsts = {r.truth: r.references[0] for r in scene.renders if r.fit == sparse.name}
    assert firsts == {1: 0, 2: 3, 4: 3, 5: 6, 7: 6, 8: 9}


def test_a_killed_run_goes_on_to_the_same_files(captures, curated, tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    step, steps = SceneTrainer.step, []

    def mortal(trainer):
        steps.append(trainer.iteration)
        if len(steps) in (25, 49):  # in the first fit after step 24, in the second after 13
            raise Killed
        return step(trainer)

    monkeypatch.setattr(SceneTrainer, "step", mortal)
    request = CurateRequest((captures / "one",), tmp_path, PLAN)
    for _ in range(2):
        with pytest.raises(Killed):
            run_curate(request, Silent())
        assert not (tmp_path / "one" / "triplets.json").exists()
    run_curate(request, Silent())
    assert steps.count(0) == 2  # each fit has begun once
    assert contents(tmp_path / "one") == contents(curated[0] / "one")
    before = len(steps)
    run_curate(request, Silent())
    assert len(steps) == before


def test_a_failure_leaves_its_reason_and_stops_nothing(captures, tmp_path):
    broken = tmp_path / "in" / "broken"
    broken.mkdir(parents=True)
    (broken / "transforms.json").write_text('{"frames": [{"file_path": "none.jpg"}]}')
    notes = Notes([])
    out = tmp_path / "out"
    request = CurateRequest((captures / "one", tmp_path / "in"), out, PLAN)
    summary = run_curate(request, notes)
    assert summary["scenes"] == 1 and list(summary["failed"]) == ["broken"]
    assert "none.jpg" in json.loads((out / "broken" / "error.json").read_text())["error"] and len(notes.lines) == 1
    (broken / "transforms.json").write_bytes((captures / "one" / "transforms.json").read_bytes())
    (broken / "images").symlink_to(captures / "one" / "images")
    (broken / "depth").symlink_to(captures / "one" / "depth")
    assert run_curate(request, notes)["failed"] == {} and not (out / "broken" / "error.json").exists()


@pytest.mark.slow
def test_processes_share_scenes(captures, curated, tmp_path):
    run_curate(CurateRequest((captures,), tmp_path, PLAN, held_out=1, workers=2), Silent())
    assert contents(tmp_path) == contents(curated[0])


def test_invented_photos_follow_from_the_seed():
    photoset, images = invented_photos(3, 4, (40, 30), 0.1)
    again, same = invented_photos(3, 4, (40, 30), 0.1)
    assert len(images) == len(photoset.photos) == 4 and images[0].shape == (30, 40, 3)
    assert torch.equal(photoset.points, again.points) and (images[2] == same[2]).all()
    camera = photoset.photos[0].camera
    pixels, depth = camera.project(photoset.points)
    share = ((depth > 0) & (pixels >= 0).all(1) & (pixels < torch.tensor([40.0, 30.0])).all(1)).float().mean()
    assert share > 0.25  # a quarter of the points are its own


def test_what_is_kept_from_training(captures):
    assert [(s.name, s.split) for s in captured([captures], None, 1)] == [("one", "train"), ("two", "val")]
    assert [(s.seed, s.split) for s in invented(1, 1)] == [(0, "train"), (HELD_OUT_FROM, "val")]
    assert [(s.seed, s.split) for s in invented(2, 1, 30)] == [(30, "train"), (31, "train"), (HELD_OUT_FROM, "val")]
    with pytest.raises(InputError, match="held out: expected fewer"):
        captured([captures], None, 2)
    with pytest.raises(InputError, match="the others judge"):
        invented(9001, 0)
    with pytest.raises(InputError, match="the others judge"):
        invented(2, 0, 8999)


def test_refusals(captures, curated, tmp_path):
    with pytest.raises(InputError, match="nothing to make triplets of"):
        run_curate(CurateRequest((), tmp_path, SmallPlan()), Silent())
    with pytest.raises(InputError, match="no captures in"):
        run_curate(CurateRequest((captures / "empty",), tmp_path, PLAN), Silent())
    with pytest.raises(InputError, match="another at"):
        run_curate(CurateRequest((captures,), curated[0], replace(PLAN, at=(5,))), Silent())
    with pytest.raises(InputError, match="too few for x"):
        Shortage("x", "sparse", FIT, every=10).split(9)
