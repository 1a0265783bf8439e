"""Front-to-back compositing of depth-sorted tile lists, forward and backward, one block of 16 pixels at a time.

A pixel's transmittance is kept positive while it lives and turned negative when it is done. Backward walks the same
way: with B the part of L that lies behind the current Gaussian (less dL/dA times the final transmittance),

    dL/d alpha = T k - B / (1 - alpha),   k = sum_c dL/dC_c colour_c,   B -= alpha T k,   T *= 1 - alpha

so nothing is stored per pixel and Gaussian. Sums over a tile's pixels go to the private slot of the (tile, Gaussian)
pair. State is [block][value][pixel]: forward keeps T and the colours, backward T, B and dL/dC.
"""

import numpy as np

from unseen.render.cpu.layout import BLOCK, ELLIPSE, MOMENTS, TILE, TILE_BLOCKS
from unseen.render.cpu.simd import (
    WIDTH,
    absolute,
    any_lane,
    borrowed,
    both,
    exp2,
    fma,
    inner,
    kernel,
    load,
    load_block1,
    load_block3,
    minimum,
    prefetch,
    quotient,
    select,
    splat,
    store,
    store_block1,
    store_block3,
    take_ticket,
    total,
    trailing_zeros,
)
from unseen.render.settings import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN

_F, _U = np.float32, np.uint64
_LOG2_ALPHA_MIN = _F(np.log2(ALPHA_MIN))
_BLOCKS = TILE_BLOCKS * TILE_BLOCKS
_AHEAD = 6
"""Pairs ahead of the current one whose Gaussians are prefetched."""
_X = np.tile(np.arange(BLOCK, dtype=np.float32) + _F(0.5), BLOCK)
_Y = np.repeat(np.arange(BLOCK, dtype=np.float32) + _F(0.5), BLOCK)
_STEPS = np.arange(TILE_BLOCKS, dtype=np.float32) * BLOCK
_BLOCK_X = np.concatenate([_STEPS, np.zeros(TILE_BLOCKS, np.float32)])
_BLOCK_Y = np.concatenate([np.zeros(TILE_BLOCKS, np.float32), _STEPS])
_IS_X = np.repeat(np.array([1, 0], np.float32), TILE_BLOCKS)


