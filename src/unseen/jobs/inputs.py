"""From a video file to what the tracker takes: frames, landmarks and mattes, found beside the video or detected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from unseen.head.tracking import Observations, load_alphas, load_landmarks
from unseen.io.video import VideoInfo, probe, read_video
from unseen.jobs.detection import detect_face

MAX_FRAMES = 600
"""Longer videos are thinned out evenly to at most this many frames."""


@dataclass(frozen=True)
class VideoInput:
    """Which files make up one input.

    Attributes:
        video: the video.
        landmarks: .npz with MediaPipe's 478 points per frame; `<video stem>.landmarks.npz` beside the video when None.
        alpha: matte video; `<video stem>.alpha.mp4` beside the video when None.
        max_side: frames are shrunk so that their longer side has at most this many pixels.
    """

    video: Path
    landmarks: Path | None = None
    alpha: Path | None = None
    max_side: int = 512

    def found(self) -> VideoInput:
        """The same with the companions that lie beside the video filled in."""
        landmarks, alpha = (self.video.with_suffix(suffix) for suffix in (".landmarks.npz", ".alpha.mp4"))
        return VideoInput(
            self.video,
            self.landmarks or (landmarks if landmarks.is_file() else None),
            self.alpha or (alpha if alpha.is_file() else None),
            self.max_side,
        )


def load_observations(given: VideoInput) -> Observations:
    """Read a video with its landmarks and matte; what is not given and not beside the video is detected by MediaPipe.

    Raises:
        InputError: not a video, no face, or files of different videos.
        MissingDependencyError: landmarks or matte are missing and MediaPipe or its models are not there; the message
            names the three ways to provide them.
    """
    source = given.found()
    info = probe(source.video, min_frames=2)
    every = -(-info.num_frames // MAX_FRAMES)
    images = read_video(source.video, max_side=source.max_side, every=every).numpy()
    landmarks, alphas = _companions(source, info, images, every)
    if landmarks is None or alphas is None:
        detected = detect_face(images, fps=info.fps / every, want_alpha=alphas is None, source=source.video)
        landmarks = detected.landmarks_px if landmarks is None else landmarks
        alphas = detected.alphas if alphas is None else alphas
    return Observations(images, alphas, landmarks, info.fps / every)


def _companions(
    source: VideoInput, info: VideoInfo, images: np.ndarray, every: int
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Landmarks and matte given as files, thinned out and scaled as the frames were."""
    height, width = images.shape[1:3]
    landmarks = alphas = None
    if source.landmarks:
        landmarks = load_landmarks(source.landmarks, info.num_frames, height, width)[::every]
    if source.alpha:
        alphas = load_alphas(source.alpha, info.num_frames, height, width, source.max_side, every)
    return landmarks, alphas
