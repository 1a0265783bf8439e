"""From ellipses to depth-sorted lists of Gaussians per tile: one sort, one exact cover, one stable scatter."""

import math

import numba
import numpy as np

from unseen.render.cpu.layout import BLOCK, TILE, TILE_BLOCKS
from unseen.render.cpu.simd import take_ticket

DIGIT_BITS = 11
KEY_BITS = 3 * DIGIT_BITS
CHUNKS = 16
"""Parts of the depth-sorted Gaussians that are binned independently."""
SLACK = 1e-4
"""Added to the cover's log2 limit so that rounding in the compositing kernels finds nothing outside the cover."""
_LOG2_255 = math.log2(255.0)


@numba.njit(nogil=True, cache=True)
def sort_by_depth(counter, exact_depths, radii, ids, keys, spare_ids, spare_keys, order, seen):
    """Order each camera's visible Gaussians by depth, ties by index. A work item is a camera.

    Three stable counting passes over the leading 33 bits in which the depths differ, then an insertion pass that settles
    what those bits left equal. `order` [C, N] gets flat ids c N + n, `seen` [C] their number; the rest is scratch [C, N].
    """
    cameras, n = exact_depths.shape
    bits = exact_depths.view(np.uint64)
    counts = np.empty(1 << DIGIT_BITS, np.int64)
    while True:
        c = take_ticket(counter)
        if c >= cameras:
            break
        m = 0
        low, high = ~np.uint64(0), np.uint64(0)
        for i in range(n):
            if radii[c, i, 0] > 0:
                ids[c, m], keys[c, m] = c * n + i, bits[c, i]
                low, high = min(low, bits[c, i]), max(high, bits[c, i])
                m += 1
        seen[c] = m
        shift = np.uint64(0)
        while m > 0 and ((high - low) >> shift) >> np.uint64(KEY_BITS) != 0:
            shift += np.uint64(1)
        for i in range(m):
            keys[c, i] = (keys[c, i] - low) >> shift
        _counting_pass(keys[c], ids[c], spare_keys[c], spare_ids[c], m, 0, counts)
        _counting_pass(spare_keys[c], spare_ids[c], keys[c], ids[c], m, DIGIT_BITS, counts)
        _counting_pass(keys[c], ids[c], spare_keys[c], order[c], m, 2 * DIGIT_BITS, counts)
        _settle_ties(order[c], bits.reshape(-1), m)


@numba.njit(nogil=True, cache=True)
def _counting_pass(keys, ids, new_keys, new_ids, m, shift, counts):
    """One stable pass of a radix sort on the digit at `shift`."""
    digit = np.uint64((1 << DIGIT_BITS) - 1)
    by = np.uint64(shift)
    counts[:] = 0
    for i in range(m):
        counts[(keys[i] >> by) & digit] += 1
    position = 0
    for d in range(1 << DIGIT_BITS):
        count = counts[d]
        counts[d] = position
        position += count
    for i in range(m):
        d = (keys[i] >> by) & digit
        new_keys[counts[d]], new_ids[counts[d]] = keys[i], ids[i]
        counts[d] += 1


@numba.njit(nogil=True, cache=True)
def _settle_ties(order, bits, m):
    """Insertion sort by the full bits; nearly sorted already."""
    for i in range(1, m):
        mine = order[i]
        j = i
        while j > 0 and bits[order[j - 1]] > bits[mine]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = mine


