"""People who do not exist, filmed with exact ground truth: the embedded training and test world.

Places are in `unseen.synthetic.scenes`.
"""

from unseen.synthetic.actor import Actor
from unseen.synthetic.clip import SyntheticClip, render_multiview, render_video, ring_cameras, room, write_clip
from unseen.synthetic.hairstyles import HAIR_STYLES
from unseen.synthetic.lighting import Lighting
from unseen.synthetic.motion import Motion
from unseen.synthetic.subject import SyntheticSubject

__all__ = [
    "HAIR_STYLES",
    "Actor",
    "Lighting",
    "Motion",
    "SyntheticClip",
    "SyntheticSubject",
    "render_multiview",
    "render_video",
    "ring_cameras",
    "room",
    "write_clip",
]
