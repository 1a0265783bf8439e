"""Pictures a prior made, kept as targets until newer ones replace them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unseen.core.camera import Camera


@dataclass(frozen=True)
class PseudoView:
    """One picture.

    Attributes:
        camera: where from.
        image: on the background its fit renders on, [H, W, 3].
        weight: how far each pixel may change the fit, 255 for fully, [H, W].
        vertices: of an avatar's picture the head it shows, posed, metres, [V, 3].
    """

    camera: Camera
    image: UInt8[Tensor, "H W 3"]
    weight: UInt8[Tensor, "H W"]
    vertices: Float[Tensor, "V 3"] | None = None


class ViewBank:
    """The latest views, at most `capacity` of them."""

    def __init__(self, capacity: int) -> None:
        self.views: deque[PseudoView] = deque(maxlen=capacity)

    def __len__(self) -> int:
        return len(self.views)

    def add(self, views: Iterable[PseudoView]) -> None:
        """Keep some more, oldest first."""
        self.views.extend(views)

    def draw(self, count: int, generator: torch.Generator) -> list[PseudoView]:
        """At most `count` different ones."""
        chosen = torch.randperm(len(self.views), generator=generator)[:count]
        return [self.views[int(i)] for i in chosen]

    def state(self) -> dict[str, Tensor]:
        """All of it."""
        out: dict[str, Tensor] = {}
        for i, view in enumerate(self.views):
            parts = {"image": view.image, "weight": view.weight}
            parts |= {"viewmat": view.camera.world_to_camera, "K": view.camera.K}
            parts |= {} if view.vertices is None else {"vertices": view.vertices}
            out |= {f"bank.{i:04d}.{name}": part.clone() for name, part in parts.items()}  # files share no memory
        return out

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.views.clear()
        for key in sorted(k.removesuffix(".image") for k in state if k.startswith("bank.") and k.endswith(".image")):
            image, weight, pose, k = (state[f"{key}.{name}"].cpu() for name in ("image", "weight", "viewmat", "K"))
            vertices = state[f"{key}.vertices"].cpu() if f"{key}.vertices" in state else None
            self.views.append(PseudoView(Camera(pose, k, image.shape[1], image.shape[0]), image, weight, vertices))
