"""The sample video that comes with the package: `python -m unseen.synthetic.sample FOLDER`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from unseen.core.camera import Camera
from unseen.head.procedural import SHAPE_NAMES
from unseen.io.atomic import PathLike
from unseen.synthetic.clip import SyntheticClip, render_video, write_clip
from unseen.synthetic.hairstyles import HAIR_COLORS, IRIS_COLORS
from unseen.synthetic.lighting import Lighting
from unseen.synthetic.motion import Motion
from unseen.synthetic.subject import SyntheticSubject

FPS = 24.0
TURNS = ((0.0, 0.0), (0.7, 0.0), (1.75, 50.0), (2.0, 50.0), (3.6, -50.0), (3.9, -50.0), (4.8, 0.0))
"""Seconds and degrees: frontal, to the left, to the right, back."""


_FACE = {
    "sex": -1.3,
    "age": -0.5,
    "weight": -0.9,
    "cheek_fullness": -0.4,
    "submental_fullness": -1.0,
    "jaw_width": -0.6,
    "eye_size": 0.5,
    "lid_hood": -1.0,
    "brow_height": 0.6,
    "brow_ridge": -1.0,
    "mouth_width": 0.4,
    "nose_tip_width": -0.6,
    "mouth_corner_height": 0.6,
    "cheekbone_forward": 0.5,
    "upper_lip_fullness": 0.5,
    "lower_lip_fullness": 0.5,
    "nose_width": -0.7,
    "neck_girth": -0.8,
}


def sample_subject(seed: int) -> SyntheticSubject:
    """The person of the sample: a drawn one, brought nearer to the mean and dressed for the part."""
    drawn = SyntheticSubject.sample(seed, hair="bob")
    shape = 0.35 * drawn.shape
    for name, value in _FACE.items():
        shape[SHAPE_NAMES.index(name)] = value
    skin = replace(drawn.skin, melanin=0.14, blood=0.75, freckles=0.4, blemishes=0.15, stubble=0.0, lip_strength=0.35)
    garment = replace(
        drawn.garment,
        height=0.55,
        front_drop_m=0.03,
        v_shape=0.0,
        collar_m=0.0015,
        collar_width_m=0.011,
        pattern=1,
        size_m=0.026,
        colors=((0.62, 0.6, 0.55), (0.03, 0.05, 0.12)),
    )
    brow, iris = HAIR_COLORS["brown"], IRIS_COLORS["green"]
    hair = HAIR_COLORS["auburn"]
    return replace(
        drawn,
        shape=shape,
        skin=skin,
        garment=garment,
        hair_color=hair,
        brow_color=brow,
        brow_density=0.5,
        beard=0.0,
        iris=iris,
        pupil_share=0.36,
        lashes_m=0.0065,
    )


def make_sample(
    out_dir: PathLike,
    seed: int = 11,
    num_frames: int = 120,
    size: int = 384,
    *,
    progress: Callable[[int], None] | None = None,
) -> SyntheticClip:
    """Render and write the sample: a person talks and turns the head to both sides, before a light grey wall.

    Args:
        out_dir: folder for video.mp4, video.alpha.mp4, video.landmarks.npz and truth.npz.
        seed: of subject and motion.
        num_frames: at 24 frames per second.
        size: width and height in pixels.
        progress: called with the number of frames done.
    """
    subject = sample_subject(seed)
    motion = Motion.sample(seed, num_frames, fps=FPS, turns=TURNS)
    camera = Camera.look_at((0.0, -0.01, 1.05), (0.0, -0.032, 0.0), size, size, focal_px=2.55 * size)
    lighting = replace(Lighting.studio(), background=Lighting.studio((0.82, 0.82, 0.82)).background)
    clip = render_video(subject, motion, camera, lighting, supersampling=3, progress=progress)
    write_clip(out_dir, clip, crf=20)
    return clip


if __name__ == "__main__":
    make_sample(sys.argv[1])
