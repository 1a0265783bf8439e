"""An avatar judged by another camera of the same take: find that camera, render the motion from it, compare."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.head.avatar import Avatar
from unseen.head.landmarks import mirrored_landmarks
from unseen.head.sequence import FlameSequence
from unseen.head.tracking import Observations, Track, TrackReport, evaluate_track
from unseen.head.tracking.report import FLAG_PERCENT
from unseen.head.tracking.static_camera import StaticCamera, StaticCameraConfig, find_static_camera
from unseen.io.atomic import make_folder, write_json
from unseen.io.video import VideoWriter
from unseen.jobs.avatar.colour_match import ColourMatch, ColourMoments, pixels_of
from unseen.jobs.avatar.evaluation import judged_frames, mean_metrics
from unseen.jobs.avatar.outputs import comparison_row
from unseen.jobs.drive import load_avatar
from unseen.jobs.inputs import VideoInput, load_observations
from unseen.jobs.progress import Reporter
from unseen.jobs.track import write_overlay

MAX_OFFSET_S = 1.0
"""How far apart two videos of one take may begin without being told."""

MIRROR_SHARE = 0.8
"""A video that fits this much better in a mirror is said to be mirrored."""


@dataclass(frozen=True)
class SideViewRequest:
    """One judgement.

    Attributes:
        out: folder of an avatar job, or its avatar.safetensors.
        source: the other camera's video, landmarks and matte.
        focal_px: its focal length in pixels of the shrunk frames, when known.
        share_focal: it has the focal length of the avatar's own camera, in proportion to the longer side.
        offset_s: seconds after the avatar's video at which this one begins; None: found, up to `MAX_OFFSET_S`.
        mirrored: the video is mirrored, as selfies are: turn it back first.
    """

    out: Path
    source: VideoInput
    focal_px: float | None = None
    share_focal: bool = False
    offset_s: float | None = None
    mirrored: bool = False


def judge_side_view(request: SideViewRequest, reporter: Reporter) -> dict[str, Any]:
    """Compare an avatar with a video of another static camera; returns what also stands in OUT/eval/<video>.json.

    Beside it lie <video>.comparison.mp4 (input | render | error) and <video>.overlay.mp4 (landmarks and model over the
    video). Metrics are those of `evaluate_avatar`, and `psnr_colour_matched` after one gain and offset per channel.

    Raises:
        InputError: no avatar, not a head video, a video of another length, or both focal options.
        MissingDependencyError: landmarks or matte are missing and cannot be detected.
        ResourceError: the machine refuses a write.
    """
    avatar = load_avatar(request.out)
    observations = load_observations(request.source)
    partner = mirrored_landmarks(avatar.model).numpy()
    if request.mirrored:
        observations = observations.mirrored(partner)
    config = camera_config(request, avatar, observations)
    reporter.stage("camera", 0, 1)
    found = find_static_camera(avatar.model, avatar.params, observations, config)
    reporter.stage("camera", 1, 1)
    shown = np.flatnonzero(found.inside)
    if len(shown) < len(observations.images):
        reporter.note(f"{len(observations.images) - len(shown)} frames lie outside the avatar's motion: left out")
    seen, view = observations[shown], seen_by(avatar, found, shown, observations.fps)
    track = Track(view.params, view.camera, view.fps)
    report = evaluate_track(avatar.model, track, seen)
    doubts(request, avatar, observations, config, found, report, partner, reporter)
    folder = make_folder((request.out if request.out.is_dir() else request.out.parent) / "eval")
    name = request.source.video.stem
    write_overlay(folder / f"{name}.overlay.mp4", avatar.model, track, seen, report, reporter)
    scores = compare(view, seen, folder / f"{name}.comparison.mp4", reporter)
    for row, t in zip(scores["per_frame"], shown.tolist(), strict=True):
        row["frame"] = t
    result = {"view": str(request.source.video), **describe_camera(avatar, found, report), **scores}
    write_json(folder / f"{name}.json", result)
    return result


def camera_config(request: SideViewRequest, avatar: Avatar, observations: Observations) -> StaticCameraConfig:
    """What is known of the camera before looking at landmarks.

    Raises:
        InputError: both focal options, or videos whose lengths differ by more than their offset can explain.
    """
    if request.focal_px is not None and request.share_focal:
        raise InputError("the focal length is given twice: --focal and --share-focal exclude each other")
    lengths = [len(avatar.params) / avatar.fps, len(observations.images) / observations.fps]
    if request.offset_s is None and abs(lengths[0] - lengths[1]) > MAX_OFFSET_S:
        raise InputError(
            f"{request.source.video} lasts {lengths[1]:.2f} s, the avatar's motion {lengths[0]:.2f} s: expected the "
            "same take; if it is, say with --offset how many seconds later than the avatar's video it begins"
        )
    own = float(avatar.camera.K[0, 0]) * max(observations.size) / max(avatar.camera.height, avatar.camera.width)
    return StaticCameraConfig(
        focal_px=request.focal_px or own,
        free_focal=request.focal_px is None and not request.share_focal,
        rate=avatar.fps / observations.fps,
        offset=None if request.offset_s is None else request.offset_s * avatar.fps,
        max_offset=round(MAX_OFFSET_S * avatar.fps),
    )


def seen_by(avatar: Avatar, found: StaticCamera, shown: np.ndarray, fps: float) -> Avatar:
    """The avatar as the other camera saw it: its motion at the times of the frames `shown`."""
    params = FlameSequence.from_params(avatar.params).interpolate(found.times[shown])
    return replace(avatar, params=params, camera=found.camera, fps=fps)


def compare(view: Avatar, observations: Observations, video: Path, reporter: Reporter) -> dict[str, Any]:
    """Metrics of every frame and their means, raw and colour matched; writes the comparison video on the way."""
    rows: list[dict[str, Any]] = []
    moments: list[dict[str, ColourMoments]] = []
    pixels: list[tuple[np.ndarray, np.ndarray]] = []
    with VideoWriter(video, fps=view.fps) as writer:
        for judged in judged_frames(view, observations):
            rows.append({"frame": len(rows), **judged.metrics()})
            moments.append({r: ColourMoments.of(judged, mask) for r, mask in judged.masks.items() if mask.any()})
            pixels.append(pixels_of(judged, judged.masks["matte"]))
            writer.write(comparison_row(judged.target, judged.render))
            reporter.stage("comparison", len(rows), len(observations.images))
    match = ColourMatch.fitted(*(np.concatenate(part) for part in zip(*pixels, strict=True)))
    for row, sums in zip(rows, moments, strict=True):
        for region, found in sums.items():
            row[region] = {"psnr": row[region]["psnr"], "psnr_colour_matched": match.psnr(found), **row[region]}
    matched = {"gain": match.gain.tolist(), "offset": match.offset.tolist()}
    return {**(mean_metrics(rows) or {}), "colour_match": matched, "per_frame": rows}


def describe_camera(avatar: Avatar, found: StaticCamera, report: TrackReport) -> dict[str, Any]:
    """The camera and how well it explains the landmarks, for JSON."""
    camera, summary = found.camera, report.summary()
    return {
        "camera": {
            "world_to_camera": camera.world_to_camera.tolist(),
            "K": camera.K.tolist(),
            "width": camera.width,
            "height": camera.height,
            "degrees_from_the_avatars_camera": degrees_between(avatar, camera),
        },
        "offset_s": found.offset / avatar.fps,
        "offset_gain": found.offset_gain,
        "landmark_error_percent_of_interocular": summary["landmark_error_percent_of_interocular"],
        "landmark_error_percent_worst_frame": summary["landmark_error_percent_worst_frame"],
        "matte_iou": summary["matte_iou"],
    }


def degrees_between(avatar: Avatar, camera: Camera) -> float:
    """Angle between the avatar's own camera and another, seen from the head."""
    head = avatar.params.translation.mean(0)
    own, other = (c.center - head for c in (avatar.camera, camera))
    cosine = (own * other).sum() / (own.norm() * other.norm())
    return float(cosine.clamp(-1, 1).arccos().rad2deg())


def doubts(
    request: SideViewRequest, avatar: Avatar, observations: Observations, config: StaticCameraConfig,
    found: StaticCamera, report: TrackReport, partner: np.ndarray, reporter: Reporter,
) -> None:  # fmt: skip
    """Say what makes the camera doubtful: a large landmark error, or a video that fits better in a mirror."""
    error = report.summary()["landmark_error_percent_of_interocular"]
    if not error <= FLAG_PERCENT:
        reporter.note(
            f"the camera explains the landmarks poorly ({error:.1f} % of the inter-ocular distance): is it the same "
            "take, by a camera that stood still?"
        )
    other = replace(config, offset=found.offset)
    turned = find_static_camera(avatar.model, avatar.params, observations.mirrored(partner), other)
    if turned.landmark_error_percent < MIRROR_SHARE * found.landmark_error_percent:
        advice = "leave --mirrored away" if request.mirrored else "add --mirrored if it is a selfie video"
        reporter.note(
            f"the view fits better in a mirror (landmark error {turned.landmark_error_percent:.1f} % instead of "
            f"{found.landmark_error_percent:.1f} %): {advice}"
        )
