"""How fast the arithmetic of splatting could be: the pairs of an image that contribute, and lanes per second."""

import time

import numpy as np

from unseen.render import rasterization
from unseen.render.cpu.runtime import run
from unseen.render.cpu.simd import WIDTH, both, fma, inner, kernel, load, quotient, select, splat, store, take_ticket
from unseen.render.cpu.tile import F, pass_through
from unseen.render.settings import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from workloads import Workload

_ITEMS, _ROUNDS = 64, 20_000
_CHAINS = 4
"""Independent groups of 16 pixels, enough to keep the arithmetic units busy."""


def contributing_pairs(w: Workload) -> int:
    """(Gaussian, pixel) pairs with alpha of at least 1/255 before the pixel ends.

    Counted by a kernel of its own, Gaussian by Gaussian over the box of its radius, nearest first.
    """
    camera = w.viewmats, w.Ks, w.width, w.height
    info = rasterization(w.means, w.quats, w.scales, w.opacities, w.means, *camera, backend="cpu")[2]
    visible = np.flatnonzero(info["radii"][0].numpy().all(1))
    order = visible[np.argsort(info["depths"][0].numpy()[visible], kind="stable")]
    arrays = [info[k][0].numpy() for k in ("means2d", "conics", "opacities", "radii")]
    return int(_count(order, *arrays, np.ones((w.height, w.width), np.float32)))


@kernel
def _count(order, means, conics, opacities, radii, left):
    """Scalar compositing that only counts; `left` [H, W] is the transmittance, negative once a pixel has ended."""
    height, width = left.shape
    pairs = 0
    for i in order:
        x, y = means[i, 0], means[i, 1]
        for row in range(max(0, int(y - radii[i, 1])), min(height, int(y + radii[i, 1]) + 1)):
            for column in range(max(0, int(x - radii[i, 0])), min(width, int(x + radii[i, 0]) + 1)):
                dx, dy = column + 0.5 - x, row + 0.5 - y
                power = 0.5 * (conics[i, 0] * dx * dx + conics[i, 2] * dy * dy) + conics[i, 1] * dx * dy
                alpha = min(opacities[i] * np.exp(-power), ALPHA_MAX)
                if left[row, column] > 0 and alpha >= ALPHA_MIN:
                    after = left[row, column] * (1 - alpha)
                    if after > TRANSMITTANCE_MIN:
                        pairs += 1
                        left[row, column] = after
                    else:
                        left[row, column] = -1
    return pairs


def lanes_per_second() -> tuple[float, float]:
    """Pixels per second of forward's and of backward's arithmetic, in registers, with the threads that are set."""
    rates = []
    for work in (_forward, _backward):
        sink, times = np.zeros(_ITEMS * WIDTH, np.float32), []
        for _ in range(5):
            start = time.perf_counter()
            run(work, sink, _ROUNDS)
            times.append(time.perf_counter() - start)
        rates.append(_ITEMS * _ROUNDS * _CHAINS * WIDTH / min(times))
    return rates[0], rates[1]


@inner
def _blend(u, v, left, red, green, blue):
    power = splat(F(-1)) - fma(u, u, v * v)
    _, _, weight, now, _ = pass_through(power, left)
    return now, fma(weight, splat(F(0.3)), red), fma(weight, splat(F(0.4)), green), fma(weight, splat(F(0.5)), blue)


@kernel
def _forward(counter, sink, rounds):
    """Forward's arithmetic, over and over."""
    while True:
        ticket = take_ticket(counter)
        if ticket >= _ITEMS:
            break
        one, zero = splat(F(1)), splat(F(0))
        t0, r0, g0, b0 = one, zero, zero, zero
        t1, r1, g1, b1 = one, zero, zero, zero
        t2, r2, g2, b2 = one, zero, zero, zero
        t3, r3, g3, b3 = one, zero, zero, zero
        u, v = splat(F(0.1)), splat(F(0.2))
        for _ in range(rounds):
            u, v = u + F(1e-6), v - F(1e-6)
            t0, r0, g0, b0 = _blend(u, v, t0, r0, g0, b0)
            t1, r1, g1, b1 = _blend(v, u, t1, r1, g1, b1)
            t2, r2, g2, b2 = _blend(u + v, u, t2, r2, g2, b2)
            t3, r3, g3, b3 = _blend(u - v, u, t3, r3, g3, b3)
        store(sink, ticket * WIDTH, r0 + g0 + b0 + t0 + r1 + g1 + b1 + t1 + r2 + g2 + b2 + t2 + r3 + g3 + b3 + t3)


@inner
def _unblend(u, v, left, behind, sums):
    """Backward's arithmetic at 16 pixels with their nine sums."""
    s0, su, sv, suu, suv, svv, red, green, blue = sums
    power = splat(F(-1)) - fma(u, u, v * v)
    free, alpha, weight, now, alive = pass_through(power, left)
    k = fma(left, splat(F(0.3)), fma(behind, splat(F(0.4)), u * splat(F(0.5))))
    behind = fma(-weight, k, behind)
    slope = fma(left, k, quotient(behind, alpha - F(1)))
    g = select(both(alive, free < splat(F(ALPHA_MAX))), slope * alpha, splat(F(0)))
    gu, gv = g * u, g * v
    sums = (
        s0 + g, su + gu, sv + gv, fma(gu, u, suu), fma(gu, v, suv), fma(gv, v, svv),
        fma(weight, left, red), fma(weight, behind, green), fma(weight, u, blue),
    )  # fmt: skip
    return now, behind, sums


@kernel
def _backward(counter, sink, rounds):
    """Backward's arithmetic, over and over."""
    while True:
        ticket = take_ticket(counter)
        if ticket >= _ITEMS:
            break
        one, zero = splat(F(1)), splat(F(0))
        t0, t1, t2, t3, d0, d1, d2, d3 = one, one, one, one, zero, zero, zero, zero
        sums = zero, zero, zero, zero, zero, zero, zero, zero, zero
        u, v = splat(F(0.1)), splat(F(0.2))
        for _ in range(rounds):
            u, v = u + F(1e-6), v - F(1e-6)
            t0, d0, sums = _unblend(u, v, t0, d0, sums)
            t1, d1, sums = _unblend(v, u, t1, d1, sums)
            t2, d2, sums = _unblend(u + v, u, t2, d2, sums)
            t3, d3, sums = _unblend(u - v, u, t3, d3, sums)
        a, b, c, d, e, f, g, h, i = sums
        store(sink, ticket * WIDTH, a + b + c + d + e + f + g + h + i + t0 + t1 + t2 + t3 + load(sink, ticket * WIDTH))
