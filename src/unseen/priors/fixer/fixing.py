"""What every fixer does: renders and photos near them in, repaired renders and how far to trust them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from jaxtyping import Float
from torch import Tensor


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
