"""Pictures of any size through networks of one size: overlapping tiles, worked on together and joined without seams.

Tiles stand a stride apart; the last of a row ends where the picture does. Where tiles overlap they are averaged with
weights that fall off toward their borders. Everything holds for pixels as for latents: `Tiling.scaled` turns one into
the other. Planes are [N, C, H, W].
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

from unseen.core.errors import InputError, ShapeError

Place = tuple[int, int]


@dataclass(frozen=True)
class Tiling:
    """Where tiles stand.

    Attributes:
        tile: their side.
        overlap: of neighbours, at least.

    Raises:
        InputError: tiles that do not advance.
    """

    tile: int
    overlap: int

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < self.tile:
            raise InputError(f"tiles of {self.tile} overlapping by {self.overlap}: expected 0 <= overlap < tile")

    def scaled(self, factor: int) -> Tiling:
        """The same tiles of planes with `factor` times the sides."""
        return Tiling(self.tile * factor, self.overlap * factor)

    def starts(self, side: int) -> list[int]:
        """First row (or column) of each tile along a side.

        Raises:
            ShapeError: a side shorter than a tile.
        """
        if side < self.tile:
            raise ShapeError(f"a side of {side} is shorter than a tile of {self.tile}: enlarge the picture (`fit_in`)")
        stride = self.tile - self.overlap
        count = math.ceil((side - self.tile) / stride) + 1
        return [min(k * stride, side - self.tile) for k in range(count)]

    def places(self, height: int, width: int) -> list[Place]:
        """First row and column of each tile, row by row."""
        return [(row, column) for row in self.starts(height) for column in self.starts(width)]

    def cut(self, planes: Float[Tensor, "N C H W"]) -> Float[Tensor, "NT C t t"]:
        """Tiles of planes, all of the first plane before those of the next."""
        t = self.tile
        tiles = [planes[:, :, i : i + t, j : j + t] for i, j in self.places(*planes.shape[2:])]
        return torch.stack(tiles, 1).flatten(0, 1)

    def join(
        self, tiles: Float[Tensor, "NT C t t"], height: int, width: int, window: Float[Tensor, "t t"] | None = None
    ) -> Float[Tensor, "N C H W"]:
        """Planes of tiles that were cut from them.

        Args:
            tiles: as `cut` orders them.
            height, width: of the planes.
            window: weights of a tile's pixels, positive; `feather()` when None.

        Raises:
            ShapeError: not the number of tiles that such planes have.
        """
        places = self.places(height, width)
        if len(tiles) % len(places):
            raise ShapeError(f"{len(tiles)} tiles, expected {len(places)} for each plane of {height} x {width}")
        weights = (self.feather() if window is None else window).to(tiles.device, tiles.dtype)
        each = tiles.unflatten(0, (-1, len(places)))
        sums = tiles.new_zeros(each.shape[0], each.shape[2], height, width)
        total = tiles.new_zeros(height, width)
        for k, (i, j) in enumerate(places):
            rows, columns = slice(i, i + self.tile), slice(j, j + self.tile)
            sums[:, :, rows, columns] += each[:, k] * weights
            total[rows, columns] += weights
        return sums / total

    def feather(self) -> Float[Tensor, "t t"]:
        """Weights that rise by half a wave of the cosine over the overlap, so that two neighbours add up to one.

        GS-VAR's normal density, a tenth of a tile wide, changes from one tile to the next within two pixels: where
        tiles differ in brightness, the steps it leaves are more than twice as high.
        """
        if not self.overlap:
            return torch.ones(self.tile, self.tile)
        steps = torch.arange(self.tile) + 0.5
        inward = torch.minimum(steps, self.tile - steps) / self.overlap
        line = 0.5 - 0.5 * (math.pi * inward.clamp(max=1)).cos()
        return torch.outer(line, line)


@dataclass(frozen=True)
class FitIn:
    """How a picture was made to fit a network, to take it back.

    Attributes:
        size: height and width it had.
        scaled: height and width after enlarging, before it was filled up.
    """

    size: Place
    scaled: Place

    def undo(self, planes: Float[Tensor, "N C H W"]) -> Float[Tensor, "N C h w"]:
        """Planes in the size the picture had."""
        cut = planes[:, :, : self.scaled[0], : self.scaled[1]]
        return cut if self.scaled == self.size else resized(cut, self.size)


def fit_in(planes: Float[Tensor, "N C H W"], multiple: int, least: int) -> tuple[Float[Tensor, "N C h w"], FitIn]:
    """Planes with sides that a network takes: never squashed.

    Where a side is too short the whole is enlarged in its proportions; then the last row and column are repeated up to
    the next multiple.

    Args:
        planes: pictures.
        multiple: of the sides.
        least: of the sides, itself such a multiple.
    """
    size = (planes.shape[2], planes.shape[3])
    scale = max(1.0, least / min(size))
    scaled = size if scale == 1 else (max(least, round(size[0] * scale)), max(least, round(size[1] * scale)))
    if scaled != size:
        planes = resized(planes, scaled)
    missing = [-side % multiple for side in scaled]
    if any(missing):
        planes = pad(planes, (0, missing[1], 0, missing[0]), mode="replicate")
    return planes, FitIn(size, scaled)


def resized(planes: Float[Tensor, "N C H W"], size: Place) -> Float[Tensor, "N C h w"]:
    """Planes at another height and width, without aliasing; they may overshoot."""
    return interpolate(planes, size, mode="bicubic", antialias=True, align_corners=False)
