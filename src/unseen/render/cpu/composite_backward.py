"""Gradients of compositing, front to back as forward went, one block of 16 pixels at a time.

With B the part of L that lies behind the current Gaussian (less dL/dA times the final transmittance),

    dL/d alpha = T k - B / (1 - alpha),   k = sum_c dL/dC_c colour_c,   B -= alpha T k,   T *= 1 - alpha

so nothing is stored per pixel and Gaussian. Sums over a tile's pixels go to the private slot of the (tile, Gaussian)
pair. A block's values are T, B and dL/dC.
"""

import numpy as np

from unseen.render.cpu.layout import BLOCK, ELLIPSE, MOMENTS, TILE, TILE_BLOCKS
from unseen.render.cpu.simd import (
    WIDTH,
    absolute,
    any_lane,
    borrowed,
    both,
    fma,
    inner,
    kernel,
    load,
    load_block1,
    load_block3,
    prefetch,
    quotient,
    select,
    splat,
    store,
    take_ticket,
    total,
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
from unseen.render.settings import ALPHA_MAX


@kernel
def composite_backward(
    counter, band, starts, visited, slot_starts, pair_gaussian, pair_mask, ellipses, colors, per_camera, cameras, shape,
    renders, alphas, v_renders, v_alphas, absgrad, slots, slot_floats, slot_of,
):  # fmt: skip
    """Backward. A work item is a tile; the pairs that forward visited have slots from `slot_starts[tile]` on. A slot
    of the flat `slots` has `slot_floats` numbers and gets the sums of its pair: moments, colours, and with `absgrad`
    the absolute gradients of the mean. `slot_of[pair]` says which slot, -1 for none. `v_alphas` without elements is
    zero."""
    pair_gaussian, pair_mask, ellipses, colors = (
        borrowed(pair_gaussian), borrowed(pair_mask), borrowed(ellipses), borrowed(colors)
    )  # fmt: skip
    renders, alphas, v_renders, v_alphas = borrowed(renders), borrowed(alphas), borrowed(v_renders), borrowed(v_alphas)
    slots, slot_of = borrowed(slots), borrowed(slot_of)
    height, width, channels = shape
    columns = (width + TILE - 1) // TILE
    n = ellipses.shape[0] // (ELLIPSE * cameras)
    stride = channels + 2
    state, corners = aligned(BLOCKS * stride * WIDTH), aligned(2 * WIDTH)
    sums = aligned(channels * WIDTH)
    while True:
        tile = take_ticket(counter)
        if tile >= starts.shape[0] - 1:
            break
        camera, x0, y0 = place(tile, columns, band)
        begin, stop = starts[tile], starts[tile + 1]
        for pair in range(begin, stop):
            slot_of[pair] = -1
        if visited[tile] == 0:
            continue
        live = open_tile(state, stride, x0, y0, width, height)
        _open_gradients(state, camera, x0, y0, shape, renders, alphas, v_renders, v_alphas)
        base = np.int64(0) if per_camera else camera * n
        for pair in range(begin, begin + visited[tile]):
            ahead = pair_gaussian[min(pair + AHEAD, stop - 1)]
            prefetch(ellipses, ahead * ELLIPSE)
            prefetch(colors, (ahead - base) * channels)
            mask = pair_mask[pair] & live
            if mask != 0:
                i = np.int64(pair_gaussian[pair])
                slot = slot_starts[tile] + pair - begin
                slot_of[pair] = slot
                if channels == 3 and not absgrad:
                    dead = _unblend3(
                        state, mask, ellipses, i, colors, (i - base) * 3, x0, y0, corners, slots, slot * slot_floats
                    )
                else:
                    dead = _unblend(
                        state, mask, ellipses, i, colors, (i - base) * channels, channels, x0, y0, corners, sums,
                        absgrad, slots, slot * slot_floats,
                    )  # fmt: skip
                live &= ~dead


@inner
def _open_gradients(state, camera, x0, y0, shape, renders, alphas, v_renders, v_alphas):
    """Per pixel: B at the front, and dL/dC."""
    height, width, channels = shape
    stride = channels + 2
    for block in range(BLOCKS):
        x, y = x0 + block % TILE_BLOCKS * BLOCK, y0 + block // TILE_BLOCKS * BLOCK
        at, pixel = block * stride * WIDTH, (camera * height + y) * width + x
        if channels == 3 and x + BLOCK <= width and y + BLOCK <= height:
            red, green, blue = load_block3(renders, pixel * 3, width * 3)
            v_red, v_green, v_blue = load_block3(v_renders, pixel * 3, width * 3)
            behind = fma(v_red, red, fma(v_green, green, v_blue * blue))
            if v_alphas.size > 0:
                (alpha,), (v_alpha,) = load_block1(alphas, pixel, width), load_block1(v_alphas, pixel, width)
                behind = behind - v_alpha * (F(1) - alpha)
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
    behind = F(0)
    if v_alphas.size > 0:
        behind -= v_alphas[pixel] * (F(1) - alphas[pixel])
    for c in range(channels):
        v = v_renders[pixel * channels + c]
        behind += v * renders[pixel * channels + c]
        state[at + (c + 2) * WIDTH] = v
    state[at + WIDTH] = behind


@inner
def _slope(free, alpha, before, alive, behind, k):
    """dL/d ln(alpha); 0 where the Gaussian does not reach, is capped or the pixel is done."""
    v_alpha = fma(before, k, quotient(behind, alpha - F(1)))
    counts = both(alive, free < splat(F(ALPHA_MAX)))
    return select(counts, v_alpha * alpha, splat(F(0)))


@inner
def _unblend3(state, mask, ellipses, i, colors, at_color, x0, y0, corners, slots, at_slot):
    """Backward of `_blend3`: sums into the slot; the mask of blocks that are done."""
    u_first, v_first, peak = start_pair(ellipses, i, x0, y0, corners)
    red, green, blue = splat(colors[at_color]), splat(colors[at_color + 1]), splat(colors[at_color + 2])
    zero = splat(F(0))
    s0, su, sv, suu, suv, svv, s_red, s_green, s_blue = zero, zero, zero, zero, zero, zero, zero, zero, zero
    dead = U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - U(1)
        u, v = whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(LOG2_ALPHA_MIN)):
            at = block * U(5 * WIDTH)
            before = load(state, at)
            free, alpha, weight, now, alive = pass_through(power, before)
            store(state, at, now)
            v_red, v_green = load(state, at + U(2 * WIDTH)), load(state, at + U(3 * WIDTH))
            v_blue = load(state, at + U(4 * WIDTH))
            k = fma(v_red, red, fma(v_green, green, v_blue * blue))
            behind = fma(-weight, k, load(state, at + U(WIDTH)))
            store(state, at + U(WIDTH), behind)
            g = _slope(free, alpha, before, alive, behind, k)
            gu, gv = g * u, g * v
            s0, su, sv = s0 + g, su + gu, sv + gv
            suu, suv, svv = fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv)
            s_red, s_green = fma(weight, v_red, s_red), fma(weight, v_green, s_green)
            s_blue = fma(weight, v_blue, s_blue)
            if not any_lane(alive):
                dead |= U(1) << block
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
    u_first, v_first, peak = start_pair(ellipses, i, x0, y0, corners)
    a, b, c = F(ellipses[i * ELLIPSE + 2]), F(ellipses[i * ELLIPSE + 3]), F(ellipses[i * ELLIPSE + 4])
    zero = splat(F(0))
    s0, su, sv, suu, suv, svv, abs_x, abs_y = zero, zero, zero, zero, zero, zero, zero, zero
    sums[:] = 0
    dead = U(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - U(1)
        u, v = whitened(u_first, v_first, corners, block)
        power = peak - fma(u, u, v * v)
        if any_lane(power >= splat(LOG2_ALPHA_MIN)):
            at = block * U((channels + 2) * WIDTH)
            before = load(state, at)
            free, alpha, weight, now, alive = pass_through(power, before)
            store(state, at, now)
            k = zero
            for channel in range(channels):
                v_color = load(state, at + U((channel + 2) * WIDTH))
                k = fma(v_color, splat(colors[at_color + channel]), k)
                store(sums, channel * WIDTH, fma(weight, v_color, load(sums, channel * WIDTH)))
            behind = fma(-weight, k, load(state, at + U(WIDTH)))
            store(state, at + U(WIDTH), behind)
            g = _slope(free, alpha, before, alive, behind, k)
            gu, gv = g * u, g * v
            s0, su, sv = s0 + g, su + gu, sv + gv
            suu, suv, svv = fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv)
            if absgrad:
                abs_x, abs_y = abs_x + absolute(gu * a), abs_y + absolute(fma(gu, splat(b), gv * c))
            if not any_lane(alive):
                dead |= U(1) << block
    _write_moments(slots, at_slot, s0, su, sv, suu, suv, svv)
    at_slot += MOMENTS
    for channel in range(channels):
        slots[at_slot + channel] = total(load(sums, channel * WIDTH))
    if absgrad:
        slots[at_slot + channels], slots[at_slot + channels + 1] = total(abs_x), total(abs_y)
    return dead
