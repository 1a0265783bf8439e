"""From depth-sorted ellipses to lists of Gaussians per tile: one exact cover, one stable scatter."""

import math

import numpy as np

from unseen.render.cpu.layout import BLOCK, ELLIPSE, TILE, TILE_BLOCKS
from unseen.render.cpu.simd import (
    WIDTH,
    block_rows,
    borrowed,
    fma,
    inner,
    kernel,
    load,
    maximum,
    minimum,
    prefetch,
    select,
    splat,
    sqrt,
    take_ticket,
)

CHUNKS = 16
"""Parts of the depth-sorted Gaussians that are binned independently."""
AHEAD = 12
"""Gaussians ahead of the current one that are prefetched: depth order is random order in memory."""
PAD = 2e-3
"""Pixels added on both sides of a strip for rounding."""
_STRIPS = (np.arange(WIDTH) * BLOCK).astype(np.float32)


@kernel
def cover(counter, order, seen, ellipses, band, columns, tiles, masks, first, count, histogram, needed):
    """List the tiles and, in each, the 4 x 4 blocks that a Gaussian's ellipse touches, within `band`: the first row of
    tiles and the one after the last.

    A work item is one of CHUNKS equal parts of the sorted Gaussians; its records go to row `chunk` of `tiles` and
    `masks` in order; `needed[chunk]` counts them also when the row is too short, and the caller then tries again. Per
    sorted Gaussian (as in `order`) `first` gets the flat position of its first record, `count` their number.
    """
    capacity = tiles.shape[1]
    ellipses = borrowed(ellipses)
    while True:
        chunk = take_ticket(counter)
        if chunk >= CHUNKS:
            break
        own_tiles, own_masks, own_histogram = borrowed(tiles[chunk]), borrowed(masks[chunk]), borrowed(histogram[chunk])
        own_histogram[:] = 0
        used = 0
        for c in range(order.shape[0]):
            base = (c * (band[1] - band[0]) - band[0]) * columns
            for s in range(seen[c] * chunk // CHUNKS, seen[c] * (chunk + 1) // CHUNKS):
                i = np.int64(order[c, s])
                prefetch(ellipses, np.int64(order[c, min(s + AHEAD, seen[c] - 1)]) * ELLIPSE)
                found = _cover_one(
                    ellipses, i * ELLIPSE, base, columns, band, own_tiles, own_masks, used, own_histogram
                )
                first[c, s], count[c, s] = chunk * capacity + used, found
                used += found
        needed[chunk] = used


@inner
def _cover_one(ellipses, at, base, columns, band, tiles, masks, used, histogram):
    """Append the records of one Gaussian; their number. A vector is 16 strips of blocks: two rows of tiles."""
    x, y, a, b, c = ellipses[at], ellipses[at + 1], ellipses[at + 2], ellipses[at + 3], ellipses[at + 4]
    limit = ellipses[at + 6]
    inverse_a, inverse_c = 1.0 / a, 1.0 / c
    root = math.sqrt(b * b + c * c)
    reach_x, reach_y = limit * root * inverse_a * inverse_c, limit * inverse_c
    widest = -limit * b * inverse_c / root  # dy of the rightmost point
    slope = b * inverse_a
    first_row, last_row = _tile_range(y, reach_y, band[0], band[1])
    first_column, last_column = _tile_range(x, reach_x, 0, columns)
    rounding = PAD + 1e-6 * (abs(x) + reach_x + abs(slope) * (abs(y) + reach_y))
    left_edge = (x - rounding - (BLOCK - 0.5) - first_column * TILE) / BLOCK
    right_edge = (x + rounding - 0.5 - first_column * TILE) / BLOCK
    found = 0
    for row in range(first_row, last_row + 1, 2):
        low = load(_STRIPS, 0) + (row * TILE + 0.5 - y)
        high = minimum(low + (BLOCK - 1.0), splat(reach_y))
        low = maximum(low, splat(-reach_y))
        outside = low > high
        dy_right = maximum(minimum(splat(widest), high), low)
        dy_left = maximum(minimum(splat(-widest), high), low)
        right = fma(_half_chord(limit, c, dy_right), splat(inverse_a / BLOCK), dy_right * (-slope / BLOCK))
        left = fma(_half_chord(limit, c, dy_left), splat(-inverse_a / BLOCK), dy_left * (-slope / BLOCK))
        begin, end = select(outside, splat(1e9), left + left_edge), right + right_edge
        for column in range(first_column, last_column + 1):
            shift = np.float32((column - first_column) * TILE_BLOCKS)
            upper, lower = block_rows(begin - shift, end - shift)
            tile = base + row * columns + column
            if upper != 0:
                found += _append(tiles, masks, used + found, tile, upper, histogram)
            if lower != 0 and row < last_row:
                found += _append(tiles, masks, used + found, tile + columns, lower, histogram)
    return found


@inner
def _tile_range(center, reach, begin, end):
    """First and last of the tiles from `begin` to before `end` that an interval touches; the last is less than the
    first when none is."""
    low, high = max(center - reach, begin * float(TILE)), min(center + reach, end * TILE - 1.0)
    return np.int64(low) // TILE, np.int64(np.floor(high / TILE))


@inner
def _half_chord(limit, c, dy):
    """sqrt(limit^2 - (c dy)^2), in units of u."""
    v = dy * c
    return sqrt(maximum(splat(limit * limit) - v * v, splat(0.0)))


@inner
def _append(tiles, masks, place, tile, mask, histogram):
    histogram[tile] += 1
    if place < tiles.shape[0]:
        tiles[place], masks[place] = tile, mask
    return 1


@kernel
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


@kernel
def scatter(counter, order, seen, first, count, tiles, masks, histogram, pair_gaussian, pair_mask):
    """Write every record into its tile's list, keeping depth order; the flat `tiles` is overwritten by the place it
    got."""
    while True:
        chunk = take_ticket(counter)
        if chunk >= CHUNKS:
            break
        cursor = histogram[chunk]
        for c in range(order.shape[0]):
            for s in range(seen[c] * chunk // CHUNKS, seen[c] * (chunk + 1) // CHUNKS):
                for record in range(first[c, s], first[c, s] + count[c, s]):
                    tile = tiles[record]
                    place = cursor[tile]
                    cursor[tile] = place + 1
                    pair_gaussian[place], pair_mask[place] = order[c, s], masks[record]
                    tiles[record] = place
