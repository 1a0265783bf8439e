"""Picking frames of a video for structure from motion: evenly spread, of each stretch the sharpest."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.ndimage import laplace

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike, make_folder
from unseen.io.images import write_image
from unseen.io.sfm.settings import Progress
from unseen.io.video import iter_frames, probe

_JUDGED_SIDE = 640
"""Frames are judged at this size: compression noise of full-size frames would pass for sharpness."""
_QUALITY = 97


def sharpness(video: PathLike, progress: Progress) -> Float[np.ndarray, "T"]:
    """Variance of the Laplacian of each frame's luma (Pech-Pacheco et al. 2000)."""
    total, values = probe(video).num_frames, []
    for frame in iter_frames(video, max_side=_JUDGED_SIDE, gray=True):
        values.append(float(laplace(frame.numpy().astype(np.float32)).var()))
        progress("sharpness", len(values), total)
    return np.array(values)


def pick_frames(values: Sequence[float] | np.ndarray, count: int) -> list[int]:
    """Indices of at most `count` frames: the sharpest of each of as many equal stretches."""
    stretches = np.array_split(np.arange(len(values)), min(count, len(values)))
    return [int(stretch[np.asarray(values)[stretch].argmax()]) for stretch in stretches]


def extract_frames(video: PathLike, folder: PathLike, count: int, progress: Progress) -> list[str]:
    """Write the picked frames as JPEG pictures named by their number in the video.

    Args:
        video: the file.
        folder: for the pictures.
        count: how many at most.
        progress: called with stage, done, total.

    Returns:
        Names of the pictures, in the order of time.

    Raises:
        InputError: not a video, or fewer than two frames asked for.
        FormatError: a damaged video.
        ResourceError: the machine refuses.
    """
    if count < 2:
        raise InputError(f"{count} frames of a video: expected at least 2")
    picked = pick_frames(sharpness(video, progress), count)
    place = make_folder(folder)
    names = [f"frame_{index:06d}.jpg" for index in picked]
    wanted = dict(zip(picked, names, strict=True))
    for index, frame in enumerate(iter_frames(video, stop=picked[-1] + 1)):
        if index in wanted:
            write_image(place / wanted[index], frame, quality=_QUALITY)
            progress("frames", names.index(wanted[index]) + 1, len(names))
    return names
