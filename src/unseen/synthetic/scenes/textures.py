"""Procedural surfaces: wood, tiles, brick, plaster, cloth, rugs, stone. Every function paints a stretch of surface that
does not repeat, at several scales, so that features of it can be found and told apart.

All return linear RGB [H, W, 3] float32 for `size_m` (width, height) at `texel_m` metres per texel, rows downward.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from unseen.synthetic.color import Color, linear, mix
from unseen.synthetic.noise import fractal_noise

Texture = Float[np.ndarray, "H W 3"]
Size = tuple[float, float]

BOARD_M = 0.13  # width of floor boards
COURSE_M = 0.075  # height of a course of bricks


def place(size_m: Size, texel_m: float) -> tuple[np.ndarray, np.ndarray]:
    """x and y in metres of the texels' centres, [H, W] each."""
    columns, rows = (max(2, round(side / texel_m)) for side in size_m)
    x, y = np.meshgrid((np.arange(columns) + 0.5) * texel_m, (np.arange(rows) + 0.5) * texel_m)
    return x, y


def noise(x: np.ndarray, y: np.ndarray, frequency: float, seed: int, octaves: int = 4, gain: float = 0.55):
    """Fractal noise of the plane, mean 0, spread about 0.35; `frequency` in cycles per metre."""
    return fractal_noise(np.stack([x, y, np.full_like(x, 0.37)], -1), frequency, octaves, gain, seed)


def uneven(color: np.ndarray, amount: np.ndarray) -> Texture:
    """A colour made lighter and darker by a relative amount."""
    return np.clip(color * (1 + amount)[..., None], 0.004, 0.92).astype(np.float32)


def draws(rng: np.random.Generator) -> int:
    """A seed for noise."""
    return int(rng.integers(2**30))


def per_cell(rng: np.random.Generator, cells: np.ndarray, channels: int) -> np.ndarray:
    """Unit normal draws that are equal for equal cell numbers, [..., channels]."""
    low = int(cells.min())
    return rng.normal(size=(int(cells.max()) - low + 1, channels))[cells - low]


def plain(size_m: Size, texel_m: float, seed: int, color: Color, *, spread: float = 0.05) -> Texture:
    """Paint or metal with the slight stains of use."""
    x, y = place(size_m, texel_m)
    return uneven(linear(color), spread * (noise(x, y, 3.0, seed) + 0.6 * noise(x, y, 90.0, seed + 9, 2)))


def wood(size_m: Size, texel_m: float, seed: int, color: Color) -> Texture:
    """Sawn wood: years as bands that wander along the grain, which runs along x, and pores."""
    x, y = place(size_m, texel_m)
    return _grain(x, y, np.zeros_like(x), linear(color), seed)


def _grain(x: np.ndarray, y: np.ndarray, shift: np.ndarray, color: np.ndarray, seed: int) -> Texture:
    """Grain along x; `shift` moves each board to other wood."""
    at = np.stack([x * 1.3 + 17.0 * shift, y * 9.0 + 5.0 * shift, 3.0 * shift], -1)
    wander = fractal_noise(at, 1.0, 3, 0.5, seed)
    bands = np.sin(2 * np.pi * (y * 28 + 2.6 * wander + 1.7 * shift))
    fibre = fractal_noise(np.stack([x * 14 + 9 * shift, y * 420, 2 * shift], -1), 1.0, 3, 0.6, seed + 1)
    pores = np.clip(fractal_noise(np.stack([x * 30, y * 700, shift], -1), 1.0, 1, 0.5, seed + 2) - 0.35, 0, 1)
    return uneven(color, 0.13 * bands + 0.30 * wander + 0.22 * fibre - 0.7 * pores)


