"""Compiled kernels of the fused L1 + SSIM loss. Rows of interleaved RGB are blurred as they lie, 16 values at a time.

With d = x - y, m_x, m_y, m_d the blurred x, y, d, E = blur(x^2 + y^2) and D = blur(d^2), SSIM is S = P Q,

    P = 1 - m_d^2 / b1,  Q = 1 - v / b2,  b1 = m_x^2 + m_y^2 + C1,  b2 = E - m_x^2 - m_y^2 + C2,  v = D - m_d^2

which is the usual (2 m_x m_y + C1) (2 cov + C2) / (b1 b2) without its cancellation where x and y are alike. The
window is its own adjoint, so dS/dx = blur(dS/dm_x) + 2 x blur(dS/dE) + 2 d blur(dS/dD): forward leaves these three
maps.
"""

import numpy as np

from unseen.render.cpu.simd import WIDTH, absolute, fma, inner, kernel, load, select, splat, store, take_ticket, total

RADIUS = 5
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2
CHANNELS = 3
_F = np.float32
_PAD = WIDTH
_ROWS = 4
"""Image rows per work item."""
_LANE = np.arange(WIDTH, dtype=np.float32)


def window() -> np.ndarray:
    """The 11 taps of the normalised Gaussian, float32."""
    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    return (taps / taps.sum()).astype(np.float32)


@inner
def _blur_row(row, at, taps):
    """Horizontal blur of the 16 values at `at` of a zero-padded row of interleaved channels."""
    value = splat(taps[RADIUS]) * load(row, at)
    for k in range(RADIUS):
        offset = CHANNELS * (RADIUS - k)
        value = fma(splat(taps[k]), load(row, at - offset) + load(row, at + offset), value)
    return value


@inner
def _moments_down(x, y, width, height, r, start, taps, rows):
    """Vertical blur of x, x - y, x^2 + y^2 and (x - y)^2 at 16 values of row r, into the four padded rows."""
    mx, md, e, dd = splat(_F(0)), splat(_F(0)), splat(_F(0)), splat(_F(0))
    for k in range(max(0, RADIUS - r), min(2 * RADIUS + 1, height + RADIUS - r)):
        at = (r + k - RADIUS) * width + start
        a, b, tap = load(x, at), load(y, at), splat(taps[k])
        d = a - b
        ta, td = tap * a, tap * d
        mx, md = mx + ta, md + td
        e, dd = fma(ta, a, fma(tap * b, b, e)), fma(td, d, dd)
    store(rows[0], _PAD + start, mx)
    store(rows[1], _PAD + start, md)
    store(rows[2], _PAD + start, e)
    store(rows[3], _PAD + start, dd)


