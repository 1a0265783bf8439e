"""What a little world holds, as captions name it."""

from __future__ import annotations

from dataclasses import dataclass, field

from unseen.synthetic.worlds.shapes import Shape


@dataclass(frozen=True)
class Thing:
    """One thing.

    Attributes:
        noun: what it is, a key of `captions.NOUNS`.
        color: its name in the palette, empty where captions name none.
        detail: of floors what they are made of (wooden, tiled, checkered), of houses the colour of the roof.
        shapes: its solids; none for ground and sky.
    """

    noun: str
    color: str = ""
    detail: str = ""
    shapes: tuple[Shape, ...] = field(default=(), compare=False, repr=False)
