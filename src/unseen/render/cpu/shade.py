"""Colours of Gaussians from spherical harmonics, forward and backward. A Gaussian's 16 basis values are one vector."""

import math

import numpy as np

from unseen.core.sh import C0, C1, C2, C3
from unseen.render.cpu.layout import BAD_COLORS
from unseen.render.cpu.simd import WIDTH, inner, kernel, load, load3, splat, store, store3, take_ticket, total

CENTER = 12
"""Where a camera's row of gradients keeps that of its centre."""
NO_SH = -1
"""The degree that stands for plain colours."""
_C20, _C21, _C22, _C23, _C24 = C2
_C30, _C31, _C32, _C33, _C34, _C35, _C36 = C3


@inner
def _basis(degree, x, y, z, b):
    """Basis values at a unit direction into b[0:16]; those of higher bands stay as they are."""
    b[0] = C0
    if degree >= 1:
        b[1], b[2], b[3] = -C1 * y, C1 * z, -C1 * x
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        b[4], b[5], b[7] = _C20 * x * y, _C21 * y * z, _C23 * x * z
        b[6], b[8] = _C22 * (2 * zz - xx - yy), _C24 * (xx - yy)
        if degree >= 3:
            b[9], b[15] = _C30 * y * (3 * xx - yy), _C36 * x * (xx - 3 * yy)
            b[10], b[14] = _C31 * x * y * z, _C35 * z * (xx - yy)
            b[11], b[13] = _C32 * y * (4 * zz - xx - yy), _C34 * x * (4 * zz - xx - yy)
            b[12] = _C33 * z * (2 * zz - 3 * xx - 3 * yy)


@inner
def _slope(degree, x, y, z, w):
    """Gradient with respect to the unit direction of sum_k w_k basis_k, for degree >= 1."""
    dx, dy, dz = -C1 * w[3], -C1 * w[1], C1 * w[2]
    if degree >= 2:
        dx += _C20 * y * w[4] + _C23 * z * w[7] - 2 * _C22 * x * w[6] + 2 * _C24 * x * w[8]
        dy += _C20 * x * w[4] + _C21 * z * w[5] - 2 * _C22 * y * w[6] - 2 * _C24 * y * w[8]
        dz += _C21 * y * w[5] + _C23 * x * w[7] + 4 * _C22 * z * w[6]
    if degree >= 3:
        xx, yy, zz = x * x, y * y, z * z
        dx += 6 * _C30 * x * y * w[9] + _C31 * y * z * w[10] - 2 * _C32 * x * y * w[11] - 6 * _C33 * x * z * w[12]
        dx += _C34 * (4 * zz - 3 * xx - yy) * w[13] + 2 * _C35 * x * z * w[14] + 3 * _C36 * (xx - yy) * w[15]
        dy += 3 * _C30 * (xx - yy) * w[9] + _C31 * x * z * w[10] + _C32 * (4 * zz - xx - 3 * yy) * w[11]
        dy += -6 * _C33 * y * z * w[12] - 2 * _C34 * x * y * w[13] - 2 * _C35 * y * z * w[14] - 6 * _C36 * x * y * w[15]
        dz += _C31 * x * y * w[10] + 8 * _C32 * y * z * w[11] + 3 * _C33 * (2 * zz - xx - yy) * w[12]
        dz += 8 * _C34 * x * z * w[13] + _C35 * (xx - yy) * w[14]
    return dx, dy, dz


@inner
def _direction(means, n, centers, c):
    """Unit vector from the camera's centre to the mean, and 1 / distance."""
    x = np.float64(means[3 * n]) - centers[c, 0]
    y = np.float64(means[3 * n + 1]) - centers[c, 1]
    z = np.float64(means[3 * n + 2]) - centers[c, 2]
    norm = math.sqrt(x * x + y * y + z * z)
    inverse = 1.0 / norm if norm > 1e-12 else 0.0
    return x * inverse, y * inverse, z * inverse, inverse


