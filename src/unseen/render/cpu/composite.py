"""Front-to-back compositing of depth-sorted tile lists, forward, one block of 16 pixels at a time.

A block's values are its transmittance and its colours.
"""

import numpy as np

from unseen.render.cpu.layout import (
    BLOCK,
    ELLIPSE,
    TILE,
    TILE_BLOCKS,
)
from unseen.render.cpu.simd import (
    WIDTH,
    absolute,
    any_lane,
    borrowed,
    fma,
    inner,
    kernel,
    load,
    prefetch,
    splat,
    store,
    store_block1,
    store_block3,
    take_ticket,
    trailing_zeros,
)
from unseen.render.cpu.tile import (
    AHEAD,
    BLOCKS,
    LOG2_ALPHA_MIN,
    F,
    U,
    aligned,
    open_tile,
    pass_through,
    place,
    start_pair,
    whitened,
)


@kernel
def composite(
    counter,
    band,
    starts,
    pair_gaussian,
    pair_mask,
    ellipses,
    colors,
    per_camera,
    backgrounds,
    shape,
    renders,
    alphas,
    visited,
):
    """Forward. A work item is a tile; tiles are those of a band of rows, as in `binning.cover`. `colors` is flat
    [cameras N or N, D], `ellipses` flat; `visited` [tiles] gets how many pairs were looked at."""
    pair_gaussian, pair_mask, ellipses, colors = (
        borrowed(pair_gaussian), borrowed(pair_mask), borrowed(ellipses), borrowed(colors)
    )  # fmt: skip
    renders, alphas, backgrounds = borrowed(renders), borrowed(alphas), borrowed(backgrounds)
    height, width, channels = shape
    cameras = backgrounds.shape[0]
    columns = (width + TILE - 1) // TILE
    n = ellipses.shape[0] // (ELLIPSE * cameras)
    stride = channels + 1
    state, corners = aligned(BLOCKS * stride * WIDTH), aligned(2 * WIDTH)
    while True:
        tile = take_ticket(counter)
        if tile >= starts.shape[0] - 1:
            break
        camera, x0, y0 = place(tile, columns, band)
        pair, stop = starts[tile], starts[tile + 1]
        visited[tile] = 0
        if pair == stop:
            _fill_tile(camera, x0, y0, shape, backgrounds, renders, alphas)
            continue
        live = open_tile(state, stride, x0, y0, width, height)
        base = np.int64(0) if per_camera else camera * n
        while pair < stop and live != 0:
            ahead = pair_gaussian[min(pair + AHEAD, stop - 1)]
            prefetch(ellipses, ahead * ELLIPSE)
            prefetch(colors, (ahead - base) * channels)
            mask = pair_mask[pair] & live
            if mask != 0:
                i = np.int64(pair_gaussian[pair])
                if channels == 3:
                    live &= ~_blend3(state, mask, ellipses, i, colors, (i - base) * 3, x0, y0, corners)
                else:
                    live &= ~_blend(state, mask, ellipses, i, colors, (i - base) * channels, channels, x0, y0, corners)
            pair += 1
        visited[tile] = pair - starts[tile]
        _close_tile(state, camera, x0, y0, shape, backgrounds, renders, alphas)


@inner
def _close_tile(state, camera, x0, y0, shape, backgrounds, renders, alphas):
    """Write a finished tile into the flat images, over the background."""
    height, width, channels = shape
    stride = channels + 1
    for block in range(BLOCKS):
        x, y = x0 + block % TILE_BLOCKS * BLOCK, y0 + block // TILE_BLOCKS * BLOCK
        at, pixel = block * stride * WIDTH, (camera * height + y) * width + x
        if channels == 3 and x + BLOCK <= width and y + BLOCK <= height:
            left = absolute(load(state, at))
            red = fma(left, splat(backgrounds[camera, 0]), load(state, at + WIDTH))
            green = fma(left, splat(backgrounds[camera, 1]), load(state, at + 2 * WIDTH))
            blue = fma(left, splat(backgrounds[camera, 2]), load(state, at + 3 * WIDTH))
            store_block3(renders, pixel * 3, width * 3, (red, green, blue))
            store_block1(alphas, pixel, width, (F(1) - left,))
        elif x < width and y < height:
            for lane in range(WIDTH):
                column, row = lane % BLOCK, lane // BLOCK
                if x + column < width and y + row < height:
                    place = pixel + row * width + column
                    left_over = abs(state[at + lane])
                    alphas[place] = F(1) - left_over
                    for c in range(channels):
                        value = state[at + (c + 1) * WIDTH + lane] + left_over * backgrounds[camera, c]
                        renders[place * channels + c] = value


@inner
def _fill_tile(camera, x0, y0, shape, backgrounds, renders, alphas):
    """A tile without Gaussians: background, alpha 0."""
    height, width, channels = shape
    for y in range(y0, min(y0 + TILE, height)):
        for x in range(x0, min(x0 + TILE, width)):
            pixel = (camera * height + y) * width + x
            alphas[pixel] = F(0)
            for c in range(channels):
                renders[pixel * channels + c] = backgrounds[camera, c]


@inner
def _blend3(state, mask, ellipses, i, colors, at_color, x0, y0, corners):
    """Composite Gaussian i over the masked blocks of a tile of three channels; the mask of blocks that are done."""
    u_first, v_first, peak = start_pair(ellipses, i, x0, y0, corners)
    red, green, blue = splat(colors[at_color]), splat(colors[at_color + 1]), splat(colors[at_color + 2])
    dead = U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - U(1)
        u, v = whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(LOG2_ALPHA_MIN)):
            at = block * U(4 * WIDTH)
            _, _, weight, now, alive = pass_through(power, load(state, at))
            store(state, at, now)
            for_red, for_green, for_blue = at + U(WIDTH), at + U(2 * WIDTH), at + U(3 * WIDTH)
            store(state, for_red, fma(weight, red, load(state, for_red)))
            store(state, for_green, fma(weight, green, load(state, for_green)))
            store(state, for_blue, fma(weight, blue, load(state, for_blue)))
            if not any_lane(alive):
                dead |= U(1) << block
    return dead


@inner
def _blend(state, mask, ellipses, i, colors, at_color, channels, x0, y0, corners):
    """`_blend3` for any number of channels."""
    u_first, v_first, peak = start_pair(ellipses, i, x0, y0, corners)
    dead = U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - U(1)
        u, v = whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(LOG2_ALPHA_MIN)):
            at = block * U((channels + 1) * WIDTH)
            _, _, weight, now, alive = pass_through(power, load(state, at))
            store(state, at, now)
            for channel in range(channels):
                place = at + U((channel + 1) * WIDTH)
                store(state, place, fma(weight, splat(colors[at_color + channel]), load(state, place)))
            if not any_lane(alive):
                dead |= U(1) << block
    return dead
