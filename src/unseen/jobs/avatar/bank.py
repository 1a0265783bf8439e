"""Pictures a prior made of an avatar, kept as targets until newer ones replace them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unseen.core.camera import Camera

_TENSORS = ("vertices", "image", "weight")


@dataclass(frozen=True)
class PseudoView:
    """One picture.

    Attributes:
        vertices: the head it shows, posed, metres, [V, 3].
        camera: where from.
        image: on white, [H, W, 3].
        weight: how little the frames saw of what it shows, 255 for nothing, [H, W].
    """

    vertices: Float[Tensor, "V 3"]
    camera: Camera
    image: UInt8[Tensor, "H W 3"]
    weight: UInt8[Tensor, "H W"]


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
            parts = {name: getattr(view, name) for name in _TENSORS}
            parts |= {"viewmat": view.camera.world_to_camera, "K": view.camera.K}
            out |= {f"bank.{i:04d}.{name}": part.clone() for name, part in parts.items()}  # files share no memory
        return out

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Inverse of `state`."""
        self.views.clear()
        for key in sorted(k.removesuffix(".image") for k in state if k.startswith("bank.") and k.endswith(".image")):
            vertices, image, weight = (state[f"{key}.{name}"].cpu() for name in _TENSORS)
            camera = Camera(state[f"{key}.viewmat"].cpu(), state[f"{key}.K"].cpu(), image.shape[1], image.shape[0])
            self.views.append(PseudoView(vertices, camera, image, weight))
