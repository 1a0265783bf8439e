"""Few photos become a scene: what helps is taken in, what harms refused; a killed run ends with the same bytes."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from repairing import FIT, LOOP, Garbage, Oracle, request, watched, write_album
from unseen.core.errors import InputError, ShapeError
from unseen.io.photos import load_photos
from unseen.io.video import read_video
from unseen.jobs.fit import FitRequest, evaluate_run, run_fit
from unseen.jobs.fit.sources import PhotoSource
from unseen.jobs.progress import Silent
from unseen.jobs.repair.job import RepairRequest, of_fitted, run_repair, split_of
from unseen.jobs.repair.rounds import Rounds
from unseen.priors.fixer.fixing import Fixed


@pytest.fixture(scope="module")
def album(tmp_path_factory) -> Path:
    return write_album(tmp_path_factory.mktemp("repair") / "album")


@pytest.fixture(scope="module")
def helped(album, tmp_path_factory) -> tuple[Path, Oracle, dict]:
    """A run with a fixer that knows the truth."""
    out = tmp_path_factory.mktemp("helped") / "out"
    oracle = Oracle(out)
    with pytest.MonkeyPatch.context() as patch:
        watched(patch)
        summary = run_repair(request(album, out, formats=("html",)), lambda: oracle, Silent())
    return out, oracle, summary


def test_truth_about_new_views_helps_views_nobody_saw(helped):
    out, _, summary = helped
    columns = {name: found["psnr"] for name, found in summary["columns"].items()}
    assert columns["distilled"] > columns["raw"] + 0.3
    assert columns["post"] > columns["distilled"]
    assert summary["fitted_photos"] == 6 and summary["held_out"]["photos"] == 6
    assert {path.name for path in out.iterdir()} >= {
        "scene.ply", "raw.ply", "viewer.html", "metrics.json", "config.json", "split.json", "world.json",
        "before_after.jpg",
    }  # fmt: skip
    assert summary == json.loads((out / "metrics.json").read_text())


def test_the_files_alone_give_the_same_judgement(helped):
    out, _, summary = helped
    assert evaluate_run(out, renders=False)["psnr"] == pytest.approx(summary["held_out"]["psnr"], abs=0.05)


def test_each_view_comes_with_several_photos(helped):
    _, oracle, _ = helped
    assert all(1 <= n <= LOOP.references for _, counts in oracle.calls for n in counts)
    assert any(n > 1 for _, counts in oracle.calls for n in counts)


def test_no_fixer_is_the_plain_fit(helped, album, tmp_path):
    run_repair(request(album, tmp_path / "none", "none"), lambda: None, Silent())
    raw = (helped[0] / "raw.ply").read_bytes()
    assert (tmp_path / "none" / "scene.ply").read_bytes() == (tmp_path / "none" / "raw.ply").read_bytes() == raw


def test_garbage_is_refused_and_changes_nothing(helped, album, tmp_path):
    summary = run_repair(request(album, tmp_path / "out"), Garbage, Silent())
    assert all(done["kept"] == 0 and done["made"] for done in summary["rounds"])
    assert {reason for done in summary["rounds"] for reason in done["rejected"]} >= {"contradicts the photos"}
    assert (tmp_path / "out" / "scene.ply").read_bytes() == (helped[0] / "raw.ply").read_bytes()
    assert summary["columns"]["post"]["psnr"] == summary["columns"]["raw"]["psnr"]


def test_what_passes_the_gate_and_harms_is_taken_back(helped, album, tmp_path, monkeypatch):
    """The gate lets everything through here, with full weight."""

    def blind(render, fixed, trust, heard):
        return type(plain(render, fixed, trust, heard))("", torch.ones_like(trust), torch.ones_like(trust), 0.0, 0.0)

    from unseen.jobs.repair import mending

    plain = mending.judged
    monkeypatch.setattr(mending, "judged", blind)
    summary = run_repair(request(album, tmp_path / "out", loop=replace(LOOP, rounds=1)), Garbage, Silent())
    assert all(done["kept"] and done["taken_back"] for done in summary["rounds"])
    assert (tmp_path / "out" / "scene.ply").read_bytes() == (helped[0] / "raw.ply").read_bytes()


class Killed(Exception):
    """Instead of kill -9."""


@pytest.mark.parametrize("at", [70, 190])
def test_an_interrupted_run_ends_with_the_same_bytes(helped, album, tmp_path, monkeypatch, at):
    """In the plain fit, and after a round, when a checkpoint holds also the state before it."""
    from unseen.jobs.repair import job

    watched(monkeypatch)
    out = tmp_path / "out"
    plain = job.run_loop

    def interrupted(trainer, checkpoint, every, resume, watchers=()):
        def stop(t, _):
            if t.iteration >= at and (at < 120 or t.others is not None):
                raise Killed

        plain(trainer, checkpoint, every, resume, [*watchers, stop])

    monkeypatch.setattr(job, "run_loop", interrupted)
    with pytest.raises(Killed):
        run_repair(request(album, out), lambda: Oracle(out), Silent())
    monkeypatch.setattr(job, "run_loop", plain)
    summary = run_repair(request(album, out, resume=True), lambda: Oracle(out), Silent())
    assert (out / "scene.ply").read_bytes() == (helped[0] / "scene.ply").read_bytes()
    assert [done["step"] for done in summary["rounds"]] == LOOP.begins(FIT.steps)


def test_held_out_cameras_say_nothing(helped, tmp_path, monkeypatch):
    """Held-out photos that are said to be taken from elsewhere: the same views are asked for."""
    watched(monkeypatch)
    other = write_album(tmp_path / "other", astray=[i for i in range(24) if i % 4])
    oracle = Oracle(tmp_path / "out")
    run_repair(request(other, tmp_path / "out"), lambda: oracle, Silent())
    asked = LOOP.views * LOOP.rounds
    for mine, theirs in zip(oracle.seen[:asked], helped[1].seen[:asked], strict=True):
        assert torch.equal(mine.world_to_camera, theirs.world_to_camera)


def test_views_go_outward_from_the_photos(helped):
    """Each round's views are farther from the nearest photo's camera, and none of them is at it."""
    out, oracle, _ = helped
    from unseen.fit.world import Similarity

    world = Similarity.load(out / "world.json")
    photos = load_photos(json.loads((out / "split.json").read_text())["cameras"]).photos
    centers = torch.stack([world.camera(photo.camera).center for photo in photos[::4]])
    first, second = (oracle.seen[k : k + LOOP.views] for k in (0, LOOP.views))
    away = [[float((c.center - centers).norm(dim=1).min()) for c in cameras] for cameras in (first, second)]
    assert min(away[0]) > 0.01
    assert sum(away[0]) < sum(away[1])


def test_points_that_only_held_out_photos_show_are_left_out(album):
    photoset = load_photos(album)
    away = torch.full((5, 3), 1e4)
    photoset = replace(
        photoset, points=torch.cat([photoset.points, away]), point_colors=torch.cat([photoset.point_colors, away * 0])
    )
    kept, _ = of_fitted(photoset, range(0, 24, 4))
    assert len(kept.points) <= len(photoset.points) - 5 and float(kept.points.abs().max()) < 1e4


def test_splits(album):
    photos = load_photos(album).photos
    base = request(album, Path("out"))
    assert split_of(replace(base, judged=0), photos) == (list(range(0, 24, 4)), [i for i in range(24) if i % 4])
    assert len(split_of(replace(base, judged=5), photos)[1]) == 5
    with pytest.raises(InputError, match="already says"):
        replace(base, base=replace(base.base, holdout=8))
    with pytest.raises(InputError, match="expected 2 or more"):
        replace(base, keep=1)
    with pytest.raises(InputError, match="there is no file"):
        replace(base, path=Path("nowhere.json"))


def test_what_cannot_be_repaired(album, tmp_path):
    with pytest.raises(InputError, match="1 photo to fit"):
        run_repair(request(album, tmp_path / "a", keep=24), Garbage, Silent())

    class Small:
        def fix(self, renders, references, *, seed=0):
            return Fixed(renders[:, ::2], torch.ones(renders.shape[:3]))

    with pytest.raises(ShapeError, match="the fixer returned images"):
        run_repair(request(album, tmp_path / "b"), Small, Silent())
    with pytest.raises(InputError, match="another fixer"):
        run_repair(request(album, tmp_path / "b", "other", resume=True), Small, Silent())


def test_a_path_is_gone_toward(album, tmp_path, monkeypatch):
    """And what was asked for is filmed."""
    watched(monkeypatch)
    path = tmp_path / "path.json"
    eyes = [[5 + 3.2 * math.sin(a), -1.0, 1 + 3.2 * math.cos(a)] for a in (0.2, 0.3, 0.4)]
    path.write_text(
        json.dumps(
            {"width": 60, "height": 60, "fov_y_rad": 1.0, "cameras": [{"eye": e, "target": [5, -2, 1]} for e in eyes]}
        )
    )
    out = tmp_path / "out"
    oracle = Oracle(out)
    asked = replace(request(album, out), path=path, video=True)
    run_repair(asked, lambda: oracle, Silent())
    world = json.loads((out / "world.json").read_text())
    rotation = torch.tensor(world["rotation"], dtype=torch.float64)
    ends = [
        world["scale"] * rotation @ torch.tensor(e, dtype=torch.float64)
        + torch.tensor(world["translation"], dtype=torch.float64)
        for e in eyes
    ]
    last = oracle.seen[3:6]
    assert all(float((c.center - e).norm()) < 1e-3 for c, e in zip(last, ends, strict=True))
    assert len(read_video(out / "before_after.mp4")) == len(eyes)


def test_rounds_keep_nothing_of_a_state_without_them():
    rounds = Rounds(Garbage(), LOOP, [], [], {}, None, Silent())
    rounds.reports = [{"step": 1}]
    rounds.load({})
    assert rounds.reports == [] and not len(rounds.bank)


def test_a_good_capture_loses_nothing(album, tmp_path, monkeypatch):
    """A half-knowing fixer on all photos but three."""
    watched(monkeypatch)
    out = tmp_path / "out"

    class Blur(Oracle):
        def fix(self, renders, references, *, seed=0):
            pooled = torch.nn.functional.avg_pool2d(renders.movedim(-1, 1), 3, 1, 1).movedim(1, -1)
            return Fixed(pooled, torch.ones(renders.shape[:3]))

    summary = run_repair(request(album, out, keep=0, holdout=8), lambda: Blur(out), Silent())
    columns = {name: found["psnr"] for name, found in summary["columns"].items()}
    assert columns["distilled"] > columns["raw"] - 0.3


def test_plain_fits_are_those_of_unseen_fit(album, tmp_path):
    """With everything fitted, the plain column is what `unseen fit` makes of the same settings."""
    base = FitRequest(PhotoSource(album), tmp_path / "fit", FIT, holdout=0, tensorboard=False)
    run_fit(base, Silent())
    run_repair(RepairRequest(replace(base, out=tmp_path / "repair"), LOOP, "none"), lambda: None, Silent())
    assert (tmp_path / "fit" / "scene.ply").read_bytes() == (tmp_path / "repair" / "raw.ply").read_bytes()
