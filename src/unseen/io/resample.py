"""Resampling a picture, as its lens projected it, to a pinhole of any smaller size."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float32, UInt8
from numba import njit

from unseen.core.camera import Camera
from unseen.io.lens import Lens

_NUM_RADIAL, _NUM_DENOMINATOR = 4, 3


def resample_area(image: UInt8[np.ndarray, "H W C"], lens: Lens, camera: Camera) -> UInt8[np.ndarray, "h w C"]:
    """What a pinhole camera sees of a picture: each pixel the mean of bilinear samples, as many as it covers pixels.

    Colours are weighted by a fourth channel, alpha. Beyond its edge the picture continues with its outermost pixels.

    Args:
        image: of 1, 3 or 4 channels, at the size of `lens`.
        lens: how it was projected.
        camera: same centre and axes; its resolution may be lower.
    """
    focal = float(camera.K[0, 0]), float(camera.K[1, 1])
    side = max(1, math.ceil(max(lens.focal[0] / focal[0], lens.focal[1] / focal[1]) - 0.01))
    out = np.empty((camera.height, camera.width, image.shape[2]), np.uint8)
    _area(np.ascontiguousarray(image), _packed(lens), lens.fisheye, _inverse(camera), side, out)
    return out


def resample_nearest(image: Float32[np.ndarray, "H W"], lens: Lens, camera: Camera) -> Float32[np.ndarray, "h w"]:
    """What a pinhole camera sees of a map of values that must not be mixed, such as depth; 0 outside of it."""
    out = np.empty((camera.height, camera.width), np.float32)
    _nearest(np.ascontiguousarray(image), _packed(lens), lens.fisheye, _inverse(camera), out)
    return out


def _packed(lens: Lens) -> np.ndarray:
    """Focal lengths, centre, 4 + 3 radial coefficients, tangential, prism."""
    top = (*lens.numerator, 0.0, 0.0, 0.0, 0.0)[:_NUM_RADIAL]
    bottom = (*lens.denominator, 0.0, 0.0, 0.0)[:_NUM_DENOMINATOR]
    return np.array([*lens.focal, *lens.center, *top, *bottom, *lens.tangential, *lens.prism])


def _inverse(camera: Camera) -> np.ndarray:
    """Focal lengths and centre of the pinhole."""
    k = camera.K.detach().cpu().double()
    return np.array([float(k[0, 0]), float(k[1, 1]), float(k[0, 2]), float(k[1, 2])])


@njit(inline="always")
def _land(x, y, p, fisheye):
    """Pixel of the ray (x, y, 1); `Lens._distort`."""
    if fisheye:
        radius = math.sqrt(x * x + y * y)
        factor = math.atan(radius) / radius if radius > 1e-9 else 1.0
        x, y = x * factor, y * factor
    r = x * x + y * y
    top = 1 + r * (p[4] + r * (p[5] + r * (p[6] + r * p[7])))
    radial = top / (1 + r * (p[8] + r * (p[9] + r * p[10])))
    dx = x * radial + 2 * p[11] * x * y + p[12] * (r + 2 * x * x) + p[13] * r
    dy = y * radial + 2 * p[12] * x * y + p[11] * (r + 2 * y * y) + p[14] * r
    return p[0] * dx + p[2], p[1] * dy + p[3]


@njit(cache=True, nogil=True)
def _area(image, lens, fisheye, pinhole, side, out):
    height, width, channels = image.shape
    total = np.empty(5)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            total[:] = 0
            for sample in range(side * side):
                x = (column + (sample % side + 0.5) / side - pinhole[2]) / pinhole[0]
                y = (row + (sample // side + 0.5) / side - pinhole[3]) / pinhole[1]
                u, v = _land(x, y, lens, fisheye)
                u, v = min(max(u - 0.5, 0.0), width - 1.0), min(max(v - 0.5, 0.0), height - 1.0)
                left, above = min(int(u), max(width - 2, 0)), min(int(v), max(height - 2, 0))
                s, t = u - left, v - above
                for corner in range(4):
                    i, j = min(above + corner // 2, height - 1), min(left + corner % 2, width - 1)
                    weight = (t if corner // 2 else 1 - t) * (s if corner % 2 else 1 - s)
                    if channels == 4:
                        total[3] += weight * image[i, j, 3]
                        weight *= image[i, j, 3] + 1e-6  # where nothing covers the pixel, its colour is a plain mean
                    total[4] += weight
                    for c in range(min(channels, 3)):
                        total[c] += weight * image[i, j, c]
            for c in range(min(channels, 3)):
                out[row, column, c] = int(total[c] / total[4] + 0.5)
            if channels == 4:
                out[row, column, 3] = int(total[3] / (side * side) + 0.5)


@njit(cache=True, nogil=True)
def _nearest(image, lens, fisheye, pinhole, out):
    height, width = image.shape
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x = (column + 0.5 - pinhole[2]) / pinhole[0]
            y = (row + 0.5 - pinhole[3]) / pinhole[1]
            u, v = _land(x, y, lens, fisheye)
            j, i = math.floor(u), math.floor(v)
            out[row, column] = image[i, j] if 0 <= i < height and 0 <= j < width else 0.0
