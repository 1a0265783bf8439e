"""Sums the slots of a Gaussian's (tile, Gaussian) pairs and turns the moments into gradients of its ellipse."""

import numba
import numpy as np

from unseen.render.cpu.layout import MOMENTS, WHITEN
from unseen.render.cpu.simd import take_ticket

SPAN = 512
"""Gaussians per work item."""


@numba.njit(nogil=True, cache=True)
def gather(
    counter, radii, first, count, places, touched, slots, ellipses, opacities2d, absgrad,
    v_means2d, v_covs2d, v_opacities2d, v_colors, v_abs,
):  # fmt: skip
    """Per flat (camera, Gaussian): gradients of its mean, 2D covariance (xx, xy, yy), opacity and colour.

    With L the whitening [[a, b], [0, c]] / WHITEN and M the second moments of u, v: dL/dmean = L^T (sum g u, sum g v) and
    dL/dS = L^T M L / 2, up to powers of WHITEN; no inverse and no difference of large numbers.
    """
    channels = v_colors.shape[1]
    sums = np.empty(slots.shape[1])
    spread = 1.0 / (WHITEN * WHITEN)
    n = ellipses.shape[0]
    while True:
        start = take_ticket(counter) * SPAN
        if start >= n:
            break
        for i in range(start, min(start + SPAN, n)):
            sums[:] = 0
            if radii[i, 0] > 0:
                for record in range(first[i], first[i] + count[i]):
                    pair = places[record]
                    if touched[pair]:
                        for j in range(slots.shape[1]):
                            sums[j] += slots[pair, j]
                a, b, c = ellipses[i, 2], ellipses[i, 3], ellipses[i, 4]
                v_means2d[i, 0], v_means2d[i, 1] = spread * a * sums[1], spread * (b * sums[1] + c * sums[2])
                h = 0.5 * spread * spread
                v_covs2d[i, 0] = h * a * a * sums[3]
                v_covs2d[i, 1] = 2 * h * a * (b * sums[3] + c * sums[4])
                v_covs2d[i, 2] = h * (b * b * sums[3] + 2 * b * c * sums[4] + c * c * sums[5])
                v_opacities2d[i] = sums[0] / opacities2d[i]
            else:
                v_means2d[i], v_covs2d[i], v_opacities2d[i] = 0, 0, 0
            for j in range(channels):
                v_colors[i, j] = sums[MOMENTS + j]
            if absgrad:
                v_abs[i, 0], v_abs[i, 1] = spread * sums[MOMENTS + channels], spread * sums[MOMENTS + channels + 1]
