"""The recipe, top to bottom: track, colour the mesh, fit splats and motion, judge, export."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

import unseen
from unseen.core.devices import resolve_device, seed_everything
from unseen.fit.loop import run_loop
from unseen.head.avatar import Avatar
from unseen.head.library import head_model
from unseen.head.tracking import Observations, TrackConfig
from unseen.io.atomic import make_folder, write_json
from unseen.io.ply import save_ply
from unseen.jobs.avatar import outputs
from unseen.jobs.avatar.config import AvatarConfig
from unseen.jobs.avatar.coverage import Coverage
from unseen.jobs.avatar.evaluation import evaluate_avatar
from unseen.jobs.avatar.holdout import split_frames
from unseen.jobs.avatar.initial import initial_splats
from unseen.jobs.avatar.prior import check_prior, prior_supervision
from unseen.jobs.avatar.training import AvatarTrainer
from unseen.jobs.folder import check_folder
from unseen.jobs.inputs import VideoInput, load_observations
from unseen.jobs.preview import Preview
from unseen.jobs.progress import Reporter
from unseen.jobs.track import Tracked, run_track


@dataclass(frozen=True)
class AvatarRequest:
    """One run of the avatar job.

    Attributes:
        source: video, landmarks and matte.
        out: folder of the results.
        head_model: "procedural", "flame", or the path of a FLAME file.
        holdout: "none", "every:N" or "side" (see `split_frames`).
        track, fit: settings of tracker and fit.
        track_from: folder of an earlier run with the same video, whose track is taken over.
        prior: what shows the fit the sides no frame shows: "none", "mirror", "tiny", or the folder of a multi-view
            diffusion model.
        frames: also write one .ply per frame.
        device: "auto", "cpu", "cuda" or "cuda:<n>".
        seed: of everything random.
        resume: continue the run found in `out`.
    """

    source: VideoInput
    out: Path
    head_model: str = "procedural"
    holdout: str = "none"
    track: TrackConfig = field(default_factory=TrackConfig)
    fit: AvatarConfig = field(default_factory=AvatarConfig)
    track_from: Path | None = None
    prior: str = "none"
    frames: bool = False
    device: str = "auto"
    seed: int = 0
    resume: bool = False


def run_avatar(request: AvatarRequest, reporter: Reporter) -> dict[str, Any]:
    """Run the job; returns the summary that also stands in metrics.json.

    Leaves in `out`: avatar.safetensors, avatar.ply (neutral pose, world space), turntable.mp4, comparison.mp4,
    overlay.mp4, viewer.html, metrics.json, track.json, config.json and checkpoints/.

    Raises:
        InputError: the input is no usable head video, or `resume` meets another run.
        ResourceError: the machine refuses a write.
    """
    began = time.perf_counter()
    seed_everything(request.seed)
    resolve_device(request.device)  # a wrong name is refused before any work
    check_prior(request.prior, request.fit.prior)
    check_folder(request.out, describe(request), request.resume)
    observations = load_observations(request.source)
    model = head_model(request.head_model)
    make_folder(request.out)
    write_json(request.out / "config.json", describe(request))
    tracked = run_track(
        observations, model, request.out, request.track, request.seed, request.resume, reporter, request.track_from
    )
    tracking_s = time.perf_counter() - began
    trainer, held_out = fit_avatar(request, observations, model, tracked, reporter)
    fitting_s = time.perf_counter() - began - tracking_s
    avatar, prior_s = trainer.avatar(), trainer.prior.seconds if trainer.prior else 0.0
    avatar.save(request.out / "avatar.safetensors")
    metrics = evaluate_avatar(
        avatar, observations, held_out, lambda k, n: reporter.stage("evaluation", k, n), trainer.coverage.seen
    )
    summary = {
        "tracking": tracked.report.summary(),
        "splats": len(avatar.local),
        "prior": request.prior,
        "fitted": metrics["fitted"],
        "held_out": metrics["held_out"],
        "seconds": {"tracking": tracking_s, "fitting": fitting_s, "prior": prior_s},
    }
    write_json(request.out / "metrics.json", summary | {"frames": metrics["frames"]})
    export(request, avatar, observations, held_out, reporter)
    summary["seconds"]["total"] = time.perf_counter() - began
    return summary


def fit_avatar(
    request: AvatarRequest, observations: Observations, model: Any, tracked: Tracked, reporter: Reporter
) -> tuple[AvatarTrainer, Any]:
    """Fit splats and motion, keeping checkpoints; returns the trainer and the held-out frames."""
    fitted, held_out = split_frames(request.holdout, tracked.track)
    start = initial_splats(model, tracked.track, observations, fitted)
    device = resolve_device(request.device)
    coverage = Coverage.of(model, tracked.track, observations, fitted)
    prior = prior_supervision(
        request.prior, model, tracked.track, observations, fitted, coverage, request.fit, request.seed, device
    )
    trainer = AvatarTrainer(
        model, tracked.track, observations, fitted, start, request.fit, request.seed, device, coverage, prior
    )
    checkpoint = make_folder(request.out / "checkpoints") / "fit.safetensors"
    steps, every = request.fit.iterations, request.fit.checkpoint_every

    def progress(trainer: AvatarTrainer, _: float) -> None:
        reporter.stage("fitting splats", trainer.iteration, steps)

    preview = Preview(request.out, AvatarTrainer.picture)
    run_loop(trainer, checkpoint, every, request.resume, [progress, preview])
    return trainer, held_out


def export(
    request: AvatarRequest, avatar: Avatar, observations: Observations, held_out: Any, reporter: Reporter
) -> None:
    """Write what people open: splats, videos and the viewer page."""
    out = request.out
    with torch.no_grad():
        save_ply(out / "avatar.ply", avatar.posed(avatar.neutral_params()))
    outputs.write_turntable(out / "turntable.mp4", avatar, lambda k, n: reporter.stage("turntable video", k, n))
    outputs.write_comparison(
        out / "comparison.mp4", avatar, observations, held_out, lambda k, n: reporter.stage("comparison video", k, n)
    )
    outputs.write_page(out / "viewer.html", avatar, title=request.source.video.stem)
    if request.frames:
        outputs.write_frames(out / "frames", avatar, lambda k, n: reporter.stage("frames", k, n))


def describe(request: AvatarRequest) -> dict[str, Any]:
    """What determines the result, as JSON, with the version that computes it."""
    plain = asdict(request)
    source = {k: str(v.resolve()) if isinstance(v, Path) else v for k, v in plain["source"].items()}
    kept = {k: v for k, v in plain.items() if k not in ("out", "resume", "frames", "track_from")}
    earlier = {} if request.track_from is None else {"track_from": str(request.track_from.resolve())}
    return {"unseen": unseen.__version__} | kept | earlier | {"source": source}