@numba.njit(nogil=True, cache=True)
def cover(counter, order, seen, ellipses, columns, rows, width, height, tiles, masks, first, count, histogram, needed):
    """List the tiles and, in each, the 4x4 blocks whose pixel centres lie in a Gaussian's ellipse.

    A work item is one of CHUNKS equal parts of the sorted Gaussians; its records go to row `chunk` of `tiles` and `masks`
    in order; `needed[chunk]` counts them also when the row is too short, and the caller then tries again. Per Gaussian
    `first` gets the position of its first record in its row plus chunk * row length, `count` their number.
    """
    capacity = tiles.shape[1]
    while True:
        chunk = take_ticket(counter)
        if chunk >= CHUNKS:
            break
        histogram[chunk] = 0
        used = 0
        for c in range(order.shape[0]):
            for s in range(seen[c] * chunk // CHUNKS, seen[c] * (chunk + 1) // CHUNKS):
                i = order[c, s]
                found = _cover_one(
                    ellipses[i], c * columns * rows, columns, width, height, tiles[chunk], masks[chunk], used,
                    histogram[chunk],
                )  # fmt: skip
                first[i], count[i] = chunk * capacity + used, found
                used += found
        needed[chunk] = used


@numba.njit(nogil=True, cache=True)
def _span(e, limit, low, high):
    """Extent in x, relative to the mean, of the ellipse u^2 + v^2 <= limit between two heights; v is c dy."""
    reach = math.sqrt(limit)
    widest = -reach * e[3] / (e[4] * math.sqrt(e[3] * e[3] + e[4] * e[4]))  # dy of the rightmost point
    right_dy, left_dy = min(max(widest, low), high), min(max(-widest, low), high)
    right = math.sqrt(max(limit - e[4] * e[4] * right_dy * right_dy, 0.0)) - e[3] * right_dy
    left = -math.sqrt(max(limit - e[4] * e[4] * left_dy * left_dy, 0.0)) - e[3] * left_dy
    return left / e[2], right / e[2]


@numba.njit(nogil=True, cache=True)
def _cover_one(e, base, columns, width, height, tiles, masks, used, histogram):
    """Append the records of one Gaussian; their number."""
    limit = e[5] + _LOG2_255 + SLACK
    reach = math.sqrt(limit) / e[4]
    top = max(math.ceil(e[1] - reach - 0.5), 0)
    bottom = min(math.floor(e[1] + reach - 0.5), height - 1)
    if top > bottom:
        return 0
    found = 0
    lefts, rights = np.empty(TILE_BLOCKS, np.int64), np.empty(TILE_BLOCKS, np.int64)
    for tile_row in range(int(top) // TILE, int(bottom) // TILE + 1):
        first_column, last_column = columns, -1
        for strip in range(TILE_BLOCKS):
            y = tile_row * TILE + strip * BLOCK
            lefts[strip], rights[strip] = 1, 0
            if y > bottom or y + BLOCK - 1 < top:
                continue
            low, high = max(y + 0.5 - e[1], -reach), min(y + BLOCK - 0.5 - e[1], reach)
            left, right = _span(e, limit, low, high)
            first_pixel = max(math.ceil(e[0] + left - 0.5), 0)
            last_pixel = min(math.floor(e[0] + right - 0.5), width - 1)
            if first_pixel > last_pixel:
                continue
            lefts[strip], rights[strip] = int(first_pixel) // BLOCK, int(last_pixel) // BLOCK
            first_column = min(first_column, lefts[strip] // TILE_BLOCKS)
            last_column = max(last_column, rights[strip] // TILE_BLOCKS)
        for column in range(first_column, last_column + 1):
            mask = np.uint64(0)
            for strip in range(TILE_BLOCKS):
                begin = max(lefts[strip] - column * TILE_BLOCKS, 0)
                end = min(rights[strip] - column * TILE_BLOCKS, TILE_BLOCKS - 1)
                if begin <= end:
                    bits = (np.uint64(1) << np.uint64(end + 1)) - (np.uint64(1) << np.uint64(begin))
                    mask |= bits << np.uint64(strip * TILE_BLOCKS)
            if mask != 0:
                tile = base + tile_row * columns + column
                if used + found < tiles.shape[0]:
                    tiles[used + found], masks[used + found] = tile, mask
                histogram[tile] += 1
                found += 1
    return found


@numba.njit(nogil=True, cache=True)
def start_tiles(histogram, starts):
    """Turn counts per (chunk, tile) into the first position of each; `starts` [tiles + 1] gets where tiles begin."""
    position = 0
    for tile in range(histogram.shape[1]):
        starts[tile] = position
        for chunk in range(histogram.shape[0]):
            count = histogram[chunk, tile]
            histogram[chunk, tile] = position
            position += count
    starts[histogram.shape[1]] = position


@numba.njit(nogil=True, cache=True)
def scatter(counter, order, seen, first, count, tiles, masks, histogram, pair_gaussian, pair_mask):
    """Write every record into its tile's list, keeping depth order; `tiles` is overwritten by the place it got."""
    flat_tiles, flat_masks = tiles.reshape(-1), masks.reshape(-1)
    while True:
        chunk = take_ticket(counter)
        if chunk >= CHUNKS:
            break
        cursor = histogram[chunk]
        for c in range(order.shape[0]):
            for s in range(seen[c] * chunk // CHUNKS, seen[c] * (chunk + 1) // CHUNKS):
                i = order[c, s]
                for record in range(first[i], first[i] + count[i]):
                    tile = flat_tiles[record]
                    place = cursor[tile]
                    cursor[tile] = place + 1
                    pair_gaussian[place], pair_mask[place] = i, flat_masks[record]
                    flat_tiles[record] = place