@kernel
def check_colors(counter, colors, report):
    """Set BAD_COLORS in the report when a value of the flat array is not finite. One work item."""
    if take_ticket(counter) == 0:
        bad = splat(0.0)
        full = len(colors) // WIDTH * WIDTH
        for i in range(0, full, WIDTH):
            bad = bad + load(colors, i) * 0.0
        rest = total(bad)
        for i in range(full, len(colors)):
            rest += colors[i] * np.float32(0)
        if rest != 0:
            report[0] |= BAD_COLORS


@inner
def shade_span(harmonics, c, start, stop, means, opacities2d, shaded, basis):
    """max(0, 0.5 + SH) of the Gaussians from `start` to `stop` in camera c, 0 where their opacity is; 0 when all
    coefficients are finite.

    `harmonics` are the cameras' centres [C, 3], the coefficients as a flat array [C or 1, N, stored, 3], whether there
    are some per camera, `stored` and the degree. `basis` is scratch whose values above the degree are 0.
    """
    centers, colors, per_camera, stored, degree = harmonics
    n_gaussians = means.shape[0] // 3
    used = (degree + 1) * (degree + 1)
    half, zero, bad = np.float32(0.5), np.float32(0), np.float32(0)
    for n in range(start, stop):
        out = 3 * (c * n_gaussians + n)
        if opacities2d[c * n_gaussians + n] == 0:
            shaded[out], shaded[out + 1], shaded[out + 2] = zero, zero, zero
            continue
        x, y, z, _ = _direction(means, n, centers, c)
        _basis(degree, x, y, z, basis)
        row = ((c * n_gaussians if per_camera else 0) + n) * stored
        r, g, b = load3(colors, row, used)
        values = load(basis, 0)
        red, green, blue = total(r * values) + half, total(g * values) + half, total(b * values) + half
        bad += (red + green + blue) * zero
        shaded[out], shaded[out + 1], shaded[out + 2] = max(red, zero), max(green, zero), max(blue, zero)
    return bad


@inner
def shade_span_backward(
    harmonics, start, stop, means, opacities2d, shaded, v_shaded, v_means, v_colors, v_cameras, basis, weights
):
    """Gradients of coefficients, and, added to what is there, of means through the direction and of the centres
    (`v_cameras[c, -3:]`); arguments as those of `shade_span`."""
    centers, colors, per_camera, stored, degree = harmonics
    n_gaussians = means.shape[0] // 3
    used = (degree + 1) * (degree + 1)
    for c in range(centers.shape[0]):
        for n in range(start, stop):
            row = ((c * n_gaussians if per_camera else 0) + n) * stored
            seen = opacities2d[c * n_gaussians + n] > 0
            v = _through_clamp(shaded, v_shaded, seen, 3 * (c * n_gaussians + n))
            if seen:
                x, y, z, inverse = _direction(means, n, centers, c)
                _basis(degree, x, y, z, basis)
            values = load(basis, 0)
            parts = values * v[0], values * v[1], values * v[2]
            if c > 0 and not per_camera:
                old = load3(v_colors, row, stored)
                parts = old[0] + parts[0], old[1] + parts[1], old[2] + parts[2]
            store3(v_colors, row, stored, parts)
            if seen and degree > 0:
                r, g, b = load3(colors, row, used)
                store(weights, 0, r * v[0] + g * v[1] + b * v[2])
                dx, dy, dz = _slope(degree, x, y, z, weights)
                along = dx * x + dy * y + dz * z
                dx, dy, dz = (dx - along * x) * inverse, (dy - along * y) * inverse, (dz - along * z) * inverse
                v_means[3 * n] += dx
                v_means[3 * n + 1] += dy
                v_means[3 * n + 2] += dz
                v_cameras[c, CENTER] -= dx
                v_cameras[c, CENTER + 1] -= dy
                v_cameras[c, CENTER + 2] -= dz


@inner
def _through_clamp(shaded, v_shaded, seen, at):
    """Gradient of the colour before max(0, .); zero where culled."""
    zero = np.float32(0)
    return (
        v_shaded[at] if seen and shaded[at] > 0 else zero,
        v_shaded[at + 1] if seen and shaded[at + 1] > 0 else zero,
        v_shaded[at + 2] if seen and shaded[at + 2] > 0 else zero,
    )
