"""Bringing a picture and its cameras to the size that is generated, by FlashWorld's rule: cut centrally, then scale."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from unseen.core.camera import Camera


@dataclass(frozen=True)
class Framing:
    """The largest central cut of the proportions wanted, and the scale that brings it to the size wanted.

    Attributes:
        left, top, cut_width, cut_height: the cut, in pixels of the picture.
        scale: pixels of the result per pixel of the picture.
        width, height: of the result.
    """

    left: int
    top: int
    cut_width: int
    cut_height: int
    scale: float
    width: int
    height: int

    @classmethod
    def of(cls, width: int, height: int, to_width: int, to_height: int) -> Framing:
        """How a picture of `width` x `height` becomes one of `to_width` x `to_height`."""
        scale = max(to_height / height, to_width / width)
        # a cut that only rounding makes smaller than the picture would lose a row
        cut_width, cut_height = (min(int(to / scale + 1e-9), n) for to, n in ((to_width, width), (to_height, height)))
        left, top = (width - cut_width) // 2, (height - cut_height) // 2
        return cls(left, top, max(cut_width, 1), max(cut_height, 1), scale, to_width, to_height)

    def picture(self, image: UInt8[Tensor, "h w 3"]) -> Float[Tensor, "H W 3"]:
        """The picture cut and scaled (bicubic, as Pillow does), float32 in [0, 1]."""
        cut = image[self.top : self.top + self.cut_height, self.left : self.left + self.cut_width]
        scaled = Image.fromarray(cut.contiguous().numpy()).resize((self.width, self.height), Image.Resampling.BICUBIC)
        return torch.frombuffer(bytearray(scaled.tobytes()), dtype=torch.uint8).reshape(
            self.height, self.width, 3
        ).float() / 255  # fmt: skip

    def camera(self, camera: Camera) -> Camera:
        """A camera of the picture as one of the result."""
        shift = camera.K.new_tensor([[1.0, 0, -self.left], [0, 1, -self.top], [0, 0, 1]])
        zoom = torch.diag(camera.K.new_tensor([self.scale, self.scale, 1.0]))
        return replace(camera, K=zoom @ shift @ camera.K, width=self.width, height=self.height)

    def unframed(self, camera: Camera, width: int, height: int) -> Camera:
        """Inverse of `camera`: a camera of the result as one of the picture of `width` x `height`."""
        zoom = torch.diag(camera.K.new_tensor([1 / self.scale, 1 / self.scale, 1.0]))
        shift = camera.K.new_tensor([[1.0, 0, self.left], [0, 1, self.top], [0, 0, 1]])
        return replace(camera, K=shift @ zoom @ camera.K, width=width, height=height)


def halved_size(width: int, height: int, multiple: int) -> tuple[int, int]:
    """The multiples nearest to half of both sides."""
    half = [max(multiple, math.floor(side / 2 / multiple + 0.5) * multiple) for side in (width, height)]
    return half[0], half[1]
