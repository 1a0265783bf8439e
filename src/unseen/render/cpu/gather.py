"""Sums the slots of a Gaussian's (tile, Gaussian) pairs and turns the moments into gradients of its ellipse."""

import numpy as np

from unseen.render.cpu.layout import ELLIPSE, MOMENTS, SPAN, WHITEN
from unseen.render.cpu.simd import WIDTH, borrowed, inner, kernel, load, prefetch, splat, store, take_ticket

AHEAD = 16
"""Records or Gaussians ahead of the current one that are prefetched."""
_SPREAD = 1.0 / (WHITEN * WHITEN)


@kernel
def gather(
    counter, order, seen, first, count, places, slot_of, slots, width, ellipses, opacities2d, absgrad, more,
    v_means2d, v_covs2d, v_opacities2d, v_colors, v_abs,
):  # fmt: skip
    """Per flat (camera, Gaussian): gradients of its mean, 2D covariance (xx, xy, yy), opacity and colour, 0 where it
    is culled. With `more` they are added to what is there. `slots` is flat, of `width` floats each. A work item is a
    span of one camera's Gaussians, as they come for the culled, in depth order for the others."""
    order, first, count, places, slot_of, slots, ellipses = (
        borrowed(order), borrowed(first), borrowed(count), borrowed(places), borrowed(slot_of), borrowed(slots),
        borrowed(ellipses),
    )  # fmt: skip
    v_means2d, v_covs2d, v_opacities2d, v_colors, opacities2d = (
        borrowed(v_means2d), borrowed(v_covs2d), borrowed(v_opacities2d), borrowed(v_colors), borrowed(opacities2d)
    )  # fmt: skip
    cameras, n = order.shape
    channels = v_colors.shape[1]
    sums = np.zeros(width, np.float32)
    spans = (n + SPAN - 1) // SPAN
    while True:
        ticket = take_ticket(counter)
        if ticket >= cameras * spans:
            break
        c = ticket // spans
        start = (ticket - c * spans) * SPAN
        for place in range(c * n + start, c * n + min(start + SPAN, n)):
            if opacities2d[place] == 0 and not more:
                _write_zeros(place, v_means2d, v_covs2d, v_opacities2d, v_colors, v_abs)
        for s in range(start, min(start + SPAN, seen[c])):
            i = np.int64(order[c, s])
            ahead = np.int64(order[c, min(s + AHEAD, seen[c] - 1)])
            prefetch(ellipses, ahead * ELLIPSE)
            _sum_slots(first[c, s], count[c, s], places, slot_of, slots, width, sums)
            _write(sums, i, ellipses, opacities2d[i], more, v_means2d, v_covs2d, v_opacities2d)
            for j in range(channels):
                _put(v_colors, i, j, more, sums[MOMENTS + j])
            if absgrad:
                _put(v_abs, i, 0, more, _SPREAD * sums[MOMENTS + channels])
                _put(v_abs, i, 1, more, _SPREAD * sums[MOMENTS + channels + 1])


@inner
def _put(array, i, j, more, value):
    array[i, j] = value + array[i, j] if more else value


@inner
def _write_zeros(i, v_means2d, v_covs2d, v_opacities2d, v_colors, v_abs):
    zero = np.float32(0)
    v_means2d[i, 0], v_means2d[i, 1], v_opacities2d[i, 0] = zero, zero, zero
    v_covs2d[i, 0], v_covs2d[i, 1], v_covs2d[i, 2] = zero, zero, zero
    for j in range(v_colors.shape[1]):
        v_colors[i, j] = zero
    if v_abs.shape[0] > 0:
        v_abs[i, 0], v_abs[i, 1] = zero, zero


@inner
def _sum_slots(first, count, places, slot_of, slots, width, sums):
    """Sum of a Gaussian's slots, in the order of its records."""
    for part in range(0, width, WIDTH):
        value = splat(np.float32(0))
        for record in range(first, first + count):
            ahead = np.int64(places[min(record + AHEAD, places.shape[0] - 1)])  # anything, between the parts' records
            prefetch(slots, np.int64(slot_of[min(max(ahead, 0), slot_of.shape[0] - 1)]) * width + part)
            slot = np.int64(slot_of[places[record]])
            if slot >= 0:
                value = value + load(slots, slot * width + part)
        store(sums, part, value)


@inner
def _write(sums, i, ellipses, opacity, more, v_means2d, v_covs2d, v_opacities2d):
    """With L the whitening [[a, b], [0, c]] / WHITEN and M the second moments of u, v: dL/dmean = L^T (sum g u, sum g
    v) and dL/dS = L^T M L / 2, up to powers of WHITEN; no inverse and no difference of large numbers."""
    at = i * ELLIPSE
    a, b, c = ellipses[at + 2], ellipses[at + 3], ellipses[at + 4]
    u, v = np.float64(sums[1]), np.float64(sums[2])
    uu, uv, vv = np.float64(sums[3]), np.float64(sums[4]), np.float64(sums[5])
    _put(v_means2d, i, 0, more, _SPREAD * a * u)
    _put(v_means2d, i, 1, more, _SPREAD * (b * u + c * v))
    h = 0.5 * _SPREAD * _SPREAD
    _put(v_covs2d, i, 0, more, h * a * a * uu)
    _put(v_covs2d, i, 1, more, 2 * h * a * (b * uu + c * uv))
    _put(v_covs2d, i, 2, more, h * (b * b * uu + 2 * b * c * uv + c * c * vv))
    _put(v_opacities2d, i, 0, more, sums[0] / opacity)