@inner
def _aligned(count):
    """Zeroed float32 scratch whose first element starts a cache line."""
    space = np.zeros(count + 2 * WIDTH, np.float32)
    skip = (-(space.ctypes.data // 4)) % WIDTH
    return space[skip : skip + count]


@inner
def _place(tile, columns, rows):
    """Camera and the pixel coordinates of a tile's corner."""
    camera = tile // (columns * rows)
    rest = tile - camera * columns * rows
    return camera, (rest % columns) * TILE, (rest // columns) * TILE


@inner
def _open_tile(state, stride, x0, y0, width, height):
    """Zero the state; transmittance 1 inside the image and -1 outside. The mask of blocks inside."""
    state[:] = 0
    live = _U(0)
    for block in range(_BLOCKS):
        x, y = x0 + block % TILE_BLOCKS * BLOCK, y0 + block // TILE_BLOCKS * BLOCK
        at = block * stride * WIDTH
        store(state, at, splat(_F(1)))
        if x < width and y < height:
            live |= _U(1) << _U(block)
        if x + BLOCK > width or y + BLOCK > height:
            for lane in range(WIDTH):
                if x + lane % BLOCK >= width or y + lane // BLOCK >= height:
                    state[at + lane] = _F(-1)
    return live


@inner
def _start_pair(ellipses, i, x0, y0, corners):
    """u and v at the pixels of the tile's first block; `corners` gets what other columns and rows of blocks add.

    corners[0:8] is the part of u by block column, [8:16] by block row; [24:32] the part of v by block row.
    """
    at = i * ELLIPSE
    dx, dy = x0 - ellipses[at], y0 - ellipses[at + 1]
    a, b, c = ellipses[at + 2], ellipses[at + 3], ellipses[at + 4]
    u0, v0 = splat(a * dx + b * dy), splat(c * dy)
    a, b, c = splat(a), splat(b), splat(c)
    by_row = load(_BLOCK_Y, 0)
    store(corners, 0, fma(a, load(_BLOCK_X, 0), fma(b, by_row, u0 * load(_IS_X, 0))))
    store(corners, WIDTH, fma(c, by_row, v0))
    return fma(a, load(_X, 0), b * load(_Y, 0)), c * load(_Y, 0), splat(ellipses[at + 5])


@inner
def _whitened(u, v, corners, block):
    """u and v at the pixels of a block."""
    column, row = block & _U(TILE_BLOCKS - 1), block >> _U(3)
    by_row = splat(corners[row + _U(TILE_BLOCKS)])
    return u + splat(corners[column]) + by_row, v + splat(corners[row + _U(WIDTH + TILE_BLOCKS)])


@inner
def _pass_through(power, before):
    """One Gaussian at 16 pixels: its uncapped and its effective alpha, its weight alpha T, the transmittance it
    leaves and the mask of pixels still alive. Pixels it does not reach have alpha 0; pixels already done keep their
    negative T."""
    zero = splat(_F(0))
    free = exp2(power)
    alpha = select(power >= splat(_LOG2_ALPHA_MIN), minimum(free, splat(_F(ALPHA_MAX))), zero)
    share = alpha * before
    after = before - share
    alive = after > splat(_F(TRANSMITTANCE_MIN))
    return free, alpha, select(alive, share, zero), select(alive, after, -absolute(before)), alive


@kernel
def composite(
    counter,
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
    """Forward. A work item is a tile. `colors` is flat [cameras N or N, D], `ellipses` flat; `visited` [tiles] gets
    how many pairs were looked at."""
    pair_gaussian, pair_mask, ellipses, colors = (
        borrowed(pair_gaussian), borrowed(pair_mask), borrowed(ellipses), borrowed(colors)
    )  # fmt: skip
    renders, alphas, backgrounds = borrowed(renders), borrowed(alphas), borrowed(backgrounds)
    height, width, channels = shape
    cameras = backgrounds.shape[0]
    columns, rows = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    n = ellipses.shape[0] // (ELLIPSE * cameras)
    stride = channels + 1
    state, corners = _aligned(_BLOCKS * stride * WIDTH), _aligned(2 * WIDTH)
    while True:
        tile = take_ticket(counter)
        if tile >= cameras * columns * rows:
            break
        camera, x0, y0 = _place(tile, columns, rows)
        pair, stop = starts[tile], starts[tile + 1]
        visited[tile] = 0
        if pair == stop:
            _fill_tile(camera, x0, y0, shape, backgrounds, renders, alphas)
            continue
        live = _open_tile(state, stride, x0, y0, width, height)
        base = np.int64(0) if per_camera else camera * n
        while pair < stop and live != 0:
            ahead = pair_gaussian[min(pair + _AHEAD, stop - 1)]
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
    for block in range(_BLOCKS):
        x, y = x0 + block % TILE_BLOCKS * BLOCK, y0 + block // TILE_BLOCKS * BLOCK
        at, pixel = block * stride * WIDTH, (camera * height + y) * width + x
        if channels == 3 and x + BLOCK <= width and y + BLOCK <= height:
            left = absolute(load(state, at))
            red = fma(left, splat(backgrounds[camera, 0]), load(state, at + WIDTH))
            green = fma(left, splat(backgrounds[camera, 1]), load(state, at + 2 * WIDTH))
            blue = fma(left, splat(backgrounds[camera, 2]), load(state, at + 3 * WIDTH))
            store_block3(renders, pixel * 3, width * 3, (red, green, blue))
            store_block1(alphas, pixel, width, (_F(1) - left,))
        elif x < width and y < height:
            for lane in range(WIDTH):
                column, row = lane % BLOCK, lane // BLOCK
                if x + column < width and y + row < height:
                    place = pixel + row * width + column
                    left_over = abs(state[at + lane])
                    alphas[place] = _F(1) - left_over
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
            alphas[pixel] = _F(0)
            for c in range(channels):
                renders[pixel * channels + c] = backgrounds[camera, c]


@inner
def _blend3(state, mask, ellipses, i, colors, at_color, x0, y0, corners):
    """Composite Gaussian i over the masked blocks of a tile of three channels; the mask of blocks that are done."""
    u_first, v_first, peak = _start_pair(ellipses, i, x0, y0, corners)
    red, green, blue = splat(colors[at_color]), splat(colors[at_color + 1]), splat(colors[at_color + 2])
    dead = _U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - _U(1)
        u, v = _whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(_LOG2_ALPHA_MIN)):
            at = block * _U(4 * WIDTH)
            _, _, weight, now, alive = _pass_through(power, load(state, at))
            store(state, at, now)
            for_red, for_green, for_blue = at + _U(WIDTH), at + _U(2 * WIDTH), at + _U(3 * WIDTH)
            store(state, for_red, fma(weight, red, load(state, for_red)))
            store(state, for_green, fma(weight, green, load(state, for_green)))
            store(state, for_blue, fma(weight, blue, load(state, for_blue)))
            if not any_lane(alive):
                dead |= _U(1) << block
    return dead


@inner
def _blend(state, mask, ellipses, i, colors, at_color, channels, x0, y0, corners):
    """`_blend3` for any number of channels."""
    u_first, v_first, peak = _start_pair(ellipses, i, x0, y0, corners)
    dead = _U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - _U(1)
        u, v = _whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(_LOG2_ALPHA_MIN)):
            at = block * _U((channels + 1) * WIDTH)
            _, _, weight, now, alive = _pass_through(power, load(state, at))
            store(state, at, now)
            for channel in range(channels):
                place = at + _U((channel + 1) * WIDTH)
                store(state, place, fma(weight, splat(colors[at_color + channel]), load(state, place)))
            if not any_lane(alive):
                dead |= _U(1) << block
    return dead


@kernel
def composite_backward(
    counter, starts, visited, pair_gaussian, pair_mask, ellipses, colors, per_camera, cameras, shape,
    renders, alphas, v_renders, v_alphas, absgrad, slots, touched,
):  # fmt: skip
    """Backward. A work item is a tile. Slot p of the flat `slots` gets the sums of pair p: moments, colours, and with
    `absgrad` the absolute gradients of the mean; `touched[p]` says whether it was written. `v_alphas` without
    elements is zero."""
    pair_gaussian, pair_mask, ellipses, colors = (
        borrowed(pair_gaussian), borrowed(pair_mask), borrowed(ellipses), borrowed(colors)
    )  # fmt: skip
    renders, alphas, v_renders, v_alphas = borrowed(renders), borrowed(alphas), borrowed(v_renders), borrowed(v_alphas)
    slots, touched = borrowed(slots), borrowed(touched)
    height, width, channels = shape
    columns, rows = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    n = ellipses.shape[0] // (ELLIPSE * cameras)
    stride, slot_floats = channels + 2, slots.shape[0] // max(touched.shape[0], 1)
    state, corners = _aligned(_BLOCKS * stride * WIDTH), _aligned(2 * WIDTH)
    sums = _aligned(channels * WIDTH)
    while True:
        tile = take_ticket(counter)
        if tile >= cameras * columns * rows:
            break
        camera, x0, y0 = _place(tile, columns, rows)
        begin, stop = starts[tile], starts[tile + 1]
        touched[begin:stop] = 0
        if visited[tile] == 0:
            continue
        live = _open_tile(state, stride, x0, y0, width, height)
        _open_gradients(state, camera, x0, y0, shape, renders, alphas, v_renders, v_alphas)
        base = np.int64(0) if per_camera else camera * n
        for pair in range(begin, begin + visited[tile]):
            ahead = pair_gaussian[min(pair + _AHEAD, stop - 1)]
            prefetch(ellipses, ahead * ELLIPSE)
            prefetch(colors, (ahead - base) * channels)
            mask = pair_mask[pair] & live
            if mask != 0:
                i = np.int64(pair_gaussian[pair])
                if channels == 3 and not absgrad:
                    dead = _unblend3(
                        state, mask, ellipses, i, colors, (i - base) * 3, x0, y0, corners, slots, pair * slot_floats
                    )
                else:
                    dead = _unblend(
                        state, mask, ellipses, i, colors, (i - base) * channels, channels, x0, y0, corners, sums,
                        absgrad, slots, pair * slot_floats,
                    )  # fmt: skip
                touched[pair] = 1
                live &= ~dead


@inner
def _open_gradients(state, camera, x0, y0, shape, renders, alphas, v_renders, v_alphas):
    """Per pixel: B at the front, and dL/dC."""
    height, width, channels = shape
    stride = channels + 2
    for block in range(_BLOCKS):
        x, y = x0 + block % TILE_BLOCKS * BLOCK, y0 + block // TILE_BLOCKS * BLOCK
        at, pixel = block * stride * WIDTH, (camera * height + y) * width + x
        if channels == 3 and x + BLOCK <= width and y + BLOCK <= height:
            red, green, blue = load_block3(renders, pixel * 3, width * 3)
            v_red, v_green, v_blue = load_block3(v_renders, pixel * 3, width * 3)
            behind = fma(v_red, red, fma(v_green, green, v_blue * blue))
            if v_alphas.size > 0:
                (alpha,), (v_alpha,) = load_block1(alphas, pixel, width), load_block1(v_alphas, pixel, width)
                behind = behind - v_alpha * (_F(1) - alpha)
            store(state, at + WIDTH, behind)
            store(state, at + 2 * WIDTH, v_red)
            store(state, at + 3 * WIDTH, v_green)
            store(state, at + 4 * WIDTH, v_blue)
        elif x < width and y < height:
            for lane in range(WIDTH):
                column, row = lane % BLOCK, lane // BLOCK
                if x + column < width and y + row < height:
                    _open_pixel(
                        state, at + lane, pixel + row * width + column, channels, renders, alphas, v_renders, v_alphas
                    )


@inner
def _open_pixel(state, at, pixel, channels, renders, alphas, v_renders, v_alphas):
    """`_open_gradients` of one pixel."""
    behind = _F(0)
    if v_alphas.size > 0:
        behind -= v_alphas[pixel] * (_F(1) - alphas[pixel])
    for c in range(channels):
        v = v_renders[pixel * channels + c]
        behind += v * renders[pixel * channels + c]
        state[at + (c + 2) * WIDTH] = v
    state[at + WIDTH] = behind


@inner
def _slope(free, alpha, before, alive, behind, k):
    """dL/d ln(alpha); 0 where the Gaussian does not reach, is capped or the pixel is done."""
    v_alpha = fma(before, k, quotient(behind, alpha - _F(1)))
    counts = both(alive, free < splat(_F(ALPHA_MAX)))
    return select(counts, v_alpha * alpha, splat(_F(0)))


@inner
def _unblend3(state, mask, ellipses, i, colors, at_color, x0, y0, corners, slots, at_slot):
    """Backward of `_blend3`: sums into the slot; the mask of blocks that are done."""
    u_first, v_first, peak = _start_pair(ellipses, i, x0, y0, corners)
    red, green, blue = splat(colors[at_color]), splat(colors[at_color + 1]), splat(colors[at_color + 2])
    zero = splat(_F(0))
    s0, su, sv, suu, suv, svv, s_red, s_green, s_blue = zero, zero, zero, zero, zero, zero, zero, zero, zero
    dead = _U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - _U(1)
        u, v = _whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(_LOG2_ALPHA_MIN)):
            at = block * _U(5 * WIDTH)
            before = load(state, at)
            free, alpha, weight, now, alive = _pass_through(power, before)
            store(state, at, now)
            v_red, v_green = load(state, at + _U(2 * WIDTH)), load(state, at + _U(3 * WIDTH))
            v_blue = load(state, at + _U(4 * WIDTH))
            k = fma(v_red, red, fma(v_green, green, v_blue * blue))
            behind = fma(-weight, k, load(state, at + _U(WIDTH)))
            store(state, at + _U(WIDTH), behind)
            g = _slope(free, alpha, before, alive, behind, k)
            gu, gv = g * u, g * v
            s0, su, sv = s0 + g, su + gu, sv + gv
            suu, suv, svv = fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv)
            s_red, s_green = fma(weight, v_red, s_red), fma(weight, v_green, s_green)
            s_blue = fma(weight, v_blue, s_blue)
            if not any_lane(alive):
                dead |= _U(1) << block
    _write_moments(slots, at_slot, s0, su, sv, suu, suv, svv)
    at_slot += MOMENTS
    slots[at_slot], slots[at_slot + 1], slots[at_slot + 2] = total(s_red), total(s_green), total(s_blue)
    return dead


