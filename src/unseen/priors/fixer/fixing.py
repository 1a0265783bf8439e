"""What every fixer does: renders and photos near them in, repaired renders and how far to trust them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import NonFiniteError, ShapeError

AGREEMENT = 0.1
"""Difference from the render at which a pixel's weight has fallen to 1/e, where no bridge tells its own."""


@dataclass(frozen=True)
class Fixed:
    """What a fixer makes of renders.

    Attributes:
        images: in [0, 1], [V, H, W, 3].
        weights: how far each pixel is to be trusted, in [0, 1], [V, H, W].
    """

    images: Float[Tensor, "V H W 3"]
    weights: Float[Tensor, "V H W"]


class Fixer(Protocol):
    """Repairs renders."""

    def fix(
        self, renders: Float[Tensor, "V H W 3"], references: Sequence[Float[Tensor, "R H W 3"]], *, seed: int = 0
    ) -> Fixed:
        """Repair renders.

        Args:
            renders: in [0, 1], of any size.
            references: for each render photos of the same things, of the render's size; any number of them, also none.
            seed: of everything random.
        """


def agreement(images: Float[Tensor, "V H W 3"], renders: Float[Tensor, "V H W 3"]) -> Float[Tensor, "V H W"]:
    """How far repaired pictures are to be trusted when nothing but their renders can tell: as far as they agree."""
    return (-(images - renders).abs().mean(-1) / AGREEMENT).exp()


def check_views(renders: Tensor, references: Sequence[Tensor]) -> None:
    """Whether renders and references fit each other, as `Fixer.fix` takes them.

    Raises:
        ShapeError: other shapes.
        NonFiniteError: NaN or infinity.
    """
    if renders.ndim != 4 or renders.shape[-1] != 3 or not renders.numel():
        raise ShapeError(f"renders of shape {tuple(renders.shape)}: expected [views, height, width, 3]")
    if len(references) != len(renders):
        raise ShapeError(
            f"references for {len(references)} renders of {len(renders)}: expected some, or none, for each"
        )
    for v, photos in enumerate(references):
        if photos.ndim != 4 or photos.shape[1:] != renders.shape[1:]:
            expected = ["references", *renders.shape[1:]]
            raise ShapeError(f"references of render {v} have shape {tuple(photos.shape)}: expected {expected}")
    if not all(torch.isfinite(each).all() for each in (renders, *references)):
        raise NonFiniteError("a render or a reference holds NaN or infinity: expected colours in [0, 1]")
