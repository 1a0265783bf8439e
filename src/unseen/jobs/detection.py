"""Landmarks and mattes by MediaPipe, when its package and models are there."""

from __future__ import annotations

import hashlib
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, UInt8
from numpy import ndarray

from unseen.core.errors import FormatError, InputError, MissingDependencyError
from unseen.head.tracking.observations import NUM_LANDMARKS
from unseen.io.atomic import write_bytes


@dataclass(frozen=True)
class ModelFile:
    """A model MediaPipe publishes, and where it comes from."""

    name: str
    url: str


_STORE = "https://storage.googleapis.com/mediapipe-models"
LANDMARKER = ModelFile(
    "face_landmarker.task", f"{_STORE}/face_landmarker/face_landmarker/float16/1/face_landmarker.task"
)
SEGMENTER = ModelFile(
    "selfie_segmenter.tflite", f"{_STORE}/image_segmenter/selfie_segmenter/float16/1/selfie_segmenter.tflite"
)


@dataclass(frozen=True)
class Detection:
    """Landmarks (NaN without a face) [T, 478, 3] in pixels, and mattes [T, H, W]."""

    landmarks_px: Float32[ndarray, "T 478 3"]
    alphas: UInt8[ndarray, "T H W"]


def cache_dir() -> Path:
    """Where models are kept: `UNSEEN_CACHE`, or `unseen` in the user's cache folder."""
    base = os.environ.get("UNSEEN_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "unseen"


def detect_face(images: UInt8[ndarray, "T H W 3"], fps: float, want_alpha: bool, source: Path) -> Detection:
    """Run MediaPipe's FaceLandmarker and selfie segmenter over a video.

    Raises:
        MissingDependencyError: no MediaPipe, or a model that is neither cached nor to be fetched.
        InputError: no face in (almost) any frame.
    """
    try:
        import mediapipe
        from mediapipe.tasks import python as tasks
    except ImportError:
        raise MissingDependencyError(_three_ways(source, "the mediapipe package is not installed")) from None
    landmarks = _landmarks(images, fps, mediapipe, tasks, model_file(LANDMARKER, source))
    if np.isfinite(landmarks).all((1, 2)).sum() < 2:
        raise InputError(f"no face was found in {source}: expected a video of one person's head")
    alphas = np.zeros(images.shape[:3], np.uint8)
    if want_alpha:
        alphas = _mattes(images, fps, mediapipe, tasks, model_file(SEGMENTER, source))
    return Detection(landmarks, alphas)


def model_file(model: ModelFile, source: Path) -> Path:
    """The cached model, fetched once. Its checksum is recorded beside it and checked at every use.

    Raises:
        MissingDependencyError: not cached and not to be fetched.
        FormatError: the cached file has changed since it was fetched.
    """
    path = cache_dir() / model.name
    record = path.with_suffix(path.suffix + ".sha256")
    if not path.is_file():
        try:
            with urllib.request.urlopen(model.url, timeout=30) as reply:
                data = reply.read()
        except OSError as error:
            raise MissingDependencyError(_three_ways(source, f"{model.name} could not be fetched ({error})")) from None
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, data)
        write_bytes(record, hashlib.sha256(data).hexdigest().encode())
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if record.is_file() and record.read_text().strip() != digest:
        raise FormatError(f"{path} has changed since it was fetched (checksum differs): remove it to fetch it again")
    return path


def _three_ways(source: Path, why: str) -> str:
    stem = source.with_suffix("")
    return (
        f"{source} needs face landmarks and a matte, and {why}. Three ways: (1) pip install 'unseen[mediapipe]' and "
        f"run once online; (2) give --landmarks FILE.npz and --alpha FILE.mp4 (or put {stem.name}.landmarks.npz and "
        f"{stem.name}.alpha.mp4 beside the video); (3) start from a synthetic video, which carries exact ones: "
        "unseen sample"
    )


def _options(tasks: Any, path: Path) -> Any:
    return tasks.BaseOptions(model_asset_path=str(path))


def _landmarks(images: ndarray, fps: float, mediapipe: Any, tasks: Any, model: Path) -> Float32[ndarray, "T 478 3"]:
    vision = tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=_options(tasks, model), running_mode=vision.RunningMode.VIDEO, num_faces=1
    )
    height, width = images.shape[1:3]
    out = np.full((len(images), NUM_LANDMARKS, 3), np.nan, np.float32)
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        for t, image in enumerate(images):
            frame = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
            found = landmarker.detect_for_video(frame, round(1000 * t / fps)).face_landmarks
            if found:
                out[t] = [[p.x * width, p.y * height, p.z * width] for p in found[0]]
    return out


def _mattes(images: ndarray, fps: float, mediapipe: Any, tasks: Any, model: Path) -> UInt8[ndarray, "T H W"]:
    vision = tasks.vision
    options = vision.ImageSegmenterOptions(
        base_options=_options(tasks, model), running_mode=vision.RunningMode.VIDEO, output_confidence_masks=True
    )
    mattes = []
    with vision.ImageSegmenter.create_from_options(options) as segmenter:
        for t, image in enumerate(images):
            frame = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(image))
            confidence = segmenter.segment_for_video(frame, round(1000 * t / fps)).confidence_masks[-1]
            mattes.append((np.asarray(confidence.numpy_view()).squeeze() * 255).round().astype(np.uint8))
    return np.stack(mattes)
