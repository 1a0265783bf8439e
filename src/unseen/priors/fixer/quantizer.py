"""Multi-scale residual quantisation: latents as maps of tokens from coarse to fine (VAR; VARSR's last scale).

At each scale what is still missing from the latents is shrunk to the scale's map, each of its cells is replaced by the
nearest entry of one codebook, and the map, enlarged again, is added to what is there. All but the last scale are
refined by a convolution, half and half. What the last scale leaves is continuous: the refiner's to predict.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from unseen.core.errors import InputError, ShapeError

_REFINED = 0.5
"""Share of a map that its convolution replaces."""

Size = tuple[int, int]


@dataclass(frozen=True)
class Tokens:
    """Latents as tokens.

    Attributes:
        indices: of the codebook's entries, scale by scale, each map row by row.
        fhat: what they add up to.
        residual: what was missing before the last scale: the refiner is to predict it, less the last scale's entries.
    """

    indices: list[Int[Tensor, "N L"]]
    fhat: Float[Tensor, "N C h w"]
    residual: Float[Tensor, "N C h w"]


class Phi(nn.Module):
    """Convolutions that several scales share, under their published names."""

    def __init__(self, channels: int, count: int) -> None:
        super().__init__()
        self.qresi_ls = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(count))


class MultiScaleQuantizer(nn.Module):
    """Tokens of latents, and latents of tokens.

    Latents may have any sides. `patch_nums` are the sides of the maps where the latents are as large as the last of
    them; those of other latents keep their proportions to the latents.

    Args:
        patch_nums: sides of the maps, from coarse to fine.
        phi_map: the convolution of each scale; that of the last is not used.
        channels: of the latents.
        entries: of the codebook.
        phis: number of convolutions.

    Raises:
        InputError: not one convolution for each scale, or one that is not there.
    """

    def __init__(
        self, patch_nums: Sequence[int], phi_map: Sequence[int], channels: int, entries: int, phis: int
    ) -> None:
        super().__init__()
        if len(phi_map) != len(patch_nums) or not all(0 <= k < phis for k in phi_map):
            raise InputError(
                f"phi_map {tuple(phi_map)} does not fit: expected a number below {phis} for each of {len(patch_nums)} "
                "scales"
            )
        self.patch_nums, self.phi_map = tuple(patch_nums), tuple(phi_map)
        self.embedding = nn.Embedding(entries, channels)
        self.quant_resi = Phi(channels, phis)
        # how often each entry is used at each scale: published with the weights, and of no use
        self.register_buffer("ema_vocab_hit_SV", torch.zeros(len(patch_nums), entries))

    @property
    def scales(self) -> int:
        """Number of maps."""
        return len(self.patch_nums)

    def sizes(self, height: int, width: int) -> list[Size]:
        """Rows and columns of each map, of latents of these sides."""
        last = self.patch_nums[-1]
        shrunk = [
            (max(1, round(side * height / last)), max(1, round(side * width / last))) for side in self.patch_nums[:-1]
        ]
        return [*shrunk, (height, width)]

    # ---- one scale

    def indices(self, k: int, residual: Float[Tensor, "N C h w"]) -> Int[Tensor, "N L"]:
        """Nearest entries at scale `k` to what is missing from the latents."""
        return self.nearest(self.rows(k, residual))

    def nearest(self, rows: Float[Tensor, "N L C"]) -> Int[Tensor, "N L"]:
        """Nearest entries to rows."""
        return self.distances(rows).argmin(-1)

    def distances(self, rows: Float[Tensor, "N L C"]) -> Float[Tensor, "N L V"]:
        """Squared distances to the entries of the codebook, in float32."""
        rows, entries = rows.float(), self.embedding.weight.float()
        squares = rows.square().sum(-1, keepdim=True) + entries.square().sum(-1)
        return squares - 2 * rows @ entries.t()

    def embed(self, indices: Int[Tensor, "N L"]) -> Float[Tensor, "N L C"]:
        """Entries of the codebook."""
        entries: Tensor = self.embedding(indices)
        return entries

    def add(self, k: int, fhat: Float[Tensor, "N C h w"], indices: Int[Tensor, "N L"]) -> Float[Tensor, "N C h w"]:
        """Latents with the map of scale `k` added.

        Raises:
            ShapeError: not as many indices as the map has cells.
        """
        return self.add_rows(k, fhat, self.embed(indices))

    def add_rows(
        self, k: int, fhat: Float[Tensor, "N C h w"], rows: Float[Tensor, "N L C"]
    ) -> Float[Tensor, "N C h w"]:
        """As `add`, of entries, or of what stands for them."""
        size = self.sizes(*fhat.shape[2:])[k]
        if rows.shape[1] != size[0] * size[1]:
            raise ShapeError(
                f"{rows.shape[1]} tokens at scale {k}, expected {size[0]} x {size[1]} for latents of "
                f"{fhat.shape[2]} x {fhat.shape[3]}"
            )
        entries = rows.transpose(1, 2).unflatten(2, size)
        if k == self.scales - 1:
            return fhat + entries
        wide = interpolate(entries, fhat.shape[2:], mode="bicubic", align_corners=False)
        refined: Tensor = self.quant_resi.qresi_ls[self.phi_map[k]](wide)
        return fhat + (1 - _REFINED) * wide + _REFINED * refined

    def next_input(self, k: int, fhat: Float[Tensor, "N C h w"]) -> Float[Tensor, "N L C"]:
        """What the transformer is given to predict scale `k` + 1, from latents that have all scales up to `k`."""
        return self.rows(k + 1, fhat)

    def rows(self, k: int, latents: Float[Tensor, "N C h w"]) -> Float[Tensor, "N L C"]:
        """What the map of scale `k` is to stand for, cell by cell, where nothing is there yet."""
        return _as_rows(self.shrunk(k, latents))

    def maps(self, latents: Float[Tensor, "B V C h w"]) -> list[Float[Tensor, "B V L C"]]:
        """`rows` of views at every scale."""
        return [self.rows(k, latents.flatten(0, 1)).unflatten(0, latents.shape[:2]) for k in range(self.scales)]

    def expected(self, logits: Float[Tensor, "*batch V"]) -> Float[Tensor, "*batch C"]:
        """Mean of the codebook's entries."""
        return logits.float().softmax(-1) @ self.embedding.weight.float()

    def shrunk(self, k: int, latents: Float[Tensor, "N C h w"]) -> Float[Tensor, "N C p q"]:
        """Latents averaged over the cells of the map of scale `k`."""
        return latents if k == self.scales - 1 else adaptive_avg_pool2d(latents, self.sizes(*latents.shape[2:])[k])

    # ---- all scales

    def tokens(self, latents: Float[Tensor, "N C h w"]) -> Tokens:
        """Tokens of latents; gradients do not pass."""
        with torch.no_grad():
            indices: list[Tensor] = []
            fhat = missing = torch.zeros_like(latents)
            for k in range(self.scales):
                missing = latents - fhat
                indices.append(self.indices(k, missing))
                fhat = self.add(k, fhat, indices[-1])
            return Tokens(indices, fhat, missing)

    def sums(self, indices: Sequence[Int[Tensor, "N L"]], size: Size) -> Iterator[Float[Tensor, "N C h w"]]:
        """Latents of sides `size` after each scale; gradients reach the codebook and the convolutions."""
        shape: Any = (len(indices[0]), self.embedding.embedding_dim, *size)
        fhat = self.embedding.weight.new_zeros(shape)
        for k, map_indices in enumerate(indices):
            fhat = self.add(k, fhat, map_indices)
            yield fhat

    def inputs(self, indices: Sequence[Int[Tensor, "N L"]], size: Size) -> Float[Tensor, "N M C"]:
        """What the transformer is given for all scales but the first when it is taught with these tokens, one scale
        behind the other."""
        parts = [self.next_input(k, fhat) for k, fhat in enumerate(self.sums(indices[:-1], size))]
        return torch.cat(parts, 1)


def _as_rows(latents: Float[Tensor, "N C h w"]) -> Float[Tensor, "N L C"]:
    return latents.flatten(2).transpose(1, 2)
