"""Little worlds with captions: rooms and landscapes of few shapes and colours, filmed in milliseconds with exact truth.

`film_world(seed)` makes one from the seed alone; `render_worlds` fills a folder with them. The big, slow, detailed
places are in `unseen.synthetic.scenes`.
"""

from unseen.synthetic.worlds.captions import vocabulary, words
from unseen.synthetic.worlds.filming import MOVES, CameraPath, camera_path
from unseen.synthetic.worlds.palette import COLORS
from unseen.synthetic.worlds.shading import View
from unseen.synthetic.worlds.shots import HELD_OUT_FROM, WorldShots, film_world, render_worlds
from unseen.synthetic.worlds.things import Thing
from unseen.synthetic.worlds.world import KINDS, LittleWorld

__all__ = [
    "COLORS",
    "HELD_OUT_FROM",
    "KINDS",
    "MOVES",
    "CameraPath",
    "LittleWorld",
    "Thing",
    "View",
    "WorldShots",
    "camera_path",
    "film_world",
    "render_worlds",
    "vocabulary",
    "words",
]