def boards(size_m: Size, texel_m: float, seed: int, color: Color) -> Texture:
    """A floor of boards along x, of random lengths and tones, with dark joints."""
    rng = np.random.default_rng([seed, 1])
    x, y = place(size_m, texel_m)
    row = np.floor(y / BOARD_M).astype(int)
    start = rng.uniform(0, 1.5, row.max() + 1)[row]
    length = rng.uniform(0.9, 1.6, row.max() + 1)[row]
    column = np.floor((x + start) / length).astype(int)
    cell = row * 64 + column
    tone = per_cell(rng, cell, 3)
    surface = _grain(x, y, tone[..., 0], linear(color), draws(rng))
    tint = np.stack(
        [1 + 0.16 * tone[..., 1], 1 + 0.14 * tone[..., 1], 1 + 0.12 * tone[..., 1] + 0.05 * tone[..., 2]], -1
    )
    edge = np.minimum(np.abs(y / BOARD_M - np.round(y / BOARD_M)) * BOARD_M, _gap((x + start) / length) * length)
    worn = 0.10 * noise(x, y, 1.3, draws(rng))
    return uneven(surface * tint, worn - 0.75 * np.exp(-((edge / 0.0022) ** 2)))


def _gap(t: np.ndarray) -> np.ndarray:
    return np.abs(t - np.round(t))


def tiles(size_m: Size, texel_m: float, seed: int, colors: Sequence[Color], side_m: float) -> Texture:
    """Cement tiles: each turned at random, ornament of arcs, diamonds and stars in a few colours, light joints."""
    rng = np.random.default_rng([seed, 2])
    x, y = place(size_m, texel_m)
    column, row = np.floor(x / side_m).astype(int), np.floor(y / side_m).astype(int)
    cell = row * (column.max() + 1) + column
    count = int(cell.max()) + 1
    u, v = x / side_m - column - 0.5, y / side_m - row - 0.5
    turn = rng.integers(0, 4, count)[cell]
    u, v = np.choose(turn, [u, v, -u, -v]), np.choose(turn, [v, -u, -v, u])
    palette = np.stack([linear(c) for c in colors])
    pick = rng.integers(0, len(palette), (count, 2))[cell]
    share = _ornament(u, v, rng.integers(0, 5, count)[cell])
    surface = mix(palette[pick[..., 0]], palette[pick[..., 1]], np.clip(share, 0, 1))
    tone = 0.10 * per_cell(rng, cell, 1)[..., 0]
    stains = 0.16 * noise(x, y, 4.0, draws(rng)) + 0.10 * noise(x, y, 60.0, draws(rng), 3)
    surface = uneven(surface, tone + stains)
    joint = np.exp(-((np.minimum(0.5 - np.abs(u), 0.5 - np.abs(v)) * side_m / 0.0028) ** 2))
    return mix(surface, uneven(linear((0.62, 0.6, 0.55)), stains), joint).astype(np.float32)


