"""The order of visible Gaussians by depth: spread over buckets of depth, then every bucket sorted by itself, by two
counting passes and a merge sort that finds little left to do.

All passes are shared out over threads. Ties keep the order of indices, so the result does not depend on how many.
"""

import numpy as np

from unseen.render.cpu.runtime import run, take
from unseen.render.cpu.simd import inner, kernel, take_ticket

PARTS = 8
"""Parts of a camera's Gaussians that are counted and spread independently."""
BUCKETS = 256
"""Buckets of depth: few enough to write to all at once, enough to share out."""
DIGITS = np.uint64(256)
FEW = 64
"""Gaussians that are merge sorted straight away."""
RUN = 16
"""Length of the pieces that insertion sorts before they are merged."""


def sort_by_depth(exact_depths: np.ndarray, radii: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Visible Gaussians by depth, ties by index.

    Args:
        exact_depths: [C, N] float64, positive where visible: the order of positive floats is that of their bits.
        radii: [C, N, 2], 0 where not visible.

    Returns:
        flat ids c N + n, [C, N] int32, of which each camera's first `seen` are set; seen [C].
    """
    shape = exact_depths.shape
    cameras = shape[0]
    bits = exact_depths.view(np.uint64)
    extremes, histogram = take((cameras, PARTS, 2), np.uint64), take((cameras, PARTS, BUCKETS), np.int32)
    keys, order, seen = take(shape, np.uint64), take(shape, np.int32), np.zeros(cameras, np.int64)
    spare_keys, spare_order = take(shape, np.uint64), take(shape, np.int32)
    run(_find_extremes, bits, radii, extremes)
    run(_count, bits, radii, extremes, histogram)
    run(_place, histogram, seen)
    run(_spread, bits, radii, extremes, histogram, keys, order)
    run(_sort_buckets, extremes, histogram, keys, order, spare_keys, spare_order)
    return order, seen


@inner
def _part(ticket, n):
    """Camera, part, and the part's first and last but one Gaussian."""
    c, part = ticket // PARTS, ticket % PARTS
    return c, part, n * part // PARTS, n * (part + 1) // PARTS


@kernel
def _find_extremes(counter, bits, radii, extremes):
    """Least and greatest depth of the visible; the least is above the greatest where there are none."""
    cameras, n = bits.shape
    while True:
        ticket = take_ticket(counter)
        if ticket >= cameras * PARTS:
            break
        c, part, start, stop = _part(ticket, n)
        low, high = ~np.uint64(0), np.uint64(0)
        for i in range(start, stop):
            if radii[c, i, 0] > 0:
                low, high = min(low, bits[c, i]), max(high, bits[c, i])
        extremes[c, part, 0], extremes[c, part, 1] = low, high


@inner
def _scale(extremes, c):
    """Least depth of a camera and the shift that turns distances from it into buckets."""
    low, high = ~np.uint64(0), np.uint64(0)
    for part in range(PARTS):
        low, high = min(low, extremes[c, part, 0]), max(high, extremes[c, part, 1])
    shift = np.uint64(0)
    while high > low and (high - low) >> shift >= np.uint64(BUCKETS):
        shift += np.uint64(1)
    return low, shift


@kernel
def _count(counter, bits, radii, extremes, histogram):
    """Visible Gaussians per bucket."""
    cameras, n = bits.shape
    while True:
        ticket = take_ticket(counter)
        if ticket >= cameras * PARTS:
            break
        c, part, start, stop = _part(ticket, n)
        low, shift = _scale(extremes, c)
        own = histogram[c, part]
        own[:] = 0
        for i in range(start, stop):
            if radii[c, i, 0] > 0:
                own[(bits[c, i] - low) >> shift] += 1


@kernel
def _place(counter, histogram, seen):
    """Turn counts into the first position of each (bucket, part). A work item is a camera."""
    while True:
        c = take_ticket(counter)
        if c >= histogram.shape[0]:
            break
        position = 0
        for bucket in range(histogram.shape[2]):
            for part in range(PARTS):
                count = histogram[c, part, bucket]
                histogram[c, part, bucket] = position
                position += count
        seen[c] = position


@kernel
def _spread(counter, bits, radii, extremes, histogram, keys, order):
    """Write depths and ids to their buckets in the order of indices; `histogram` ends as where each stops."""
    cameras, n = bits.shape
    while True:
        ticket = take_ticket(counter)
        if ticket >= cameras * PARTS:
            break
        c, part, start, stop = _part(ticket, n)
        low, shift = _scale(extremes, c)
        cursor = histogram[c, part]
        for i in range(start, stop):
            if radii[c, i, 0] > 0:
                bucket = (bits[c, i] - low) >> shift
                place = cursor[bucket]
                cursor[bucket] = place + 1
                keys[c, place], order[c, place] = bits[c, i], c * n + i


@kernel
def _sort_buckets(counter, extremes, histogram, keys, order, spare_keys, spare_order):
    """Sort each bucket by depth. A work item is a bucket."""
    counts = np.empty(DIGITS, np.int64)
    while True:
        ticket = take_ticket(counter)
        if ticket >= histogram.shape[0] * BUCKETS:
            break
        c, bucket = ticket // BUCKETS, ticket % BUCKETS
        stops = histogram[c, PARTS - 1]
        start, stop = np.int64(stops[bucket - 1]) if bucket > 0 else 0, np.int64(stops[bucket])
        if stop - start > FEW:
            low, shift = _scale(extremes, c)
            shift = shift - min(shift, np.uint64(16))
            _counting_pass(keys[c], order[c], spare_keys[c], spare_order[c], start, stop, low, shift, counts)
            shift += np.uint64(8)
            _counting_pass(spare_keys[c], spare_order[c], keys[c], order[c], start, stop, low, shift, counts)
        _merge_sort(keys[c], order[c], spare_keys[c], spare_order[c], start, stop)


@inner
def _counting_pass(keys, order, new_keys, new_order, start, stop, low, shift, counts):
    """One stable pass of a radix sort of a range on the digit at `shift` of the distance from `low`."""
    counts[:] = 0
    for i in range(start, stop):
        counts[((keys[i] - low) >> shift) % DIGITS] += 1
    position = start
    for digit in range(DIGITS):
        count = counts[digit]
        counts[digit] = position
        position += count
    for i in range(start, stop):
        digit = ((keys[i] - low) >> shift) % DIGITS
        place = counts[digit]
        counts[digit] = place + 1
        new_keys[place], new_order[place] = keys[i], order[i]


@inner
def _merge_sort(keys, order, spare_keys, spare_order, start, stop):
    """Stable sort of a range: pieces by insertion, then merged pairwise."""
    for piece in range(start, stop, RUN):
        _insertion_sort(keys, order, piece, min(piece + RUN, stop))
    length = RUN
    while length < stop - start:
        for piece in range(start, stop, 2 * length):
            _merge(
                keys, order, spare_keys, spare_order, piece, min(piece + length, stop), min(piece + 2 * length, stop)
            )
        length *= 2


@inner
def _insertion_sort(keys, order, start, stop):
    for i in range(start + 1, stop):
        key, mine = keys[i], order[i]
        j = i
        while j > start and keys[j - 1] > key:
            keys[j], order[j] = keys[j - 1], order[j - 1]
            j -= 1
        keys[j], order[j] = key, mine


@inner
def _merge(keys, order, spare_keys, spare_order, start, middle, stop):
    """Merge two sorted neighbours; nothing to do where they are in order."""
    if middle >= stop or keys[middle - 1] <= keys[middle]:
        return
    for i in range(start, middle):
        spare_keys[i], spare_order[i] = keys[i], order[i]
    left, right, place = start, middle, start
    while left < middle:
        if right < stop and keys[right] < spare_keys[left]:
            keys[place], order[place] = keys[right], order[right]
            right += 1
        else:
            keys[place], order[place] = spare_keys[left], spare_order[left]
            left += 1
        place += 1