@inner
def _weights_row(weights, b, r, out):
    """Pixel weights of one row, once per channel; ones when there are none."""
    if weights.size == 0:
        out[:] = _F(1)
    else:
        for i in range(out.shape[0]):
            out[i] = weights[b, r, i // CHANNELS]


@inner
def _start(i, width):
    """First value of the i-th vector of a row; the last one is moved left to end with the row."""
    return min(i * WIDTH, width - WIDTH)


@inner
def _fresh(i, width):
    """1 in the lanes the vectors before the i-th have not covered, else 0."""
    overlap = _F(i * WIDTH - _start(i, width))
    return select(load(_LANE, 0) >= splat(overlap), splat(_F(1)), splat(_F(0)))


@kernel
def loss_maps(counter, x, y, weights, taps, map_m, map_e, map_d, sums):
    """Per row the weighted sums of |x - y| and 1 - S, and the maps dS/dm_x, dS/dE, dS/dD (unless they have no
    elements)."""
    batch, height, width = x.shape
    flat_x, flat_y = x.reshape(-1), y.reshape(-1)
    flat_m, flat_e, flat_d = map_m.reshape(-1), map_e.reshape(-1), map_d.reshape(-1)
    rows = np.zeros((4, width + 2 * _PAD), np.float32)
    row_weights = np.empty(width, np.float32)
    spans = (height + _ROWS - 1) // _ROWS
    while True:
        ticket = take_ticket(counter)
        if ticket >= batch * spans:
            break
        b = ticket // spans
        first = (ticket - b * spans) * _ROWS
        origin = b * height * width
        image_x, image_y = flat_x[origin : origin + height * width], flat_y[origin : origin + height * width]
        for r in range(first, min(first + _ROWS, height)):
            for i in range((width + WIDTH - 1) // WIDTH):
                _moments_down(image_x, image_y, width, height, r, _start(i, width), taps, rows)
            _weights_row(weights, b, r, row_weights)
            l1, s = _finish_row(
                image_x, image_y, width, r, taps, rows, row_weights, origin + r * width, flat_m, flat_e, flat_d
            )
            sums[b * height + r, 0], sums[b * height + r, 1] = l1, s


@inner
def _finish_row(x, y, width, r, taps, rows, row_weights, out, map_m, map_e, map_d):
    """Horizontal blur, SSIM and its derivatives of one row; the row's two sums."""
    l1, dissimilar = splat(_F(0)), splat(_F(0))
    one, two = splat(_F(1)), splat(_F(2))
    for i in range((width + WIDTH - 1) // WIDTH):
        start = _start(i, width)
        at = _PAD + start
        mx, md = _blur_row(rows[0], at, taps), _blur_row(rows[1], at, taps)
        e, v = _blur_row(rows[2], at, taps), _blur_row(rows[3], at, taps) - md * md
        my = mx - md
        squares = fma(mx, mx, my * my)
        inverse1, inverse2 = one / (squares + _F(C1)), one / (e - squares + _F(C2))
        by_mean, by_variance = md * md * inverse1, v * inverse2
        p, q = one - by_mean, one - by_variance
        weight = load(row_weights, start)
        counted = weight * _fresh(i, width)
        dissimilar = fma(counted, fma(p, by_variance, by_mean), dissimilar)
        l1 = fma(counted, absolute(load(x, r * width + start) - load(y, r * width + start)), l1)
        if map_m.size > 0:
            of_p, of_q = (mx * by_mean - md) * inverse1, (md - mx * by_variance) * inverse2
            store(map_m, out + start, two * weight * fma(q, of_p, p * of_q))
            store(map_e, out + start, weight * p * by_variance * inverse2)
            store(map_d, out + start, -(weight * p * inverse2))
    return total(l1), total(dissimilar)


@inner
def _maps_down(map_m, map_e, map_d, width, height, r, start, taps, rows):
    """Vertical blur of the three maps at 16 values of row r, into three padded rows."""
    m, e, d = splat(_F(0)), splat(_F(0)), splat(_F(0))
    for k in range(max(0, RADIUS - r), min(2 * RADIUS + 1, height + RADIUS - r)):
        at = (r + k - RADIUS) * width + start
        tap = splat(taps[k])
        m, e, d = fma(tap, load(map_m, at), m), fma(tap, load(map_e, at), e), fma(tap, load(map_d, at), d)
    store(rows[0], _PAD + start, m)
    store(rows[1], _PAD + start, e)
    store(rows[2], _PAD + start, d)


@kernel
def loss_gradient(counter, x, y, weights, taps, map_m, map_e, map_d, l1_scale, ssim_scale, out):
    """l1_scale sign(x - y) + ssim_scale dS/dx, weighted, into `out`."""
    batch, height, width = x.shape
    flat_x, flat_y, flat_out = x.reshape(-1), y.reshape(-1), out.reshape(-1)
    flat_m, flat_e, flat_d = map_m.reshape(-1), map_e.reshape(-1), map_d.reshape(-1)
    rows = np.zeros((3, width + 2 * _PAD), np.float32)
    row_weights = np.empty(width, np.float32)
    spans = (height + _ROWS - 1) // _ROWS
    zero, up, down = splat(_F(0)), splat(_F(l1_scale)), splat(_F(-l1_scale))
    while True:
        ticket = take_ticket(counter)
        if ticket >= batch * spans:
            break
        b = ticket // spans
        first = (ticket - b * spans) * _ROWS
        origin, end = b * height * width, (b + 1) * height * width
        for r in range(first, min(first + _ROWS, height)):
            _weights_row(weights, b, r, row_weights)
            for i in range((width + WIDTH - 1) // WIDTH):
                _maps_down(
                    flat_m[origin:end], flat_e[origin:end], flat_d[origin:end], width, height, r, _start(i, width),
                    taps, rows,
                )  # fmt: skip
            for i in range((width + WIDTH - 1) // WIDTH):
                start = _start(i, width)
                at = origin + r * width + start
                a, c, place = load(flat_x, at), load(flat_y, at), _PAD + start
                slope = fma(a * _F(2), _blur_row(rows[1], place, taps), _blur_row(rows[0], place, taps))
                slope = fma((a - c) * _F(2), _blur_row(rows[2], place, taps), slope)
                sign = select(a > c, up, select(a < c, down, zero))
                store(flat_out, at, fma(load(row_weights, start), sign, splat(_F(ssim_scale)) * slope))