def _ornament(u: np.ndarray, v: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """Share of the second colour: quarter arcs, a diamond, rings, a flower, a diagonal; u and v in [-0.5, 0.5]."""
    soft = 0.012
    corner, centre = np.hypot(u + 0.5, v + 0.5), np.hypot(u, v)
    flower = 0.27 + 0.12 * np.cos(4 * np.arctan2(v, u))
    edges = [
        0.09 - np.abs(corner - 0.55),
        0.30 - np.abs(np.abs(u) + np.abs(v) - 0.08),
        0.06 - np.abs(centre - 0.33),
        flower - centre,
        u - v,
    ]
    return np.choose(kind, [1 / (1 + np.exp(-np.clip(e / soft, -40, 40))) for e in edges])


def brick(size_m: Size, texel_m: float, seed: int, color: Color) -> Texture:
    """A running bond of uneven bricks in light mortar."""
    rng = np.random.default_rng([seed, 3])
    x, y = place(size_m, texel_m)
    warp = 0.004 * noise(x, y, 6.0, draws(rng), 2)
    row = np.floor((y + warp) / COURSE_M).astype(int)
    length = 3.1 * COURSE_M
    along = (x + 2 * warp) / length + 0.5 * (row % 2)
    cell = (row - row.min()) * 128 + np.floor(along).astype(int)
    tone = per_cell(rng, cell, 3)
    grit = 0.16 * noise(x, y, 45.0, draws(rng), 4) + 0.14 * noise(x, y, 1.1, draws(rng), 3)
    tint = np.stack([1 + 0.20 * tone[..., 0], 1 + 0.23 * tone[..., 0] + 0.1 * tone[..., 1], 1 + 0.2 * tone[..., 0]], -1)
    face = uneven(linear(color) * np.clip(tint, 0.45, 1.7), grit)
    edge = np.minimum(_gap((y + warp) / COURSE_M) * COURSE_M, _gap(along) * length)
    rough = 0.0075 + 0.002 * noise(x, y, 70.0, draws(rng), 2)
    mortar = 1 / (1 + np.exp((edge - rough) / 0.0012))
    shade = 1 - 0.35 * np.exp(-(((((y + warp) / COURSE_M) % 1.0) * COURSE_M / 0.012) ** 2))
    return mix(face * shade[..., None], uneven(linear((0.66, 0.63, 0.58)), 1.4 * grit), mortar).astype(np.float32)


def plaster(size_m: Size, texel_m: float, seed: int, color: Color, *, spread: float = 0.10) -> Texture:
    """Brushed lime wash: clouds, strokes, fine grain, a few flecks."""
    x, y = place(size_m, texel_m)
    strokes = fractal_noise(np.stack([x * 2.2, y * 9, np.zeros_like(x)], -1), 1.0, 4, 0.6, seed)
    fleck = np.clip(np.abs(noise(x, y, 23.0, seed + 3, 2)) - 0.55, 0, 0.4)
    return uneven(
        linear(color), spread * (strokes + noise(x, y, 0.8, seed + 1) + 0.7 * noise(x, y, 55, seed + 2, 3)) - fleck
    )


def cloth(size_m: Size, texel_m: float, seed: int, colors: Sequence[Color], *, stripe_m: float = 0.0) -> Texture:
    """Woven cloth: threads, slubs and fading; with `stripe_m`, stripes of random widths in the colours given."""
    rng = np.random.default_rng([seed, 4])
    x, y = place(size_m, texel_m)
    base = np.broadcast_to(linear(colors[0]), (*x.shape, 3))
    if stripe_m > 0:
        edges = np.cumsum(rng.uniform(0.3, 1.7, int(size_m[0] / stripe_m) + 8)) * stripe_m
        picks = rng.integers(0, len(colors), len(edges) + 1)
        base = np.stack([linear(c) for c in colors])[
            picks[np.searchsorted(edges, x + 0.002 * noise(x, y, 9.0, draws(rng), 2))]
        ]
    weft = fractal_noise(np.stack([x * 25, y * 330, np.zeros_like(x)], -1), 1.0, 2, 0.6, draws(rng))
    warp = fractal_noise(np.stack([x * 330, y * 25, np.ones_like(x)], -1), 1.0, 2, 0.6, draws(rng))
    return uneven(base, 0.14 * (weft + warp) + 0.16 * noise(x, y, 6.0, draws(rng), 3))


def rug(size_m: Size, texel_m: float, seed: int, colors: Sequence[Color]) -> Texture:
    """A knotted rug: borders, a medallion, motifs that differ from knot to knot, worn places."""
    rng = np.random.default_rng([seed, 5])
    x, y = place(size_m, texel_m)
    knot = 0.008
    kx, ky = (np.floor(v / knot) * knot + knot / 2 for v in (x, y))
    palette = np.stack([linear(c) for c in colors])
    w, h = size_m
    edge = np.minimum.reduce([kx, w - kx, ky, h - ky])
    u, v = np.abs(kx - w / 2), np.abs(ky - h / 2)
    weave = noise(np.sin(9 * u) + u, np.cos(7 * v) + v, 3.2, draws(rng), 4, 0.8)
    field = np.floor(3.4 * (weave + 0.6 * np.cos(17 * np.hypot(u, 1.35 * v)))).astype(int)
    odd = np.floor(5 * noise(kx, ky, 7.0, draws(rng), 3)).astype(int)
    index = np.where(edge > 0.22, field + (np.abs(odd) > 1) * odd, np.floor(edge / 0.035).astype(int) * 2 + odd)
    index = np.where((edge > 0.05) & (edge < 0.10), odd, index)
    tone = 0.16 * noise(kx, ky, 70.0, draws(rng), 2) + 0.22 * noise(x, y, 1.7, draws(rng), 3)
    return uneven(palette[index % len(palette)], tone + 0.10 * noise(x, y, 160.0, draws(rng), 1))


def stone(size_m: Size, texel_m: float, seed: int, color: Color, vein: Color) -> Texture:
    """Polished stone with veins at two scales."""
    x, y = place(size_m, texel_m)
    bend = noise(x, y, 2.0, seed, 4, 0.6)
    coarse = np.exp(-np.abs(noise(x + 0.25 * bend, y + 0.2 * bend, 2.6, seed + 1, 4)) / 0.035)
    fine = np.exp(-np.abs(noise(x, y, 11.0, seed + 2, 4)) / 0.05)
    surface = uneven(linear(color), 0.18 * bend + 0.12 * noise(x, y, 60.0, seed + 3, 3))
    return mix(surface, linear(vein), np.clip(0.7 * coarse + 0.35 * fine, 0, 0.85)).astype(np.float32)


def cobbles(size_m: Size, texel_m: float, seed: int, colors: Sequence[Color], *, side_m: float = 0.12) -> Texture:
    """Setts of uneven shapes: the cells of jittered points, with sandy joints."""
    rng = np.random.default_rng([seed, 6])
    x, y = place(size_m, texel_m)
    columns, rows = int(size_m[0] / side_m) + 4, int(size_m[1] / side_m) + 4
    jitter = rng.uniform(0.18, 0.82, (rows, columns, 2))
    i, j = np.floor(y / side_m).astype(int), np.floor(x / side_m).astype(int)
    first, second, owner = np.full(x.shape, 9.0), np.full(x.shape, 9.0), np.zeros(x.shape, int)
    for di in (-1, 0, 1):
        for dj in (-1, 0, 1):
            a, b = i + di + 1, j + dj + 1
            gap = np.hypot(x / side_m - (j + dj + jitter[a, b, 0]), y / side_m - (i + di + jitter[a, b, 1]))
            owner = np.where(gap < first, a * columns + b, owner)
            second = np.minimum(second, np.maximum(first, gap))
            first = np.minimum(first, gap)
    palette = np.stack([linear(c) for c in colors])
    pick = rng.integers(0, len(palette), int(owner.max()) + 1)[owner]
    tone = 0.15 * per_cell(rng, owner, 1)[..., 0]
    grain = 0.20 * noise(x, y, 35.0, draws(rng), 4) + 0.15 * noise(x, y, 0.9, draws(rng), 3)
    face = uneven(palette[pick], tone + grain + 0.25 * (0.35 - first))
    joint = 1 / (1 + np.exp(((second - first) * side_m - 0.012) / 0.003))
    return mix(face, uneven(linear((0.36, 0.32, 0.26)), 2 * grain), joint).astype(np.float32)


def foliage(size_m: Size, texel_m: float, seed: int, color: Color) -> Texture:
    """Leaf surface: patches of tone, ribs, pale spots."""
    x, y = place(size_m, texel_m)
    ribs = np.sin(2 * np.pi * (x * 70 + 2 * noise(x, y, 5.0, seed, 2)))
    surface = uneven(
        linear(color), 0.45 * noise(x, y, 7.0, seed + 1, 3) + 0.14 * ribs + 0.2 * noise(x, y, 80.0, seed + 2, 2)
    )
    yellow = np.clip(noise(x, y, 2.3, seed + 3, 2) + 0.05, 0, 1)
    return mix(surface, uneven(linear((0.62, 0.60, 0.22)), 0.3 * ribs), 0.6 * yellow).astype(np.float32)
