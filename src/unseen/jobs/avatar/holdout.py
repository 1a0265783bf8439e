"""Which frames are fitted and which judge the result."""

from __future__ import annotations

import numpy as np

from unseen.core.errors import InputError
from unseen.core.rotations import axis_angle_to_matrix
from unseen.head.tracking import Track

FRONTAL_SHARE = 0.4
"""Share of the frames, the most frontal ones, that `side` fits on (GAF's monocular protocol)."""


def split_frames(holdout: str, track: Track) -> tuple[np.ndarray, np.ndarray]:
    """Fitted and held-out frames.

    Args:
        holdout: "none"; "every:N", each N-th frame is held out; "side", all but the most frontal 40 % are held out.
        track: tells how far the head is turned in each frame.

    Raises:
        InputError: another value, or one that leaves fewer than 2 frames to fit.
    """
    frames = np.arange(len(track.params))
    if holdout == "none":
        held = np.zeros(len(frames), bool)
    elif holdout == "side":
        turn = head_turn_rad(track)
        held = np.ones(len(frames), bool)
        held[np.argsort(turn, kind="stable")[: max(2, round(FRONTAL_SHARE * len(frames)))]] = False
    elif holdout.startswith("every:") and holdout[6:].isdigit() and int(holdout[6:]) >= 2:
        n = int(holdout[6:])
        held = frames % n == n - 1
    else:
        raise InputError(f"unknown holdout {holdout!r}: expected none, side, or every:N with N of at least 2")
    if (~held).sum() < 2:
        raise InputError(f"holdout {holdout!r} leaves {int((~held).sum())} of {len(frames)} frames, at least 2 needed")
    return frames[~held], frames[held]


def head_turn_rad(track: Track) -> np.ndarray:
    """Angle between the face's direction and the direction to the camera, per frame [T]."""
    root, neck = (axis_angle_to_matrix(r) for r in (track.params.rotation, track.params.neck_pose))
    facing = (root @ neck)[..., 2]
    toward = track.camera.center - track.params.translation
    cosine = (facing * toward).sum(-1) / (facing.norm(dim=-1) * toward.norm(dim=-1))
    return cosine.clamp(-1, 1).arccos().numpy()
