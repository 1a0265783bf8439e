"""Seeded gradient noise in three dimensions: the raw material of skin, cloth and hair."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from numba import njit, prange


@njit(cache=True, inline="always")
def hash_u32(x, y, z, seed):
    """A well-mixed 32-bit hash of a lattice point (multiply and xor-shift rounds)."""
    mixed = x * 0x8DA6B343 ^ y * 0xD8163841 ^ z * 0xCB1AB31F ^ seed * 0x9E3779B1  # wraps in 64 bits
    h = np.uint32(mixed & 0xFFFFFFFF)
    h = np.uint32(h ^ (h >> np.uint32(16))) * np.uint32(0x7FEB352D)
    h = np.uint32(h & np.uint64(0xFFFFFFFF))
    h = np.uint32(h ^ (h >> np.uint32(15))) * np.uint32(0x846CA68B)
    h = np.uint32(h & np.uint64(0xFFFFFFFF))
    return np.uint32(h ^ (h >> np.uint32(16)))


@njit(cache=True, inline="always")
def hash_unit(x, y, z, seed):
    """`hash_u32` as a number in [0, 1)."""
    return hash_u32(x, y, z, seed) * 2.3283064365386963e-10


@njit(cache=True, inline="always")
def _fade(t):
    return t * t * t * (t * (t * 6.0 - 15.0) + 10.0)


@njit(cache=True)
def gradient_noise(x, y, z, seed):
    """Perlin's improved noise (2002) with hashed gradients in the cube; mean 0, roughly in [-1, 1]."""
    ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
    fx, fy, fz = x - ix, y - iy, z - iz
    u, v, w = _fade(fx), _fade(fy), _fade(fz)
    total = 0.0
    for corner in range(8):
        cx, cy, cz = corner & 1, (corner >> 1) & 1, corner >> 2
        h = hash_u32(int(ix) + cx, int(iy) + cy, int(iz) + cz, seed)
        gx = (h & np.uint32(1023)) / 511.5 - 1.0
        gy = ((h >> np.uint32(10)) & np.uint32(1023)) / 511.5 - 1.0
        gz = ((h >> np.uint32(20)) & np.uint32(1023)) / 511.5 - 1.0
        weight = (u if cx else 1.0 - u) * (v if cy else 1.0 - v) * (w if cz else 1.0 - w)
        total += weight * (gx * (fx - cx) + gy * (fy - cy) + gz * (fz - cz))
    return 1.4 * total


@njit(cache=True, parallel=True)
def _fractal(points, frequency, octaves, gain, seed, out):
    for i in prange(len(points)):
        scale, weight, total, norm = frequency, 1.0, 0.0, 0.0
        for octave in range(octaves):
            total += weight * gradient_noise(
                points[i, 0] * scale, points[i, 1] * scale, points[i, 2] * scale, seed + octave
            )
            norm += weight * weight
            scale *= 2.03
            weight *= gain
        out[i] = total / math.sqrt(norm)


def fractal_noise(
    points: Float[np.ndarray, "*N 3"], frequency: float, octaves: int = 4, gain: float = 0.5, seed: int = 0
) -> Float[np.ndarray, "*N"]:
    """Sum of octaves of gradient noise at `frequency` cycles per unit and its multiples; mean 0, spread about 0.35."""
    flat = np.ascontiguousarray(points.reshape(-1, 3), np.float64)
    out = np.empty(len(flat))
    _fractal(flat, frequency, octaves, gain, seed % 2**31, out)
    return out.reshape(points.shape[:-1])


@njit(cache=True, parallel=True)
def _spots(points, frequency, density, seed, out):
    for i in prange(len(points)):
        x, y, z = points[i, 0] * frequency, points[i, 1] * frequency, points[i, 2] * frequency
        ix, iy, iz = math.floor(x), math.floor(y), math.floor(z)
        best = 0.0
        for n in range(27):
            cx, cy, cz = int(ix) + n % 3 - 1, int(iy) + (n // 3) % 3 - 1, int(iz) + n // 9 - 1
            if hash_unit(cx, cy, cz, seed) < density:
                dx = cx + hash_unit(cx, cy, cz, seed + 1) - x
                dy = cy + hash_unit(cx, cy, cz, seed + 2) - y
                dz = cz + hash_unit(cx, cy, cz, seed + 3) - z
                radius = 0.15 + 0.3 * hash_unit(cx, cy, cz, seed + 4) ** 2
                fall = 1.0 - math.sqrt(dx * dx + dy * dy + dz * dz) / radius
                best = max(best, fall * (0.4 + 0.6 * hash_unit(cx, cy, cz, seed + 5)))
        out[i] = min(1.0, 2.0 * best)


def spots(
    points: Float[np.ndarray, "*N 3"], frequency: float, density: float, seed: int = 0
) -> Float[np.ndarray, "*N"]:
    """Soft dots (freckles, moles) in [0, 1]: one per lattice cell of side 1/frequency with probability `density`."""
    flat = np.ascontiguousarray(points.reshape(-1, 3), np.float64)
    out = np.empty(len(flat))
    _spots(flat, frequency, density, seed % 2**31, out)
    return out.reshape(points.shape[:-1])
