"""Re-enactment: an avatar moves as another video's head does."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from unseen.core.errors import InputError
from unseen.head.avatar import Avatar
from unseen.head.params import HeadParams
from unseen.head.sequence import FlameSequence
from unseen.head.tracking import TrackConfig
from unseen.io.atomic import make_folder
from unseen.jobs.avatar.outputs import write_motion
from unseen.jobs.inputs import VideoInput, load_observations
from unseen.jobs.progress import Reporter
from unseen.jobs.track import load_track, run_track

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".m4v")


@dataclass(frozen=True)
class DriveRequest:
    """One re-enactment.

    Attributes:
        avatar: folder of an avatar job, or its avatar.safetensors.
        motion: a video, a folder of a tracking or avatar job, a track.safetensors, or a parameter sequence (.json, .npz
            or a folder of per-frame .npz).
        out: the video to write.
        landmarks, alpha: companions of a motion video (see `VideoInput`).
        seed: of the tracking.
    """

    avatar: Path
    motion: Path
    out: Path
    landmarks: Path | None = None
    alpha: Path | None = None
    seed: int = 0


def load_avatar(path: Path) -> Avatar:
    """The avatar of a job's folder or file.

    Raises:
        InputError: there is none.
    """
    file = path / "avatar.safetensors" if path.is_dir() else path
    if not file.is_file():
        raise InputError(
            f"no avatar at {path}: expected the folder of a finished `unseen avatar`, or avatar.safetensors"
        )
    return Avatar.load(file)


def run_drive(request: DriveRequest, reporter: Reporter) -> dict[str, Any]:
    """Write the re-enacted video; returns its frame count and rate."""
    avatar = load_avatar(request.avatar)
    params, fps = load_motion(request, avatar, reporter)
    motion = avatar.motion_from(params)
    make_folder(request.out.parent)
    write_motion(request.out, avatar, motion, fps, lambda k, n: reporter.stage("rendering", k, n))
    return {"video": str(request.out), "frames": len(motion), "fps": fps}


def load_motion(request: DriveRequest, avatar: Avatar, reporter: Reporter) -> tuple[HeadParams, float]:
    """Parameters and frame rate of the driving motion, in the avatar's own head model.

    Raises:
        InputError: nothing there that holds a motion.
    """
    path = request.motion
    if not path.exists():
        raise InputError(f"no motion at {path}: expected a video, a track or a parameter sequence")
    if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES:
        source = VideoInput(path, request.landmarks, request.alpha)
        work = request.out.with_suffix(".track")
        observations = load_observations(source)
        tracked = run_track(observations, avatar.model, make_folder(work), TrackConfig(), request.seed, True, reporter)
        return tracked.track.params, tracked.track.fps
    track = path / "track.safetensors" if path.is_dir() else path
    if track.suffix == ".safetensors" and track.is_file():
        loaded = load_track(track, avatar.model)
        return loaded.params, loaded.fps
    sequence = FlameSequence.load(path)
    params = sequence.params(range(len(sequence))).fitted_to(avatar.model)
    return replace(params, static_offset=None), sequence.fps or avatar.fps
