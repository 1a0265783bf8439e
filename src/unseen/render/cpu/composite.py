"""Front-to-back compositing of depth-sorted tile lists, forward and backward, 16 pixels at a time.

A block's transmittance is kept positive while its pixels live and turned negative where they are done. Backward walks the
same way: with B the part of L that lies behind (and, minus dL/dA times the final transmittance, beyond) the current Gaussian,

    dL/d alpha = T k - B / (1 - alpha),   k = sum_c dL/dC_c colour_c,   B -= alpha T k,   T *= 1 - alpha

so nothing is stored per pixel and Gaussian. Sums over a tile's pixels go to the private slot of the (tile, Gaussian) pair.
"""

import numba
import numpy as np

from unseen.render.cpu.layout import BLOCK, MOMENTS, TILE, TILE_BLOCKS
from unseen.render.cpu.simd import (
    WIDTH,
    absolute,
    any_lane,
    both,
    exp2,
    fma,
    load,
    minimum,
    select,
    splat,
    store,
    take_ticket,
    total,
    trailing_zeros,
)
from unseen.render.settings import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN

_F = np.float32
_ALPHA_MAX, _T_MIN = _F(ALPHA_MAX), _F(TRANSMITTANCE_MIN)
_LOG2_ALPHA_MIN = _F(np.log2(ALPHA_MIN))
_BLOCKS = TILE_BLOCKS * TILE_BLOCKS
_X = np.tile(np.arange(BLOCK, dtype=np.float32) + _F(0.5), BLOCK)
_Y = np.repeat(np.arange(BLOCK, dtype=np.float32) + _F(0.5), BLOCK)


