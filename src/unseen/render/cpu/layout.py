"""How the image is cut up, and which numbers describe a Gaussian to the compositing kernels.

The image is cut into tiles, each with its own depth-sorted list of Gaussians; a tile into blocks of 4 x 4 pixels, each
one vector of 16 lanes. A pair (tile, Gaussian) carries a 64-bit mask of the tile's blocks that its ellipse touches.

Row i of `ellipses` (float64, so that a needle thousands of pixels long still lands where it should):

    0, 1   x, y of the mean in pixels
    2-4    a, b, c with u = a dx + b dy, v = c dy; alpha = 2^(log2_opacity - u^2 - v^2) at offset (dx, dy) from the
    mean 5      log2 of the opacity 6      sqrt(u^2 + v^2) beyond which alpha is below its minimum, a little enlarged
    7      unused; rounds a row up to a cache line
"""

import math

from unseen.render.cpu.simd import WIDTH

BLOCK = 4
"""Side of a block in pixels."""
TILE_BLOCKS = 8
"""Side of a tile in blocks; their square is the number of bits in a mask."""
TILE = BLOCK * TILE_BLOCKS
"""Side of a tile in pixels."""
ELLIPSE = 8
"""Numbers per row of `ellipses`."""
WHITEN = math.sqrt(0.5 * math.log2(math.e))
"""Whitening with log2(e) folded in: u^2 + v^2 = log2(e) d^T S^-1 d / 2."""
SPAN = 512
"""Gaussians per work item, a multiple of the vector width."""
BAD_MEANS, BAD_QUATS, BAD_SCALES, BAD_OPACITIES, BAD_COLORS = 1, 2, 4, 8, 16
"""Bits of the kernels' report on inputs that are not finite."""
MOMENTS = 6
"""Sums of dL/d ln(alpha) times 1, u, v, u^2, u v, v^2 that backward keeps per pair."""


def tiles_along(size: int) -> int:
    """Tiles needed for `size` pixels."""
    return -(-size // TILE)


def slot_width(channels: int, absgrad: bool) -> int:
    """Floats per slot: a whole number of vectors, so that every slot starts on a cache line."""
    return -(-(MOMENTS + channels + (2 if absgrad else 0)) // WIDTH) * WIDTH
