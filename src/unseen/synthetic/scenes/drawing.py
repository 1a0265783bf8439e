"""Drawn surfaces: paintings, printed posters, spines of books, wallpaper with scattered leaves. sRGB pictures, returned
linear."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from unseen.synthetic.color import Color, displayed, linear
from unseen.synthetic.scenes.textures import Size, Texture, draws, noise, place, uneven

OVERSIZE = 2  # drawn larger, then reduced: smooth edges
WORDS = [
    "north", "light", "harbour", "atlas", "garden", "winter", "salt", "orchard", "echo", "lantern", "river",
    "stone", "paper", "signal", "meadow", "copper", "quiet", "island", "summer", "glass", "forest", "letter",
    "compass", "shore", "ember", "cedar", "moth", "velvet", "tide", "willow", "marble", "comet", "bridge",
    "sparrow", "thunder", "saffron", "needle", "hollow", "violet", "anchor", "mirror", "drift",
]  # fmt: skip

PALETTES = (
    ((38, 70, 83), (42, 157, 143), (233, 196, 106), (244, 162, 97), (214, 90, 64), (240, 232, 214)),
    ((29, 53, 87), (69, 123, 157), (168, 208, 212), (241, 240, 226), (206, 66, 60), (120, 90, 70)),
    ((96, 108, 56), (40, 54, 24), (250, 240, 212), (221, 161, 94), (188, 108, 37), (140, 150, 130)),
    ((61, 64, 91), (224, 122, 95), (129, 178, 154), (242, 204, 143), (244, 241, 222), (110, 70, 80)),
    ((74, 64, 58), (132, 116, 100), (214, 204, 190), (160, 58, 44), (52, 72, 78), (226, 186, 120)),
    ((20, 33, 61), (252, 163, 17), (226, 226, 222), (100, 120, 150), (150, 40, 40), (60, 90, 80)),
    ((89, 60, 52), (176, 137, 104), (222, 208, 190), (92, 116, 106), (52, 68, 88), (196, 120, 96)),
)
"""sRGB bytes; each row a set that goes together."""


def _rgb(color: np.ndarray | Color) -> tuple[int, int, int]:
    r, g, b = (int(255 * min(1.0, max(0.0, float(c))) + 0.5) for c in color)
    return r, g, b


def _sheet(size_m: Size, texel_m: float, color: Color | np.ndarray) -> tuple[Image.Image, ImageDraw.ImageDraw, float]:
    """A blank picture, what draws on it, and pixels per metre."""
    width, height = (OVERSIZE * max(2, round(side / texel_m)) for side in size_m)
    picture = Image.new("RGB", (width, height), _rgb(color))
    return picture, ImageDraw.Draw(picture), OVERSIZE / texel_m


def _finished(picture: Image.Image, size_m: Size, texel_m: float, seed: int, grain: float) -> Texture:
    """Reduced to texels, linear, on uneven paper."""
    small = picture.reduce(OVERSIZE)
    x, y = place(size_m, texel_m)
    amount = grain * (noise(x, y, 130.0, seed, 2) + 0.8 * noise(x, y, 5.0, seed + 1, 3))
    return uneven(linear(np.asarray(small, float) / 255), amount)


def palette(rng: np.random.Generator, count: int) -> np.ndarray:
    """Colours that go together: some of one set, each a little changed, sRGB [count, 3]."""
    chosen = np.array(PALETTES[int(rng.integers(len(PALETTES)))]) / 255
    order = rng.permutation(len(chosen))[np.arange(count) % len(chosen)]
    return np.clip(chosen[order] * rng.uniform(0.85, 1.1, (count, 1)) + rng.normal(scale=0.025, size=(count, 3)), 0, 1)


def _words(rng: np.random.Generator, count: int) -> str:
    return " ".join(WORDS[int(i)] for i in rng.integers(0, len(WORDS), count))


def painting(size_m: Size, texel_m: float, seed: int) -> Texture:
    """An abstract painting: washes, discs, bands, splinters and brush strokes."""
    rng = np.random.default_rng([seed, 11])
    colors = palette(rng, 6)
    picture, pen, scale = _sheet(size_m, texel_m, colors[0])
    w, h = picture.size
    for _ in range(int(rng.integers(5, 9))):
        x, y, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.06, 0.36) * min(w, h)
        color = _rgb(colors[int(rng.integers(6))])
        if rng.uniform() < 0.5:
            pen.ellipse([x - r, y - r, x + r, y + r], fill=color)
        else:
            turn = rng.uniform(0, math.pi)
            a, b = (
                np.array([math.cos(turn), math.sin(turn)]) * 2 * r,
                np.array([-math.sin(turn), math.cos(turn)]) * r * 0.5,
            )
            quad = [np.array([x, y]) + s * a + t * b for s, t in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
            pen.polygon([tuple(p) for p in quad], fill=color)
    for _ in range(70):
        start = rng.uniform(0, 1, 2) * [w, h]
        steps = np.cumsum(
            rng.normal(scale=0.045 * min(w, h), size=(5, 2)) + rng.normal(scale=0.03 * min(w, h), size=2), 0
        )
        color = np.clip(colors[int(rng.integers(6))] + rng.normal(scale=0.08, size=3), 0, 1)
        width = int(rng.uniform(0.004, 0.022) * scale * 0.6) + 1
        pen.line([tuple(p) for p in start + steps], fill=_rgb(color), width=width, joint="curve")
    return _finished(picture, size_m, texel_m, draws(rng), 0.10)


def poster(size_m: Size, texel_m: float, seed: int) -> Texture:
    """A printed poster: a picture over a title and lines of small print."""
    rng = np.random.default_rng([seed, 12])
    colors = palette(rng, 5)
    paper = 0.75 + 0.2 * colors[0]
    picture, pen, _ = _sheet(size_m, texel_m, paper)
    w, h = picture.size
    art = painting((size_m[0] * 0.84, size_m[1] * 0.58), texel_m, seed + 1)
    image = Image.fromarray((255 * displayed(art) + 0.5).astype(np.uint8))
    picture.paste(image.resize((int(0.84 * w), int(0.58 * h))), (int(0.08 * w), int(0.06 * h)))
    ink = _rgb(0.35 * colors[-1])
    pen.text((0.08 * w, 0.67 * h), _words(rng, 2).upper(), fill=ink, font=ImageFont.load_default(0.075 * w))
    for row in range(6):
        line = _words(rng, int(rng.integers(4, 7)))
        pen.text((0.08 * w, (0.78 + 0.03 * row) * h), line, fill=ink, font=ImageFont.load_default(0.032 * w))
    return _finished(picture, size_m, texel_m, draws(rng), 0.05)


def spines(size_m: Size, texel_m: float, seed: int, thickness_m: Sequence[float]) -> Texture:
    """Backs of books side by side: coloured, banded, titled; the widths are `thickness_m`."""
    rng = np.random.default_rng([seed, 13])
    picture, pen, scale = _sheet(size_m, texel_m, (0.2, 0.18, 0.16))
    h, x = picture.size[1], 0.0
    for thickness in thickness_m:
        colors = palette(rng, 3)
        cover, ink = 0.9 * colors[0], colors[2] if rng.uniform() < 0.5 else np.array([0.92, 0.86, 0.66])
        left, right = x * scale, (x + thickness) * scale
        pen.rectangle([left, 0, right - 1, h], fill=_rgb(cover))
        for _ in range(int(rng.integers(1, 4))):
            y, band = rng.uniform(0.05, 0.9) * h, rng.uniform(0.004, 0.03) * h
            pen.rectangle([left, y, right - 1, y + band], fill=_rgb(ink if rng.uniform() < 0.6 else colors[1]))
        _title(picture, _words(rng, 2), (left, right), rng.uniform(0.12, 0.3) * h, ink)
        x += thickness
    return _finished(picture, size_m, texel_m, draws(rng), 0.08)


def _title(picture: Image.Image, words: str, span: tuple[float, float], top: float, ink: np.ndarray) -> None:
    """Words written down a spine."""
    size = max(6.0, 0.62 * (span[1] - span[0]))
    font = ImageFont.load_default(size)
    strip = Image.new("L", (picture.size[1], max(2, int(span[1] - span[0]))), 0)
    ImageDraw.Draw(strip).text((0, 0.06 * size), words.title(), fill=255, font=font)
    turned = strip.rotate(-90, expand=True)
    picture.paste(_rgb(ink), (int(span[0]), int(top)), turned)


def wallpaper(size_m: Size, texel_m: float, seed: int, ground: Color, colors: Sequence[Color]) -> Texture:
    """Paper printed with leaves on stems, berries and birds' feathers, scattered without a repeat."""
    rng = np.random.default_rng([seed, 14])
    picture, pen, scale = _sheet(size_m, texel_m, ground)
    w, h = picture.size
    for _ in range(int(75 * size_m[0] * size_m[1])):
        point, turn = rng.uniform(0, 1, 2) * [w, h], rng.uniform(0, 2 * math.pi)
        color = np.asarray(colors[int(rng.integers(len(colors)))]) * rng.uniform(0.8, 1.15)
        _sprig(pen, rng, point, turn, scale * rng.uniform(0.06, 0.16), color)
    return _finished(picture, size_m, texel_m, draws(rng), 0.06)