@inner
def _write_moments(slots, at, s0, su, sv, suu, suv, svv):
    slots[at], slots[at + 1], slots[at + 2] = total(s0), total(su), total(sv)
    slots[at + 3], slots[at + 4], slots[at + 5] = total(suu), total(suv), total(svv)


@inner
def _unblend(state, mask, ellipses, i, colors, at_color, channels, x0, y0, corners, sums, absgrad, slots, at_slot):
    """`_unblend3` for any number of channels, and with absolute gradients of the mean."""
    u_first, v_first, peak = _start_pair(ellipses, i, x0, y0, corners)
    a, b, c = _F(ellipses[i * ELLIPSE + 2]), _F(ellipses[i * ELLIPSE + 3]), _F(ellipses[i * ELLIPSE + 4])
    zero = splat(_F(0))
    s0, su, sv, suu, suv, svv, abs_x, abs_y = zero, zero, zero, zero, zero, zero, zero, zero
    sums[:] = 0
    dead = _U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - _U(1)
        u, v = _whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(_LOG2_ALPHA_MIN)):
            at = block * _U((channels + 2) * WIDTH)
            before = load(state, at)
            free, alpha, weight, now, alive = _pass_through(power, before)
            store(state, at, now)
            k = zero
            for channel in range(channels):
                v_color = load(state, at + _U((channel + 2) * WIDTH))
                k = fma(v_color, splat(colors[at_color + channel]), k)
                store(sums, channel * WIDTH, fma(weight, v_color, load(sums, channel * WIDTH)))
            behind = fma(-weight, k, load(state, at + _U(WIDTH)))
            store(state, at + _U(WIDTH), behind)
            g = _slope(free, alpha, before, alive, behind, k)
            gu, gv = g * u, g * v
            s0, su, sv = s0 + g, su + gu, sv + gv
            suu, suv, svv = fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv)
            if absgrad:
                abs_x, abs_y = abs_x + absolute(gu * a), abs_y + absolute(fma(gu, splat(b), gv * c))
            if not any_lane(alive):
                dead |= _U(1) << block
    _write_moments(slots, at_slot, s0, su, sv, suu, suv, svv)
    at_slot += MOMENTS
    for channel in range(channels):
        slots[at_slot + channel] = total(load(sums, channel * WIDTH))
    if absgrad:
        slots[at_slot + channels], slots[at_slot + channels + 1] = total(abs_x), total(abs_y)
    return dead
