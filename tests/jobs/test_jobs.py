"""The main job end to end on the bundled sample, small: what it leaves behind, and that a kill costs nothing."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unseen.core.errors import InputError
from unseen.fit.strategies.bound import DensifyConfig
from unseen.head.avatar import Avatar
from unseen.head.library import head_model
from unseen.head.tracking import TrackConfig
from unseen.io.captures import read_capture
from unseen.io.images import read_image_float
from unseen.io.ply import load_ply
from unseen.io.video import probe
from unseen.jobs.avatar import AvatarConfig, AvatarRequest, run_avatar
from unseen.jobs.compare import run_compare
from unseen.jobs.drive import DriveRequest, run_drive
from unseen.jobs.inputs import VideoInput, load_observations
from unseen.jobs.progress import Silent
from unseen.jobs.track import export_capture, load_track

SAMPLE = Path(__file__).resolve().parents[2] / "examples/sample/video.mp4"
QUICK = TrackConfig(landmark_steps=8, contour_rounds=1, contour_steps=2, contour_frames=3, photometric_steps=1)


class Killed(Exception):
    """Stands for a kill at an arbitrary moment."""


class KillAt(Silent):
    def __init__(self, stage, step):
        self.where = (stage, step)

    def stage(self, name, done, total):
        if (name, done) == self.where:
            raise Killed


def request(out, **changes):
    fit = AvatarConfig(
        iterations=8, checkpoint_every=3, motion_start=2, densify=DensifyConfig(every=4, start=1, stop=8)
    )
    source = VideoInput(SAMPLE, max_side=96)
    return replace(AvatarRequest(source, out, holdout="every:8", track=QUICK, fit=fit, seed=4), **changes)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("jobs") / "whole"
    return out, run_avatar(request(out), Silent())


@pytest.mark.slow
def test_everything_promised_is_there_and_opens(finished):
    out, summary = finished
    assert {p.name for p in out.iterdir()} >= {
        "avatar.safetensors", "avatar.ply", "viewer.html", "turntable.mp4", "comparison.mp4", "overlay.mp4",
        "metrics.json", "track.json", "track.safetensors", "config.json", "checkpoints",
    }  # fmt: skip
    avatar = Avatar.load(out / "avatar.safetensors")
    assert len(load_ply(out / "avatar.ply")) == len(avatar.local) == summary["splats"]
    assert probe(out / "comparison.mp4").num_frames == len(avatar.params) == 120
    metrics = json.loads((out / "metrics.json").read_text())
    assert [f["frame"] for f in metrics["frames"] if f["held_out"]] == list(range(7, 120, 8))
    assert metrics["held_out"]["frames"] == 15 and metrics["fitted"]["frames"] == 105
    assert metrics["held_out"]["matte"]["psnr"] > 9  # even eight steps on a rough track; a white picture has 5


@pytest.mark.slow
@pytest.mark.parametrize("where", [("silhouettes", 1), ("fitting splats", 5)])
def test_a_killed_run_resumes_to_the_same_numbers(finished, tmp_path, where):
    whole, _ = finished
    with pytest.raises(Killed):
        run_avatar(request(tmp_path / "killed"), KillAt(*where))
    run_avatar(request(tmp_path / "killed", resume=True), Silent())
    numbers = [json.loads((out / "metrics.json").read_text()) for out in (whole, tmp_path / "killed")]
    assert numbers[0]["frames"] == numbers[1]["frames"]
    assert numbers[0]["splats"] == numbers[1]["splats"]


@pytest.mark.slow
def test_captures_and_re_enactment(finished, tmp_path):
    whole, _ = finished
    avatar = Avatar.load(whole / "avatar.safetensors")
    track = load_track(whole / "track.safetensors", avatar.model)
    observations = load_observations(VideoInput(SAMPLE, max_side=96))
    export_capture(tmp_path / "capture", observations, track, avatar.model, Silent())
    capture = read_capture(tmp_path / "capture")
    assert len(capture.frames) == 120
    result = run_drive(DriveRequest(whole, whole, tmp_path / "driven.mp4"), Silent())
    assert probe(tmp_path / "driven.mp4").num_frames == result["frames"] == 120
    back = run_drive(DriveRequest(whole, tmp_path / "capture/flame_param", tmp_path / "again.mp4"), Silent())
    assert back["frames"] == 120


def test_portrait_video_of_odd_size_is_read_upright(tmp_path):
    """Odd sides, matte and landmarks scaled alike."""
    from unseen.io.video import VideoWriter

    for name in ("clip.mp4", "clip.alpha.mp4"):
        with VideoWriter(tmp_path / name, fps=10) as writer:
            for _ in range(3):
                writer.write(np.full((181, 121, 3), 255, np.uint8))
    height, width = probe(tmp_path / "clip.mp4").height, probe(tmp_path / "clip.mp4").width
    marks = np.full((3, 478, 3), 50, np.float32) + np.random.default_rng(0).normal(0, 5, (3, 478, 3)).astype(np.float32)
    np.savez(tmp_path / "clip.landmarks.npz", landmarks_px=marks, image_size=np.array([height, width]))
    seen = load_observations(VideoInput(tmp_path / "clip.mp4", max_side=91))
    assert max(seen.size) == 91 and seen.alphas.shape[1:] == seen.size
    assert abs(seen.landmarks_px[0, 0, 0] / marks[0, 0, 0] - 91 / max(height, width)) < 0.02


@pytest.mark.slow
def test_a_track_is_taken_over_and_two_avatars_are_shown_together(finished, tmp_path):
    out, _ = finished
    run_avatar(request(tmp_path / "again", track_from=out), Silent())
    model = head_model("procedural")
    tracks = [load_track(folder / "track.safetensors", model) for folder in (out, tmp_path / "again")]
    assert torch.equal(tracks[0].params.expr, tracks[1].params.expr)
    result = run_compare([out, tmp_path / "again"], ["one", "two"], tmp_path / "sides.png", Silent())
    assert result["avatars"] == ["one", "two"]
    picture = read_image_float(tmp_path / "sides.png")
    rows = picture.tensor_split(2)
    # the same avatar twice: the same pictures, above other names
    assert torch.equal(rows[0][:80], rows[1][:80]) and not torch.equal(rows[0], rows[1])
    assert (picture < 0.9).any(-1).float().mean() > 0.1
    run_compare([out, tmp_path / "again"], [], tmp_path / "turn.mp4", Silent())
    assert probe(tmp_path / "turn.mp4").num_frames == 75


@pytest.mark.slow
def test_what_cannot_be_taken_over_or_compared_is_said(finished, tmp_path):
    out, _ = finished
    with pytest.raises(InputError, match="no track in"):
        run_avatar(request(tmp_path / "a", track_from=tmp_path), Silent())
    with pytest.raises(InputError, match="2 names for 1 avatars"):
        run_compare([out], ["one", "two"], tmp_path / "x.png", Silent())
    with pytest.raises(InputError, match="no avatar at"):
        run_compare([tmp_path], [], tmp_path / "x.png", Silent())
