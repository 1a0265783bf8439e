"""A scene that builds at once: a bright square over a dark floor in the open air."""

import numpy as np

from unseen.synthetic.scenes import Scene, SceneBuilder
from unseen.synthetic.scenes.materials import Material
from unseen.synthetic.scenes.shapes import box, panel
from unseen.synthetic.scenes.sky import daylight

SQUARE_M, HEIGHT_M = 0.8, 1.0
CORNERS = np.array([[x, HEIGHT_M, z] for x, z in ((-0.4, 0.4), (0.4, 0.4), (0.4, -0.4), (-0.4, -0.4))])
"""World corners of the square, counter-clockwise from above."""


def flat(level: float) -> np.ndarray:
    return np.full((8, 8, 3), level, np.float32)


def little_scene(seed: int = 0, *, mirror: float = 0.0) -> Scene:
    """The square is the subject; a pillar stands beside it."""
    b = SceneBuilder("little", seed, 0.4, 0.01, detail=0.25)
    b.add(panel((-5, 0, 5), (10, 0, 0), (0, 0, -10), 0.5), Material(flat(0.02), 0.1, mirror=mirror, roughness=0.0))
    side = SQUARE_M
    square = panel((-side / 2, HEIGHT_M, side / 2), (side, 0, 0), (0, 0, -side), 0.4)
    b.add(square, Material(flat(0.8), 0.1), subject=True)
    b.add(box((0.2, 2.0, 0.2), 0.5, middle=(1.5, 1.0, 0)), Material(flat(0.5), 0.1))
    return b.finish(daylight(0.5, 0.9, 1), open_air=True)
