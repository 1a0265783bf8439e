"""The tracking job: a head video becomes a capture in the layout that GaussianAvatars' users know."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch

from unseen.core.camera import Camera
from unseen.core.devices import seed_everything
from unseen.core.errors import InputError
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.sequence import params_to_arrays
from unseen.head.tracking import Observations, Track, TrackConfig, TrackReport, evaluate_track, track_head
from unseen.head.tracking.report import overlay_frames
from unseen.io.atomic import make_folder, write_json
from unseen.io.captures import write_capture
from unseen.io.tensors import load_tensors, save_tensors
from unseen.io.video import VideoWriter
from unseen.jobs.progress import Reporter

KIND, VERSION = "unseen-track", 1


@dataclass(frozen=True)
class Tracked:
    """A track and how good it is."""

    track: Track
    report: TrackReport


def run_track(
    observations: Observations, model: HeadModel, out: Path, config: TrackConfig, seed: int, resume: bool,
    reporter: Reporter, earlier: Path | None = None,
) -> Tracked:  # fmt: skip
    """Track a video and leave `track.safetensors`, `track.json` (quality) and `overlay.mp4` in `out`.

    With `resume`, finished stages found in `out` are taken from there. With `earlier`, the folder of another run with
    the same video, its track is taken over.

    Raises:
        InputError: `resume` or `earlier` meets the track of another video, or there is none in `earlier`.
        ResourceError: the machine refuses a write.
    """
    seed_everything(seed)
    path = out / "track.safetensors"
    if not (resume and path.is_file()):
        if earlier is not None:
            found = earlier_track(earlier, model, len(observations.images))
        else:
            stages = StageFiles(out / "checkpoints", resume)
            found = track_head(model, observations, config, seed, reporter.stage, stages)
        save_track(path, found, model)
    # always the file's tensors: the same memory layout, so the same bits, in a resumed run
    track = load_track(path, model)
    if len(track.params) != len(observations.images):
        raise InputError(f"{path} has {len(track.params)} frames, the video {len(observations.images)}: not its track")
    report = evaluate_track(model, track, observations)
    summary = report.summary()
    write_json(out / "track.json", summary | {"head_model": model.variant, "focal_px": float(track.camera.K[0, 0])})
    if not (resume and (out / "overlay.mp4").is_file()):
        write_overlay(out / "overlay.mp4", model, track, observations, report, reporter)
    if flagged := summary["frames_flagged"]:
        reporter.note(f"{len(flagged)} of {len(observations.images)} frames tracked poorly; see {out / 'track.json'}")
    return Tracked(track, report)


def earlier_track(folder: Path, model: HeadModel, frames: int) -> Track:
    """The track of an earlier run.

    Raises:
        InputError: there is none, or it is of a video with another number of frames, or of another head model.
    """
    path = folder / "track.safetensors"
    if not path.is_file():
        raise InputError(f"no track in {folder}: expected the folder of `unseen avatar` or `unseen track`")
    track = load_track(path, model)
    if len(track.params) != frames:
        raise InputError(f"{path} has {len(track.params)} frames, the video {frames}: not its track")
    return track


class StageFiles:
    """Keeps each finished stage of a track on disk, so that a killed run continues with the next one."""

    def __init__(self, folder: Path, resume: bool) -> None:
        self.folder, self.resume = folder, resume

    def load(self, stage: str) -> dict[str, torch.Tensor] | None:
        """The unknowns at the end of a stage, if it was finished in an earlier run."""
        path = self._path(stage)
        return load_tensors(path, KIND, VERSION)[0] if self.resume and path.is_file() else None

    def save(self, stage: str, unknowns: dict[str, torch.Tensor]) -> None:
        """Keep the unknowns at the end of a stage."""
        make_folder(self.folder)
        save_tensors(self._path(stage), KIND, VERSION, unknowns, {"stage": stage})

    def _path(self, stage: str) -> Path:
        return self.folder / f"track-{stage}.safetensors"


def save_track(path: Path, track: Track, model: HeadModel) -> None:
    """Write a track atomically."""
    tensors = {f.name: v for f in fields(track.params) if (v := getattr(track.params, f.name)) is not None}
    tensors |= {"camera.K": track.camera.K, "camera.world_to_camera": track.camera.world_to_camera}
    info: dict[str, Any] = {"head_model": model.variant, "fps": track.fps}
    save_tensors(path, KIND, VERSION, tensors, info | {"width": track.camera.width, "height": track.camera.height})


def load_track(path: Path, model: HeadModel) -> Track:
    """Read what `save_track` wrote.

    Raises:
        InputError: made with another head model.
    """
    tensors, info = load_tensors(path, KIND, VERSION)
    if info["head_model"] != model.variant:
        raise InputError(f"{path} was made with head model {info['head_model']}, this run uses {model.variant}")
    camera = Camera(
        tensors.pop("camera.world_to_camera"), tensors.pop("camera.K"), width=info["width"], height=info["height"]
    )
    return Track(HeadParams(**tensors), camera, info["fps"])


def write_overlay(
    path: Path, model: HeadModel, track: Track, observations: Observations, report: TrackReport, reporter: Reporter
) -> None:
    """The overlay video to look at."""
    with VideoWriter(path, fps=track.fps, crf=20) as video:
        for k, frame in enumerate(overlay_frames(model, track, observations, report)):
            video.write(frame)
            reporter.stage("overlay video", k + 1, len(observations.images))


def export_capture(
    folder: Path, observations: Observations, track: Track, model: HeadModel, reporter: Reporter
) -> None:
    """Write a track in the VHAP/GaussianAvatars capture layout: images on white, masks, per-frame parameters, cameras.

    A torso layer that FLAME's files do not know is left out of the per-vertex offset.
    """
    arrays = params_to_arrays(track.params)
    if "static_offset" in arrays and model.variant.startswith("flame"):
        arrays["static_offset"] = arrays["static_offset"][:, : model.num_vertices - len(model.regions["torso"])]
    count = len(observations.images)
    write_capture(
        folder, [track.camera], observations.images, observations.alphas, arrays, head_model=model.variant,
        fps=track.fps, progress=lambda k: reporter.stage("capture", k, count),
    )  # fmt: skip
