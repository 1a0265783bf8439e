"""The sculpture: the procedural head's rest shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from unseen.head.procedural.anatomy import Anatomy, assemble
from unseen.head.procedural.topology import skin

SCULPTURE = Path(__file__).with_name("sculpture.npz")


def sculpted_head() -> Anatomy:
    """Skin, eyeballs and teeth in place, millimetres."""
    joined = skin()
    with np.load(SCULPTURE) as stored:
        half = stored["skin"].astype(float) * 0.01
        eye, bites = stored["eye_center"].astype(float), stored["bites"].astype(float)
    vertices = np.empty((len(joined.mirror), 3))
    vertices[: len(half)] = half
    vertices[joined.mirror[: len(half)]] = half * [-1.0, 1.0, 1.0]
    vertices[joined.layout.midline, 0] = 0.0
    return assemble(joined, vertices, eye, bites)
