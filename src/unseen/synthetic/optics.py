"""What light does at a point, for compiled shaders: falloffs, gloss, shadows, tone."""

from __future__ import annotations

import math

from numba import njit


@njit(cache=True, inline="always")
def smooth(a, b, x):
    """Hermite step from 0 at a to 1 at b."""
    t = min(1.0, max(0.0, (x - a) / (b - a)))
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, inline="always")
def dot(a, b):
    """Scalar product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, inline="always")
def normalize(a):
    """Unit vector of a direction."""
    n = 1.0 / math.sqrt(dot(a, a) + 1e-20)
    return (a[0] * n, a[1] * n, a[2] * n)


@njit(cache=True)
def lit(matrix, depth, p, n, offset, bias, reach, taps):
    """Share of the key light that reaches p + offset n: percentage-closer filtering of the shadow map with taps^2
    samples of a slightly turned grid, out to `reach` texels; what lies beyond the map is lit."""
    x, y, z = p[0] + offset * n[0], p[1] + offset * n[1], p[2] + offset * n[2]
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z + matrix[2, 3]
    u = (matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z + matrix[0, 3]) / w
    v = (matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z + matrix[1, 3]) / w
    size = depth.shape[0]
    total, step = 0.0, 2.0 * reach / taps
    for i in range(taps):
        for j in range(taps):
            a, b = (i - 0.5 * (taps - 1)) * step, (j - 0.5 * (taps - 1)) * step
            column, row = math.floor(u + 0.94 * a + 0.34 * b), math.floor(v + 0.94 * b - 0.34 * a)
            if column < 0 or row < 0 or column >= size or row >= size:
                total += 1.0
            else:
                total += smooth(2.0 * bias, 0.5 * bias, w - depth[int(row), int(column)])
    return total / (taps * taps)


@njit(cache=True, inline="always")
def highlight(n, light, v, roughness, f0):
    """Normalised Blinn-Phong lobe with Schlick's Fresnel term, times n . light."""
    ndl = dot(n, light)
    if ndl <= 0.0:
        return 0.0
    h = normalize((light[0] + v[0], light[1] + v[1], light[2] + v[2]))
    power = 2.0 / (roughness**4) - 2.0
    fresnel = f0 + (1 - f0) * (1 - max(0.0, dot(h, v))) ** 5
    return (power + 2.0) / 8.0 * max(0.0, dot(n, h)) ** power * fresnel * ndl


@njit(cache=True, inline="always")
def mirror(n, v):
    """Direction of the mirror image of `v`, both away from the surface."""
    d = 2.0 * dot(n, v)
    return (d * n[0] - v[0], d * n[1] - v[1], d * n[2] - v[2])


@njit(cache=True, inline="always")
def shoulder(x):
    """Linear to 0.6, then a soft shoulder toward 1."""
    return x if x < 0.6 else 0.6 + 0.4 * (1 - math.exp((0.6 - x) / 0.4))
