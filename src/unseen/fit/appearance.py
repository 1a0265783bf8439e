"""What a photo's camera did to colours, fitted along: an affine map per photo, or a bilateral grid of affine maps."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.fit.config import Compensation

GRID = (8, 16, 16)
"""Cells along brightness, image height and image width (Bilateral Guided Radiance Field Processing, Wang et al.
2024)."""
RATES = {"exposure": 1e-2, "bilateral": 2e-3}
TOTAL_VARIATION = 10.0
_GREY = (0.299, 0.587, 0.114)


class Appearance:
    """Affine colour maps [12] of every photo, starting from no change. Only renders of fitted photos pass through them.

    Args:
        kind: one map per photo ("exposure"), or a grid of them ("bilateral").
        photos: how many.
        device: where to keep them.
    """

    def __init__(self, kind: Compensation, photos: int, device: torch.device) -> None:
        self.kind = kind
        identity = torch.eye(3, 4, device=device).reshape(12)
        cells = (1, 1, 1) if kind == "exposure" else GRID
        self.maps = identity.reshape(1, 12, 1, 1, 1).repeat(photos, 1, *cells).requires_grad_()
        self.adam = torch.optim.Adam([self.maps], lr=RATES[kind], eps=1e-15)

    def apply(self, photo: int, render: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
        """The render as this photo's camera would have shown it."""
        height, width = render.shape[:2]
        grid = self.maps[photo : photo + 1]
        if self.kind == "exposure":
            maps = grid.reshape(3, 4)
            return render @ maps[:, :3].T + maps[:, 3]
        grey = (render.detach() @ render.new_tensor(_GREY)).clamp(0, 1)
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, height, device=render.device), torch.linspace(-1, 1, width, device=render.device),
            indexing="ij",
        )  # fmt: skip
        places = torch.stack([x, y, 2 * grey - 1], -1)[None, None]
        maps = torch.nn.functional.grid_sample(grid, places, align_corners=True, padding_mode="border")
        maps = maps[0, :, 0].movedim(0, -1).reshape(height, width, 3, 4)
        return (maps[..., :3] @ render[..., None])[..., 0] + maps[..., 3]

    def penalty(self, photo: int) -> Float[Tensor, ""] | float:
        """Total variation of a photo's grid: maps of neighbouring cells should be alike."""
        if self.kind == "exposure":
            return 0.0
        grid = self.maps[photo]
        return TOTAL_VARIATION * sum(grid.diff(dim=d).square().mean() for d in (1, 2, 3))

    def step(self, factor: float) -> None:
        """One optimiser step; the rate is multiplied by `factor`."""
        self.adam.param_groups[0]["lr"] = RATES[self.kind] * factor
        self.adam.step()
        self.adam.zero_grad(set_to_none=True)

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue bit-exact."""
        moments = {f"appearance.adam.{k}": v for k, v in self.adam.state.get(self.maps, {}).items()}
        return {"appearance.maps": self.maps} | moments

    def load(self, state: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        with torch.no_grad():
            self.maps.copy_(state["appearance.maps"])
        prefix = "appearance.adam."
        found = {k.removeprefix(prefix): v.clone() for k, v in state.items() if k.startswith(prefix)}
        if found:
            self.adam.state[self.maps] = found
