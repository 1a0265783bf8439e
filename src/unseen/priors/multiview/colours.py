"""Colours that an autoencoder loses, given back from the picture it was to show.

A small autoencoder keeps brightness and its details before it keeps hues: magenta cloth comes back grey. What it makes
of the reference, beside the reference itself, tells what is lost of which colour, at which height; views of the same
person lose the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, interpolate

PATCHES, PLACES = 32, 64
"""Patches along a reference's side that are remembered, and places along a view's side where they are asked."""
ALIKE, NEAR = 0.06, 0.2
"""Standard deviations of the differences of colours, and of heights (1: the whole), at which a patch still tells."""
WHITE, SOLID = 0.97, 0.15
"""A patch whiter than the first in all channels is background; pixels change as far as some channel is short of white,
fully from the second on."""


@dataclass(frozen=True)
class LostColours:
    """What was lost of the patches of some pictures.

    Attributes:
        decoded: colours as the autoencoder gives them back, [N, 3].
        lost: what to add to have those of the pictures, [N, 3].
        heights: of the patches, 0 at the top of a picture and 1 at its bottom, [N].
    """

    decoded: Float[Tensor, "N 3"]
    lost: Float[Tensor, "N 3"]
    heights: Float[Tensor, "N"]

    @classmethod
    def of(cls, pictures: Float[Tensor, "R S S 3"], decoded: Float[Tensor, "R S S 3"]) -> LostColours:
        """What `decoded` lacks of the pictures, both on white."""
        side = min(PATCHES, pictures.shape[1])
        true, found = _patches(pictures.to(decoded), side), _patches(decoded, side)
        heights = _heights(side).to(true).repeat(len(pictures))
        person = (true < WHITE).any(-1)
        return cls(found[person], (true - found)[person], heights[person])

    def restored(self, images: Float[Tensor, "V O O 3"]) -> Float[Tensor, "V O O 3"]:
        """Decoded pictures with what patches like theirs have lost; white stays."""
        if not len(self.lost):
            return images
        return torch.stack([self._restored(image) for image in images])

    def _restored(self, image: Float[Tensor, "O O 3"]) -> Float[Tensor, "O O 3"]:
        side = min(PLACES, image.shape[0])
        heights = _heights(side).to(image)
        far = torch.cdist(_patches(image[None], side), self.decoded).square() / (2 * ALIKE**2)
        far += (heights[:, None] - self.heights).square() / (2 * NEAR**2)
        lost = (torch.softmax(-far, -1) @ self.lost).T.reshape(1, 3, side, side)
        lost = interpolate(lost, image.shape[:2], mode="bilinear", align_corners=False)[0].permute(1, 2, 0)
        person = ((1 - image.amin(-1, keepdim=True)) / SOLID).clamp(0, 1)
        return (image + person * lost).clamp(0, 1)


def _heights(side: int) -> Float[Tensor, "N"]:
    """Heights of patches, row by row."""
    return ((torch.arange(side) + 0.5) / side).repeat_interleave(side)


def _patches(images: Float[Tensor, "R S S 3"], side: int) -> Float[Tensor, "RN 3"]:
    """Mean colours, picture by picture, row by row."""
    return adaptive_avg_pool2d(images.permute(0, 3, 1, 2), side).flatten(2).transpose(1, 2).flatten(0, 1)