@numba.njit(nogil=True, cache=True)
def _corner(ellipse, x, y):
    """u and v at the pixel corner (x, y), the rest of the ellipse in float32."""
    dx, dy = x - ellipse[0], y - ellipse[1]
    return (
        _F(ellipse[2] * dx + ellipse[3] * dy), _F(ellipse[4] * dy),
        _F(ellipse[2]), _F(ellipse[3]), _F(ellipse[4]), _F(ellipse[5]),
    )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def _place(tile, columns, rows):
    """Camera and the pixel coordinates of a tile's corner."""
    camera = tile // (columns * rows)
    rest = tile - camera * columns * rows
    return camera, (rest % columns) * TILE, (rest // columns) * TILE


@numba.njit(nogil=True, cache=True)
def _open_tile(state, stride, x0, y0, width, height):
    """Set transmittance to 1 inside the image, -1 outside; the mask of blocks inside. State is [block][stride][lane]."""
    live = np.uint64(0)
    for block in range(_BLOCKS):
        x, y = x0 + block % TILE_BLOCKS * BLOCK, y0 + block // TILE_BLOCKS * BLOCK
        at = block * stride * WIDTH
        if x < width and y < height:
            live |= np.uint64(1) << np.uint64(block)
        for lane in range(WIDTH):
            inside = x + lane % BLOCK < width and y + lane // BLOCK < height
            state[at + lane] = _F(1) if inside else _F(-1)
    return live


@numba.njit(nogil=True, cache=True)
def composite(
    counter, starts, pair_gaussian, pair_mask, ellipses, colors, per_camera, backgrounds, renders, alphas, visited
):
    """Forward. A work item is a tile. `colors` [cameras N or N, D]; `visited` [tiles] gets how many pairs were looked at."""
    cameras, height, width, channels = renders.shape
    columns, rows = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    n = ellipses.shape[0] // cameras
    stride = channels + 1
    state = np.empty(_BLOCKS * stride * WIDTH, np.float32)
    while True:
        tile = take_ticket(counter)
        if tile >= cameras * columns * rows:
            break
        camera, x0, y0 = _place(tile, columns, rows)
        state[:] = 0
        live = _open_tile(state, stride, x0, y0, width, height)
        base = np.int64(0) if per_camera else camera * n
        pair = starts[tile]
        while pair < starts[tile + 1] and live != 0:
            mask = pair_mask[pair] & live
            if mask != 0:
                i = pair_gaussian[pair]
                if channels == 3:
                    dead = _blend3(state, mask, ellipses[i], colors[i - base], x0, y0)
                else:
                    dead = _blend(state, mask, ellipses[i], colors[i - base], x0, y0)
                live &= ~dead
            pair += 1
        visited[tile] = pair - starts[tile]
        _close_tile(state, stride, camera, x0, y0, backgrounds, renders, alphas)


@numba.njit(nogil=True, cache=True)
def _close_tile(state, stride, camera, x0, y0, backgrounds, renders, alphas):
    """Write a finished tile into the images, over the background."""
    height, width, channels = renders.shape[1:]
    for y in range(y0, min(y0 + TILE, height)):
        strip = (y - y0) // BLOCK * TILE_BLOCKS
        row = (y - y0) % BLOCK * BLOCK
        for x in range(x0, min(x0 + TILE, width)):
            at = (strip + (x - x0) // BLOCK) * stride * WIDTH + row + (x - x0) % BLOCK
            transmittance = abs(state[at])
            alphas[camera, y, x, 0] = _F(1) - transmittance
            for c in range(channels):
                renders[camera, y, x, c] = state[at + (c + 1) * WIDTH] + transmittance * backgrounds[camera, c]


@numba.njit(nogil=True, cache=True)
def _blend3(state, mask, ellipse, color, x0, y0):
    """Composite one Gaussian over the masked blocks of a tile with three channels; the mask of blocks that are done."""
    u0, v0, a, b, c, peak = _corner(ellipse, x0, y0)
    du, dv = fma(splat(a), load(_X, 0), splat(b) * load(_Y, 0)), splat(c) * load(_Y, 0)
    red, green, blue = splat(color[0]), splat(color[1]), splat(color[2])
    dead = np.uint64(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - np.uint64(1)
        at = block * np.uint64(4 * WIDTH)
        before = load(state, at)
        left, top = (
            _F(block % np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
            _F(block // np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
        )
        u, v = du + (u0 + a * left + b * top), dv + (v0 + c * top)
        power = fma(u * _F(-1), u, fma(v * _F(-1), v, splat(peak)))
        hit = both(power >= splat(_LOG2_ALPHA_MIN), before > splat(_F(0)))
        if any_lane(hit):
            alpha = minimum(exp2(power), splat(_ALPHA_MAX))
            after = fma(alpha * _F(-1), before, before)
            goes_on = after > splat(_T_MIN)
            weight = select(both(hit, goes_on), alpha * before, splat(_F(0)))
            now = select(hit, select(goes_on, after, before * _F(-1)), before)
            store(state, at, now)
            for_red, for_green, for_blue = at + np.uint64(WIDTH), at + np.uint64(2 * WIDTH), at + np.uint64(3 * WIDTH)
            store(state, for_red, fma(weight, red, load(state, for_red)))
            store(state, for_green, fma(weight, green, load(state, for_green)))
            store(state, for_blue, fma(weight, blue, load(state, for_blue)))
            if not any_lane(now > splat(_F(0))):
                dead |= np.uint64(1) << block
    return dead


@numba.njit(nogil=True, cache=True)
def _blend(state, mask, ellipse, color, x0, y0):
    """`_blend3` for any number of channels."""
    u0, v0, a, b, c, peak = _corner(ellipse, x0, y0)
    du, dv = fma(splat(a), load(_X, 0), splat(b) * load(_Y, 0)), splat(c) * load(_Y, 0)
    channels = color.shape[0]
    dead = np.uint64(0)
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - np.uint64(1)
        at = block * np.uint64((channels + 1) * WIDTH)
        before = load(state, at)
        left, top = (
            _F(block % np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
            _F(block // np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
        )
        u, v = du + (u0 + a * left + b * top), dv + (v0 + c * top)
        power = fma(u * _F(-1), u, fma(v * _F(-1), v, splat(peak)))
        hit = both(power >= splat(_LOG2_ALPHA_MIN), before > splat(_F(0)))
        if any_lane(hit):
            alpha = minimum(exp2(power), splat(_ALPHA_MAX))
            after = fma(alpha * _F(-1), before, before)
            goes_on = after > splat(_T_MIN)
            weight = select(both(hit, goes_on), alpha * before, splat(_F(0)))
            now = select(hit, select(goes_on, after, before * _F(-1)), before)
            store(state, at, now)
            for channel in range(channels):
                place = at + np.uint64((channel + 1) * WIDTH)
                store(state, place, fma(weight, splat(color[channel]), load(state, place)))
            if not any_lane(now > splat(_F(0))):
                dead |= np.uint64(1) << block
    return dead


@numba.njit(nogil=True, cache=True)
def composite_backward(
    counter, starts, visited, pair_gaussian, pair_mask, ellipses, colors, per_camera,
    renders, alphas, v_renders, v_alphas, absgrad, slots, touched,
):  # fmt: skip
    """Backward. A work item is a tile. Row p of `slots` gets the sums of pair p: moments, colours, and with `absgrad` the
    absolute gradients of the mean; `touched[p]` says whether it was written. `v_alphas` may have no elements: zero."""
    cameras, height, width, channels = renders.shape
    columns, rows = (width + TILE - 1) // TILE, (height + TILE - 1) // TILE
    n = ellipses.shape[0] // cameras
    stride = channels + 2
    state = np.empty(_BLOCKS * stride * WIDTH, np.float32)
    sums = np.empty(channels * WIDTH, np.float32)
    while True:
        tile = take_ticket(counter)
        if tile >= cameras * columns * rows:
            break
        camera, x0, y0 = _place(tile, columns, rows)
        touched[starts[tile] : starts[tile + 1]] = 0
        state[:] = 0
        live = _open_tile(state, stride, x0, y0, width, height)
        _open_gradients(state, camera, x0, y0, renders, alphas, v_renders, v_alphas)
        base = np.int64(0) if per_camera else camera * n
        for pair in range(starts[tile], starts[tile] + visited[tile]):
            mask = pair_mask[pair] & live
            if mask != 0:
                i = pair_gaussian[pair]
                if channels == 3 and not absgrad:
                    dead, written = _unblend3(state, mask, ellipses[i], colors[i - base], x0, y0, slots[pair])
                else:
                    dead, written = _unblend(
                        state, mask, ellipses[i], colors[i - base], x0, y0, sums, absgrad, slots[pair]
                    )
                touched[pair] = written
                live &= ~dead


@numba.njit(nogil=True, cache=True)
def _open_gradients(state, camera, x0, y0, renders, alphas, v_renders, v_alphas):
    """Per pixel: B at the front, and dL/dC."""
    height, width, channels = renders.shape[1:]
    for y in range(y0, min(y0 + TILE, height)):
        strip = (y - y0) // BLOCK * TILE_BLOCKS
        row = (y - y0) % BLOCK * BLOCK
        for x in range(x0, min(x0 + TILE, width)):
            at = (strip + (x - x0) // BLOCK) * (channels + 2) * WIDTH + row + (x - x0) % BLOCK
            behind = _F(0)
            if v_alphas.size > 0:
                behind -= v_alphas[camera, y, x, 0] * (_F(1) - alphas[camera, y, x, 0])
            for c in range(channels):
                v = v_renders[camera, y, x, c]
                behind += v * renders[camera, y, x, c]
                state[at + (c + 2) * WIDTH] = v
            state[at + WIDTH] = behind


@numba.njit(nogil=True, cache=True)
def _unblend3(state, mask, ellipse, color, x0, y0, slot):
    """Backward of `_blend3`: the mask of blocks that are done, and whether any pixel contributed."""
    u0, v0, a, b, c, peak = _corner(ellipse, x0, y0)
    du, dv = fma(splat(a), load(_X, 0), splat(b) * load(_Y, 0)), splat(c) * load(_Y, 0)
    red, green, blue = splat(color[0]), splat(color[1]), splat(color[2])
    zero = splat(_F(0))
    s0, su, sv, suu, suv, svv, s_red, s_green, s_blue = zero, zero, zero, zero, zero, zero, zero, zero, zero
    dead, written = np.uint64(0), False
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - np.uint64(1)
        at = block * np.uint64(5 * WIDTH)
        before = load(state, at)
        left, top = (
            _F(block % np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
            _F(block // np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
        )
        u, v = du + (u0 + a * left + b * top), dv + (v0 + c * top)
        power = fma(u * _F(-1), u, fma(v * _F(-1), v, splat(peak)))
        hit = both(power >= splat(_LOG2_ALPHA_MIN), before > zero)
        if any_lane(hit):
            written = True
            free = exp2(power)
            alpha = minimum(free, splat(_ALPHA_MAX))
            after = fma(alpha * _F(-1), before, before)
            goes_on = after > splat(_T_MIN)
            on = both(hit, goes_on)
            weight = select(on, alpha * before, zero)
            now = select(hit, select(goes_on, after, before * _F(-1)), before)
            store(state, at, now)
            v_red, v_green = load(state, at + np.uint64(2 * WIDTH)), load(state, at + np.uint64(3 * WIDTH))
            v_blue = load(state, at + np.uint64(4 * WIDTH))
            k = fma(v_red, red, fma(v_green, green, v_blue * blue))
            behind = fma(weight * _F(-1), k, load(state, at + np.uint64(WIDTH)))
            store(state, at + np.uint64(WIDTH), behind)
            v_alpha = fma(before, k, behind / (alpha + _F(-1)))
            g = select(both(on, free < splat(_ALPHA_MAX)), v_alpha * alpha, zero)
            gu, gv = g * u, g * v
            s0, su, sv = s0 + g, su + gu, sv + gv
            suu, suv, svv = fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv)
            s_red, s_green = fma(weight, v_red, s_red), fma(weight, v_green, s_green)
            s_blue = fma(weight, v_blue, s_blue)
            if not any_lane(now > zero):
                dead |= np.uint64(1) << block
    if written:
        slot[0], slot[1], slot[2], slot[3] = total(s0), total(su), total(sv), total(suu)
        slot[4], slot[5], slot[6], slot[7], slot[8] = (
            total(suv),
            total(svv),
            total(s_red),
            total(s_green),
            total(s_blue),
        )
    return dead, written


@numba.njit(nogil=True, cache=True)
def _unblend(state, mask, ellipse, color, x0, y0, sums, absgrad, slot):
    """`_unblend3` for any number of channels, and with absolute gradients of the mean."""
    u0, v0, a, b, c, peak = _corner(ellipse, x0, y0)
    du, dv = fma(splat(a), load(_X, 0), splat(b) * load(_Y, 0)), splat(c) * load(_Y, 0)
    channels = color.shape[0]
    zero = splat(_F(0))
    s0, su, sv, suu, suv, svv, abs_x, abs_y = zero, zero, zero, zero, zero, zero, zero, zero
    sums[:] = 0
    dead, written = np.uint64(0), False
    while mask != 0:
        block = trailing_zeros(mask)
        mask &= mask - np.uint64(1)
        at = block * np.uint64((channels + 2) * WIDTH)
        before = load(state, at)
        left, top = (
            _F(block % np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
            _F(block // np.uint64(TILE_BLOCKS) * np.uint64(BLOCK)),
        )
        u, v = du + (u0 + a * left + b * top), dv + (v0 + c * top)
        power = fma(u * _F(-1), u, fma(v * _F(-1), v, splat(peak)))
        hit = both(power >= splat(_LOG2_ALPHA_MIN), before > zero)
        if any_lane(hit):
            written = True
            free = exp2(power)
            alpha = minimum(free, splat(_ALPHA_MAX))
            after = fma(alpha * _F(-1), before, before)
            goes_on = after > splat(_T_MIN)
            on = both(hit, goes_on)
            weight = select(on, alpha * before, zero)
            now = select(hit, select(goes_on, after, before * _F(-1)), before)
            store(state, at, now)
            k = zero
            for channel in range(channels):
                v_color = load(state, at + np.uint64((channel + 2) * WIDTH))
                k = fma(v_color, splat(color[channel]), k)
                store(sums, channel * WIDTH, fma(weight, v_color, load(sums, channel * WIDTH)))
            behind = fma(weight * _F(-1), k, load(state, at + np.uint64(WIDTH)))
            store(state, at + np.uint64(WIDTH), behind)
            v_alpha = fma(before, k, behind / (alpha + _F(-1)))
            g = select(both(on, free < splat(_ALPHA_MAX)), v_alpha * alpha, zero)
            gu, gv = g * u, g * v
            s0, su, sv = s0 + g, su + gu, sv + gv
            suu, suv, svv = fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv)
            if absgrad:
                abs_x, abs_y = abs_x + absolute(gu), abs_y + absolute(fma(gu, splat(b), gv * c))
            if not any_lane(now > zero):
                dead |= np.uint64(1) << block
    if written:
        slot[0], slot[1], slot[2], slot[3], slot[4], slot[5] = (
            total(s0), total(su), total(sv), total(suu), total(suv), total(svv)
        )  # fmt: skip
        for channel in range(channels):
            slot[MOMENTS + channel] = total(load(sums, channel * WIDTH))
        if absgrad:
            slot[MOMENTS + channels], slot[MOMENTS + channels + 1] = total(abs_x) * abs(a), total(abs_y)
    return dead, written
