"""Where tokens are: levels of the token maps, and rotary position embedding in two dimensions, aligned over scales.

A view's tokens are its prefix (the encoded picture, as fine as the last scale), a start token, which predicts the
first scale, and one map for each further scale. Prefix and start token are of level 0, a map of scale k of level k.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

GRID = 32.0
"""Length of a picture's side in the units of positions, whatever the sides of the maps."""
BASE = 10000.0


def level_sizes(patch_nums: Sequence[int]) -> list[int]:
    """Tokens of a view in each level: the first holds the prefix and the start token."""
    return [patch_nums[-1] ** 2 + 1, *(side**2 for side in patch_nums[1:])]


def level_bounds(patch_nums: Sequence[int]) -> list[tuple[int, int]]:
    """First token of each level in a view's sequence, and the one after its last."""
    sizes = level_sizes(patch_nums)
    ends = [sum(sizes[: k + 1]) for k in range(len(sizes))]
    return [(end - size, end) for end, size in zip(ends, sizes, strict=True)]


def level_ids(patch_nums: Sequence[int]) -> Int[Tensor, "L"]:
    """Level of each token of a view."""
    sizes = torch.tensor(level_sizes(patch_nums))
    return torch.repeat_interleave(torch.arange(len(patch_nums)), sizes)


def positions(patch_nums: Sequence[int]) -> Float[Tensor, "L 2"]:
    """Row and column of each token of a view: of its cell's upper left corner, in units of a 32nd of the picture."""
    maps = []
    for side in (patch_nums[-1], *patch_nums):  # the prefix lies as the last scale does, the start token is a map of 1
        steps = torch.arange(side, dtype=torch.float64) * GRID / side
        maps.append(torch.cartesian_prod(steps, steps))
    return torch.cat(maps)


def frequencies(head_width: int) -> Float[Tensor, "F"]:
    """Of the pairs of channels that turn with the row; those that turn with the column have the same."""
    pairs = head_width // 4
    return BASE ** (-torch.arange(pairs, dtype=torch.float64) / pairs)


def rope_table(patch_nums: Sequence[int], head_width: int) -> tuple[Float[Tensor, "L P"], Float[Tensor, "L P"]]:
    """Cosines and sines of a view's tokens for every pair of neighbouring channels: the first half of the pairs turns
    with the row, the second with the column."""
    where = positions(patch_nums)
    angles = (where[:, :, None] * frequencies(head_width)).flatten(1)
    return angles.cos().float(), angles.sin().float()


def turned(
    x: Float[Tensor, "*batch L D"], cos: Float[Tensor, "L P"], sin: Float[Tensor, "L P"]
) -> Float[Tensor, "*batch L D"]:
    """Rotate neighbouring channels of queries or keys; float32."""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([a * cos - b * sin, a * sin + b * cos], -1).flatten(-2)
