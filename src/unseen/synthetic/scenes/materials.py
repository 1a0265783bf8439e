"""What surfaces are made of, and their textures packed with coarser copies for a compiled look-up."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int, UInt8
from numba import njit

from unseen.synthetic.color import displayed, linear

MAX_LEVELS = 12


@dataclass(frozen=True)
class Material:
    """One surface.

    Attributes:
        texture: linear RGB reflectance, rows downward; repeats beyond its edges, [H, W, 3].
        texel_m: metres per texel.
        mirror: reflectance at normal incidence, 0 for matte; grows toward grazing views (Schlick).
        roughness: of the gloss, 0 (sharp) to 1.
        glow: light it sends out by itself, times the texture.
        thin: light passes to the other side (leaves, curtains, lamp shades).
    """

    texture: Float[np.ndarray, "H W 3"]
    texel_m: float
    mirror: float = 0.0
    roughness: float = 0.3
    glow: float = 0.0
    thin: bool = False


class Palette(NamedTuple):
    """Materials as kernels take them.

    Attributes:
        texels: all levels of all textures one after the other, sRGB, [N, 3].
        levels: first texel, height and width of each level, [T, MAX_LEVELS, 3]; the last one fills the row.
        traits: texel_m, mirror, roughness, glow, thin, [T, 5].
        decode: linear value of each sRGB byte, [256].
    """

    texels: UInt8[np.ndarray, "N 3"]
    levels: Int[np.ndarray, "T L 3"]
    traits: Float[np.ndarray, "T 5"]
    decode: Float[np.ndarray, "256"]


def pack(materials: Sequence[Material]) -> Palette:
    """Materials with every texture halved down to one texel."""
    chunks, rows, first = [], [], 0
    for material in materials:
        row = []
        level = np.asarray(material.texture, np.float32)
        while True:
            chunks.append((255 * displayed(level) + 0.5).astype(np.uint8).reshape(-1, 3))
            row.append((first, *level.shape[:2]))
            first += len(chunks[-1])
            if len(row) == MAX_LEVELS or max(level.shape[:2]) == 1:
                break
            level = _halved(level)
        rows.append(row + [row[-1]] * (MAX_LEVELS - len(row)))
    traits = [[m.texel_m, m.mirror, m.roughness, m.glow, float(m.thin)] for m in materials]
    decode = linear(np.arange(256) / 255).astype(np.float32)
    return Palette(np.concatenate(chunks), np.array(rows, np.int64), np.array(traits), decode)


def _halved(level: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 texels; an odd last row or column joins its neighbour's mean."""
    for axis in (0, 1):
        if level.shape[axis] > 1:
            even = level.shape[axis] // 2 * 2
            a, b = (np.take(level, np.arange(start, even, 2), axis) for start in (0, 1))
            level = 0.5 * (a + b)
    return level


@njit(cache=True, inline="always")
def _bilinear(texels, decode, first, height, width, x, y, channel):
    i, j = math.floor(y), math.floor(x)
    fy, fx = y - i, x - j
    i0, i1 = int(i) % height, (int(i) + 1) % height
    j0, j1 = int(j) % width, (int(j) + 1) % width
    top = (
        decode[texels[first + i0 * width + j0, channel]] * (1 - fx)
        + decode[texels[first + i0 * width + j1, channel]] * fx
    )
    low = (
        decode[texels[first + i1 * width + j0, channel]] * (1 - fx)
        + decode[texels[first + i1 * width + j1, channel]] * fx
    )
    return top * (1 - fy) + low * fy


@njit(cache=True)
def reflectance(palette, material, u, v, footprint_m):
    """Linear RGB of a material at surface coordinates in metres, averaged over about `footprint_m` (trilinear)."""
    texels, levels, traits, decode = palette
    texel = traits[material, 0]
    fine = min(max(math.log2(max(footprint_m / texel, 1e-6)), 0.0), MAX_LEVELS - 1.001)
    low = int(fine)
    share = fine - low
    r, g, b = 0.0, 0.0, 0.0
    full_h, full_w = levels[material, 0, 1], levels[material, 0, 2]
    s, t = u / (texel * full_w), v / (texel * full_h)
    for k in range(2):
        weight = share if k == 1 else 1.0 - share
        if weight <= 0.0:
            continue
        first, height, width = levels[material, low + k, 0], levels[material, low + k, 1], levels[material, low + k, 2]
        x, y = s * width - 0.5, t * height - 0.5
        r += weight * _bilinear(texels, decode, first, height, width, x, y, 0)
        g += weight * _bilinear(texels, decode, first, height, width, x, y, 1)
        b += weight * _bilinear(texels, decode, first, height, width, x, y, 2)
    return r, g, b
