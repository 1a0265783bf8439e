"""From samples to pixels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange


class View(NamedTuple):
    """What one camera sees.

    Attributes:
        color: linear RGB times coverage, [H, W, 3].
        alpha: coverage, [H, W].
        normals: unit normals in the camera frame, zero off the subject, [H, W, 3].
        ids, bary, depth: the samples, supersampled.
    """

    color: Float[np.ndarray, "H W 3"]
    alpha: Float[np.ndarray, "H W"]
    normals: Float[np.ndarray, "H W 3"]
    ids: Int[np.ndarray, "Hs Ws"]
    bary: Float[np.ndarray, "Hs Ws 3"]
    depth: Float[np.ndarray, "Hs Ws"]


def resolve(
    colors: Float[np.ndarray, "Hs Ws 3"],
    normals: Float[np.ndarray, "N 3"],
    faces: Int[np.ndarray, "F 3"],
    buffers: tuple[np.ndarray, np.ndarray, np.ndarray],
    supersampling: int,
) -> View:
    """Average the samples of each pixel.

    Args:
        colors: radiance of every sample, zero where nothing was hit.
        normals: per vertex, in the camera frame.
        faces: of the mesh that was drawn.
        buffers: face ids, barycentrics and depth of the samples.
        supersampling: samples per pixel along each axis.
    """
    height, width = (side // supersampling for side in colors.shape[:2])
    out = np.zeros((height, width, 7), np.float32)
    _resolve(colors, normals, faces, buffers[0], buffers[1], supersampling, out)
    return View(out[..., :3], out[..., 3], out[..., 4:], *buffers)


@njit(cache=True, parallel=True)
def _resolve(colors, normals, faces, ids, bary, factor, out):
    share = 1.0 / (factor * factor)
    for row in prange(out.shape[0]):
        for column in range(out.shape[1]):
            pixel = out[row, column]
            for y in range(row * factor, (row + 1) * factor):
                for x in range(column * factor, (column + 1) * factor):
                    f = ids[y, x]
                    if f < 0:
                        continue
                    pixel[3] += share
                    for c in range(3):
                        pixel[c] += share * colors[y, x, c]
                        for k in range(3):
                            pixel[4 + c] += bary[y, x, k] * normals[faces[f, k], c]
            length = np.sqrt(pixel[4] ** 2 + pixel[5] ** 2 + pixel[6] ** 2)
            if length > 0:
                for c in range(4, 7):
                    pixel[c] /= length
