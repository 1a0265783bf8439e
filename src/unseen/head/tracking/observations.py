"""What the tracker is given: frames, landmarks and mattes, checked against each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from jaxtyping import Float32, Int, UInt8
from numpy import ndarray

from unseen.core.errors import FormatError, InputError
from unseen.io.video import probe, read_video

NUM_LANDMARKS = 478
OUTER_EYE_CORNERS = (33, 263)
"""MediaPipe's outer corners of the subject's right and left eye."""

_MIN_INSIDE = 0.6  # share of the landmarks that a matte of the same video must contain


@dataclass(frozen=True)
class Observations:
    """A video and what was detected in it.

    Attributes:
        images: RGB, [T, H, W, 3].
        alphas: the person's matte, 255 inside, [T, H, W].
        landmarks_px: MediaPipe's 478 points: x and y in pixels, z in the same scale, away from the camera positive,
            [T, 478, 3]; NaN rows where no face was found.
        fps: frames per second.
    """

    images: UInt8[ndarray, "T H W 3"]
    alphas: UInt8[ndarray, "T H W"]
    landmarks_px: Float32[ndarray, "T 478 3"]
    fps: float

    def __post_init__(self) -> None:
        t, h, w = self.images.shape[:3]
        if t < 2:
            raise InputError(f"a head track needs at least 2 frames, got {t}: give a video, not a picture")
        if self.alphas.shape != (t, h, w):
            raise InputError(
                f"the matte has {self.alphas.shape[0]} frames of {self.alphas.shape[2]}x{self.alphas.shape[1]}, the "
                f"video {t} of {w}x{h}: give the matte of this video"
            )
        if self.landmarks_px.shape != (t, NUM_LANDMARKS, 3):
            raise InputError(
                f"the landmarks have shape {list(self.landmarks_px.shape)}, expected [{t}, {NUM_LANDMARKS}, 3] for a "
                f"video of {t} frames: give the landmarks of this video"
            )
        found = self.found
        if found.sum() < 2:
            raise InputError(f"a face was found in {int(found.sum())} of {t} frames, at least 2 are needed")
        inside = self._share_inside_matte()
        if inside < _MIN_INSIDE:
            raise InputError(
                f"only {inside:.0%} of the landmarks lie inside the matte, expected over {_MIN_INSIDE:.0%}: landmarks, "
                "matte and video do not belong together"
            )

    @property
    def found(self) -> ndarray:
        """Frames with a face, bool [T]."""
        return np.isfinite(self.landmarks_px).all((1, 2))

    @property
    def size(self) -> tuple[int, int]:
        """Image height and width in pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def interocular_px(self) -> Float32[ndarray, "T"]:
        """Distance between the outer eye corners per frame, depth included, so that a turned head is not measured by
        its foreshortened eyes; NaN where there is no face."""
        right, left = (self.landmarks_px[:, i] for i in OUTER_EYE_CORNERS)
        return np.linalg.norm(right - left, axis=-1)

    def __getitem__(self, frames: slice | ndarray) -> Observations:
        """The frames chosen."""
        return replace(
            self, images=self.images[frames], alphas=self.alphas[frames], landmarks_px=self.landmarks_px[frames]
        )

    def mirrored(self, partner: Int[ndarray, "478"]) -> Observations:
        """The video in a mirror; `partner` says which landmark takes the place of which."""
        width = self.size[1]
        marks = self.landmarks_px[:, partner] * np.array([-1, 1, 1], np.float32) + np.array([width, 0, 0], np.float32)
        return replace(self, images=self.images[:, :, ::-1], alphas=self.alphas[:, :, ::-1], landmarks_px=marks)

    def _share_inside_matte(self) -> float:
        h, w = self.size
        frames = np.flatnonzero(self.found)
        x, y = (np.floor(self.landmarks_px[frames, :, i]).astype(int) for i in (0, 1))
        within = (x >= 0) & (x < w) & (y >= 0) & (y < h)
        inside = self.alphas[frames[:, None], y.clip(0, h - 1), x.clip(0, w - 1)] > 64
        return float((within & inside).mean())


def load_landmarks(path: Path, num_frames: int, height: int, width: int) -> Float32[ndarray, "T 478 3"]:
    """Read `landmarks_px` [T, 478, 3] and `image_size` (H, W) from an .npz and scale them to the video's size.

    Raises:
        InputError: no such file, or landmarks of another video (frame count or aspect ratio).
        FormatError: not an .npz, or the arrays are missing or misshapen.
    """
    try:
        with np.load(path) as file:
            missing = {"landmarks_px", "image_size"} - set(file.files)
            if missing:
                raise FormatError(
                    f"{path} lacks {' and '.join(sorted(missing))}: expected an .npz with landmarks_px "
                    "[T, 478, 3] in pixels and image_size (H, W)"
                )
            landmarks, size = file["landmarks_px"].astype(np.float32), file["image_size"]
    except FileNotFoundError:
        raise InputError(f"no landmarks file at {path}") from None
    except (ValueError, OSError, BadZipFile) as error:
        raise FormatError(f"{path} is not a readable .npz file: {error}") from None
    if landmarks.ndim != 3 or landmarks.shape[1:] != (NUM_LANDMARKS, 3) or size.shape != (2,):
        raise FormatError(
            f"{path} holds landmarks_px {list(landmarks.shape)} and image_size {list(size.shape)}, expected "
            f"[T, {NUM_LANDMARKS}, 3] and [2]"
        )
    if len(landmarks) != num_frames:
        raise InputError(
            f"{path} has {len(landmarks)} frames, the video {num_frames}: give the landmarks of this video"
        )
    scale_y, scale_x = height / float(size[0]), width / float(size[1])
    if abs(scale_y / scale_x - 1) > 0.02:
        raise InputError(
            f"{path} belongs to images of {int(size[1])}x{int(size[0])} pixels, the video has {width}x{height}: give "
            "the landmarks of this video"
        )
    return landmarks * np.array([scale_x, scale_y, scale_x], np.float32)


def load_alphas(
    path: Path, num_frames: int, height: int, width: int, max_side: int, every: int = 1
) -> UInt8[ndarray, "T H W"]:
    """Read a matte video (grey = alpha), shrunk and thinned out as the video was.

    Args:
        path: the matte video.
        num_frames: of the whole video.
        height, width: of the video's frames as read.
        max_side, every: as for `read_video`.

    Raises:
        InputError: another frame count or size than the video's.
    """
    whole = probe(path)
    alphas = read_video(path, gray=True, max_side=max_side, every=every).numpy()
    if whole.num_frames != num_frames or alphas.shape[1:] != (height, width):
        raise InputError(
            f"{path} has {whole.num_frames} frames of {alphas.shape[2]}x{alphas.shape[1]}, the video {num_frames} of "
            f"{width}x{height}: give the matte of this video"
        )
    return alphas