def _sprig(pen: ImageDraw.ImageDraw, rng, point: np.ndarray, turn: float, length: float, color: np.ndarray) -> None:
    """A bent stem with leaves on both sides and a berry at its end."""
    bend, count, places = rng.normal(scale=0.9), int(rng.integers(3, 8)), []
    for i in range(9):
        places.append(point.copy())
        angle = turn + bend * i / 8
        point = point + length / 8 * np.array([math.cos(angle), math.sin(angle)])
    pen.line([tuple(p) for p in places], fill=_rgb(0.7 * color), width=max(1, int(0.03 * length)))
    for leaf in range(count):
        base, side = places[1 + leaf * 7 // count], 1 if leaf % 2 else -1
        angle = turn + bend * leaf / count + side * rng.uniform(0.5, 1.1)
        stem = np.array([math.cos(angle), math.sin(angle)]) * length * rng.uniform(0.25, 0.42)
        across = np.array([-stem[1], stem[0]]) * rng.uniform(0.16, 0.3)
        outline = [base, base + 0.4 * stem + across, base + stem, base + 0.4 * stem - across]
        pen.polygon([tuple(p) for p in outline], fill=_rgb(color * rng.uniform(0.82, 1.1)))
    r = length * rng.uniform(0.03, 0.09)
    pen.ellipse([point[0] - r, point[1] - r, point[0] + r, point[1] + r], fill=_rgb(color[::-1]))
