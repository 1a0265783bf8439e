"""Training batches: albums held in memory, their colours changed at random, white kept white."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.nn.functional import avg_pool2d

from unseen.core.errors import InputError
from unseen.priors.multiview.framing import sphere_pose
from unseen.priors.multiview.training.albums import Album

LUMA = (0.299, 0.587, 0.114)
TURN_RAD, SATURATION, GAMMA = 0.5, 0.35, 0.3
"""Standard deviations of the random hue, of log saturation, and of log gamma."""


@dataclass(frozen=True)
class Batch:
    """B people, V views and a reference of each, in [0, 1].

    Attributes:
        images: [B, V, S, S, 3].
        references: [B, 1, S, S, 3].
        cameras: camera-to-world poses relative to the face, [B, V, 4, 4].
        views: index of the person and of each view, and whether they are mirrored, three of [B, V].
    """

    images: Float[Tensor, "B V S S 3"]
    references: Float[Tensor, "B 1 S S 3"]
    cameras: Float[Tensor, "B V 4 4"]
    views: tuple[Int[Tensor, "B V"], Int[Tensor, "B V"], Int[Tensor, "B V"]]


class Pictures:
    """Albums in memory, as uint8.

    Args:
        paths: of albums, all of the same size.
        size: side of the batches' pictures; albums' are a multiple of it.

    Raises:
        InputError: no albums, or too small ones.
    """

    def __init__(self, paths: Sequence[Path], size: int) -> None:
        if not paths:
            raise InputError("no albums to train on: make some first")
        albums = [Album.load(path) for path in paths]
        self.size, self.side = size, albums[0].images.shape[1]
        if self.side % size:
            raise InputError(f"albums have pictures of side {self.side}, expected a multiple of {size}")
        self.images, self.normals, self.references = (
            torch.from_numpy(np.stack([getattr(album, name) for album in albums]))
            for name in ("images", "normals", "references")
        )
        self.poses = torch.stack([_poses(album) for album in albums])

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, count: int, views: int, generator: Generator) -> Batch:
        """People, views and references drawn at random, recoloured and mirrored person by person."""
        parts = [self._person(int(who), views, generator) for who in self._draw(len(self), count, generator)]
        images, references, poses, who, chosen, flips = (torch.stack(part) for part in zip(*parts, strict=True))
        return Batch(images, references, poses, (who, chosen, flips))

    def normal_maps(self, who: int) -> Float[Tensor, "2 V S S 3"]:
        """Normal maps of a person's views, as they are and mirrored."""
        plain = self._shrunk(self.normals[who].float() / 255)
        return torch.stack([plain, mirrored_normals(plain)])

    def singles(self, count: int, generator: Generator) -> Float[Tensor, "N S S 3"]:
        """Single pictures for an autoencoder: whole ones, parts at full resolution, and one in five a normal map."""
        out = []
        for who in self._draw(len(self), count, generator):
            kind, view = torch.rand(2, generator=generator).tolist()
            source = self.normals if kind < 0.2 else self.images
            image = source[who, int(view * source.shape[1])].float() / 255
            if kind > 0.6:
                x, y = (torch.randint(self.side - self.size + 1, (2,), generator=generator) // 8 * 8).tolist()
                image = image[y : y + self.size, x : x + self.size]
            else:
                image = self._shrunk(image)
            if kind >= 0.2:
                image = Recoloring.draw(generator)(image)
            out.append(image.flip(1) if torch.rand((), generator=generator) < 0.5 else image)
        return torch.stack(out)

    def pairs(self, count: int, generator: Generator) -> tuple[Float[Tensor, "N S S 3"], Float[Tensor, "N D D 3"]]:
        """The same pictures at the batches' size and at twice it."""
        double = []
        for who in self._draw(len(self), count, generator):
            view = int(torch.randint(self.images.shape[1], (), generator=generator))
            image = Recoloring.draw(generator)(self._shrunk(self.images[who, view].float() / 255, 2 * self.size))
            double.append(image.flip(1) if torch.rand((), generator=generator) < 0.5 else image)
        stacked = torch.stack(double)
        return self._shrunk(stacked), stacked

    def _person(self, who: int, views: int, generator: Generator) -> tuple[Tensor, ...]:
        chosen = torch.randperm(self.images.shape[1], generator=generator)[:views]
        reference = torch.randint(self.references.shape[1], (1,), generator=generator)
        recolor, flip = Recoloring.draw(generator), bool(torch.rand((), generator=generator) < 0.5)
        images = recolor(self._shrunk(self.images[who, chosen].float() / 255))
        references = recolor(self._shrunk(self.references[who, reference].float() / 255))
        poses = self.poses[who, chosen]
        if flip:
            mirror = torch.diag(torch.tensor([-1.0, 1, 1, 1]))
            images, references, poses = images.flip(-2), references.flip(-2), mirror @ poses @ mirror
        indices = torch.full_like(chosen, who), chosen, torch.full_like(chosen, flip)
        return images, references, poses, *indices

    def _shrunk(self, images: Float[Tensor, "*n D D 3"], size: int | None = None) -> Float[Tensor, "*n S S 3"]:
        factor = images.shape[-2] // (size or self.size)
        flat = images.reshape(-1, *images.shape[-3:]).permute(0, 3, 1, 2)
        return avg_pool2d(flat, factor).permute(0, 2, 3, 1).reshape(*images.shape[:-3], *(2 * (size or self.size,)), 3)

    @staticmethod
    def _draw(n: int, count: int, generator: Generator) -> list[int]:
        drawn: list[int] = torch.randint(n, (count,), generator=generator).tolist()
        return drawn


def mirrored_normals(normals: Float[Tensor, "*n S S 3"]) -> Float[Tensor, "*n S S 3"]:
    """Normal maps of the mirror image: x changes its sign."""
    flipped = normals.flip(-2).clone()
    flipped[..., 0] = 1 - flipped[..., 0]
    return flipped


@dataclass(frozen=True)
class Recoloring:
    """A change of colours that keeps white: hue, saturation and contrast, the same for all pictures of a person.

    Attributes:
        matrix: of colours subtracted from white, [3, 3].
        gamma: per channel, [3].
    """

    matrix: Float[Tensor, "3 3"]
    gamma: Float[Tensor, "3"]

    @classmethod
    def draw(cls, generator: Generator) -> Recoloring:
        """A random one; in one case of three none at all."""
        none, turn, saturation, *gamma = torch.randn(6, generator=generator).tolist()
        if none < -0.43:
            return cls(torch.eye(3), torch.ones(3))
        axis = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / 3**0.5
        rotation = torch.matrix_exp(TURN_RAD * turn * axis)  # about grey
        gray = torch.tensor(LUMA).expand(3, 3)
        s = float(np.exp(SATURATION * saturation))
        shared = gamma[0]
        powers = torch.tensor([0.8 * shared + 0.4 * g for g in gamma])
        return cls((s * torch.eye(3) + (1 - s) * gray) @ rotation, (GAMMA * powers).exp())

    def __call__(self, images: Float[Tensor, "*n 3"]) -> Float[Tensor, "*n 3"]:
        """The images with other colours."""
        turned = (1 - (1 - images) @ self.matrix.T).clamp(0, 1)
        return turned**self.gamma


def _poses(album: Album) -> Float[Tensor, "V 4 4"]:
    """Camera-to-world poses of the views on the unit sphere about the head, looking at its middle."""
    angles = zip(album.yaws_deg.tolist(), album.pitches_deg.tolist(), strict=True)
    return torch.stack([sphere_pose(yaw, pitch) for yaw, pitch in angles])
