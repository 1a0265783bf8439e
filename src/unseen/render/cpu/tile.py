"""What compositing forward and backward share: a tile's state, and one Gaussian at one block of 16 pixels.

State is [block][value][pixel], the first value a pixel's transmittance: positive while it lives, negative when it is
done.
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
    exp2,
    fma,
    inner,
    load,
    minimum,
    select,
    splat,
    store,
)
from unseen.render.settings import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN

F, U = np.float32, np.uint64
LOG2_ALPHA_MIN = F(np.log2(ALPHA_MIN))
BLOCKS = TILE_BLOCKS * TILE_BLOCKS
AHEAD = 6
"""Pairs ahead of the current one whose Gaussians are prefetched."""
_X = np.tile(np.arange(BLOCK, dtype=np.float32) + F(0.5), BLOCK)
_Y = np.repeat(np.arange(BLOCK, dtype=np.float32) + F(0.5), BLOCK)
_STEPS = np.arange(TILE_BLOCKS, dtype=np.float32) * BLOCK
_BLOCK_X = np.concatenate([_STEPS, np.zeros(TILE_BLOCKS, np.float32)])
_BLOCK_Y = np.concatenate([np.zeros(TILE_BLOCKS, np.float32), _STEPS])
_IS_X = np.repeat(np.array([1, 0], np.float32), TILE_BLOCKS)


@inner
def aligned(count):
    """Zeroed float32 scratch whose first element starts a cache line."""
    space = np.zeros(count + 2 * WIDTH, np.float32)
    skip = (-(space.ctypes.data // 4)) % WIDTH
    return space[skip : skip + count]


@inner
def place(tile, columns, band):
    """Camera and the pixel coordinates of the corner of a tile, counted through the band's rows of each camera."""
    per_camera = columns * (band[1] - band[0])
    camera = tile // per_camera
    rest = tile - camera * per_camera
    return camera, (rest % columns) * TILE, (band[0] + rest // columns) * TILE


@inner
def open_tile(state, stride, x0, y0, width, height):
    """Zero the state; transmittance 1 inside the image and -1 outside. The mask of blocks inside."""
    state[:] = 0
    live = U(0)
    for block in range(BLOCKS):
        x, y = x0 + block % TILE_BLOCKS * BLOCK, y0 + block // TILE_BLOCKS * BLOCK
        at = block * stride * WIDTH
        store(state, at, splat(F(1)))
        if x < width and y < height:
            live |= U(1) << U(block)
        if x + BLOCK > width or y + BLOCK > height:
            for lane in range(WIDTH):
                if x + lane % BLOCK >= width or y + lane // BLOCK >= height:
                    state[at + lane] = F(-1)
    return live


@inner
def start_pair(ellipses, i, x0, y0, corners):
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
def whitened(u, v, corners, block):
    """u and v at the pixels of a block."""
    column, row = block & U(TILE_BLOCKS - 1), block >> U(3)
    by_row = splat(corners[row + U(TILE_BLOCKS)])
    return u + splat(corners[column]) + by_row, v + splat(corners[row + U(WIDTH + TILE_BLOCKS)])


@inner
def pass_through(power, before):
    """One Gaussian at 16 pixels: its uncapped and its effective alpha, its weight alpha T, the transmittance it
    leaves and the mask of pixels still alive. Pixels it does not reach have alpha 0; pixels already done keep their
    negative T."""
    zero = splat(F(0))
    free = exp2(power)
    alpha = select(power >= splat(LOG2_ALPHA_MIN), minimum(free, splat(F(ALPHA_MAX))), zero)
    share = alpha * before
    after = before - share
    alive = after > splat(F(TRANSMITTANCE_MIN))
    return free, alpha, select(alive, share, zero), select(alive, after, -absolute(before)), alive
