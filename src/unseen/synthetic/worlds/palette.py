"""The sixteen colours of little worlds, by the names that captions call them."""

from __future__ import annotations

from unseen.synthetic.color import Color

COLORS: dict[str, Color] = {
    "red": (0.80, 0.22, 0.20),
    "orange": (0.93, 0.53, 0.20),
    "yellow": (0.95, 0.79, 0.30),
    "green": (0.37, 0.61, 0.31),
    "mint": (0.66, 0.85, 0.73),
    "teal": (0.14, 0.48, 0.48),
    "turquoise": (0.33, 0.74, 0.76),
    "blue": (0.25, 0.44, 0.78),
    "navy": (0.15, 0.21, 0.42),
    "purple": (0.50, 0.32, 0.64),
    "pink": (0.93, 0.62, 0.68),
    "brown": (0.47, 0.31, 0.20),
    "beige": (0.87, 0.79, 0.65),
    "white": (0.94, 0.93, 0.90),
    "grey": (0.58, 0.59, 0.61),
    "black": (0.15, 0.15, 0.17),
}
"""Names and sRGB."""


def toned(color: Color, factor: float) -> Color:
    """A darker (below 1) or lighter shade."""
    r, g, b = (min(1.0, max(0.0, c * factor)) for c in color)
    return r, g, b
