"""Batches of triplets: crops of renders, of the photos they should look like, and of photos from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from PIL import Image
from torch import Generator, Tensor

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike
from unseen.io.images import read_image
from unseen.io.triplets import Split, Triplet, read_triplets

MEMORY = 2 << 30
"""Bytes of decoded pictures that are kept; others are decoded anew each time."""


@dataclass(frozen=True)
class TripletBatch:
    """Crops, all of one triplet at the same pixels; images in [0, 1].

    Attributes:
        renders: what is to be repaired, [B, S, S, 3].
        truths: what it should look like, [B, S, S, 3].
        references: photos from elsewhere, the one that shows most of the same first, black where there is none, [B, R,
            S, S, 3].
        known: which references there are, [B, R].
    """

    renders: Float[Tensor, "B S S 3"]
    truths: Float[Tensor, "B S S 3"]
    references: Float[Tensor, "B R S S 3"]
    known: Bool[Tensor, "B R"]


Shrink = Callable[[int, int], tuple[int, int]]


class Triplets:
    """Triplets of folders of `unseen curate`, or of JSON files of pairs, as batches.

    Pictures are decoded when they are first asked for and then kept, up to a budget.

    Args:
        paths: as `read_triplets` takes them.
        side: of the crops in pixels.
        references: per triplet, R; triplets may have fewer.
        split: which triplets.
        strategies: of these fits alone; all without it.
        device: where batches are put.
        memory: bytes of decoded pictures that are kept.
        shrink: the height and width at which pictures of some height and width are looked at; as they are without it.

    Raises:
        InputError: no such triplets there.
        FormatError: a manifest is damaged.
    """

    def __init__(
        self, paths: Iterable[PathLike], side: int, *, references: int = 1, split: Split = "train",
        strategies: Collection[str] | None = None, device: torch.device | str = "cpu", memory: int = MEMORY,
        shrink: Shrink | None = None,
    ) -> None:  # fmt: skip
        places = [Path(path) for path in paths]
        found = [triplet for place in places for triplet in read_triplets(place)]
        self.items: list[Triplet] = [
            t for t in found if t.split == split and (strategies is None or t.strategy in strategies)
        ]
        if not self.items:
            raise InputError(
                f"{', '.join(map(str, places))}: none of {len(found)} triplets is of the split {split!r}"
                + ("" if strategies is None else f" and of {', '.join(strategies)}")
            )
        self.side, self.references, self.device = side, references, torch.device(device)
        self._decoded = _Decoded(memory, shrink)

    def __len__(self) -> int:
        return len(self.items)

    def sample(self, count: int, generator: Generator) -> TripletBatch:
        """Random triplets, cropped anywhere, half of them mirrored left to right (never upside down).

        Raises:
            InputError: a picture is smaller than the crops, or gone.
            FormatError: a picture is damaged, or not of its render's size.
        """
        numbers = torch.randint(len(self), (count,), generator=generator).tolist()
        places = torch.rand(count, 2, generator=generator, dtype=torch.float64)
        mirrored = (torch.rand(count, generator=generator) < 0.5).tolist()
        return self._batch([self._crop(*job) for job in zip(numbers, places, mirrored, strict=True)])

    def middle(self, numbers: Sequence[int] | Int[Tensor, "B"]) -> TripletBatch:
        """Given triplets, cropped in the middle, as evaluation needs them; errors as of `sample`."""
        centre = torch.full((2,), 0.5, dtype=torch.float64)
        return self._batch([self._crop(int(number), centre, False) for number in numbers])

    def whole(self, number: int) -> TripletBatch:
        """One triplet uncropped, [1, H, W, 3] and [1, R, H, W, 3]; errors as of `sample`."""
        return self._batch([self._pictures(number)])

    def _pictures(self, number: int) -> list[np.ndarray | None]:
        """Render, truth and R references, of one size; None for a reference there is not."""
        item = self.items[number]
        render, truth = self._decoded[item.render], self._decoded[item.truth]
        size = render.shape[1::-1]
        photos = [_of_size(self._decoded[path], size) for path in item.references]
        truth = _of_size(truth, size)
        others: list[np.ndarray | None] = [photo for photo in photos if not np.array_equal(photo, truth)]
        return [render, truth, *(others + [None] * self.references)[: self.references]]

    def _crop(self, number: int, place: Float[Tensor, "2"], mirror: bool) -> list[np.ndarray | None]:
        """The pictures at a rectangle; `place` is where it is between the first and the last one that fits."""
        pictures = self._pictures(number)
        assert pictures[0] is not None
        height, width = pictures[0].shape[:2]
        if min(height, width) < self.side:
            raise InputError(
                f"{self.items[number].render} has {width} x {height} pixels: expected at least {self.side} each way"
            )
        top, left = (round(float(p) * (n - self.side)) for p, n in zip(place, (height, width), strict=True))
        window = slice(top, top + self.side), slice(left, left + self.side)
        turned = slice(None, None, -1 if mirror else 1)
        return [None if picture is None else picture[window][:, turned] for picture in pictures]

    def _batch(self, rows: Sequence[Sequence[UInt8[np.ndarray, "H W 3"] | None]]) -> TripletBatch:
        blank = np.zeros_like(rows[0][0])
        known = torch.tensor([[picture is not None for picture in row[2:]] for row in rows], dtype=torch.bool)
        stack = np.stack([np.stack([blank if picture is None else picture for picture in row]) for row in rows])
        images = torch.from_numpy(stack).to(self.device).float() / 255
        known = known.reshape(len(rows), self.references).to(self.device)
        return TripletBatch(images[:, 0], images[:, 1], images[:, 2:], known)


class _Decoded:
    """Pictures by path; the first ones stay until the budget is used."""

    def __init__(self, budget: int, shrink: Shrink | None) -> None:
        self.budget, self.shrink = budget, shrink
        self.kept: dict[Path, UInt8[np.ndarray, "H W 3"]] = {}

    def __getitem__(self, path: Path) -> UInt8[np.ndarray, "H W 3"]:
        if path in self.kept:
            return self.kept[path]
        image = read_image(path).numpy()
        if self.shrink is not None:
            image = _of_size(image, self.shrink(*image.shape[:2])[::-1])
        if image.nbytes <= self.budget:
            self.budget -= image.nbytes
            self.kept[path] = image
        return image


def _of_size(image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"]:
    """An image at a width and height."""
    if image.shape[1::-1] == size:
        return image
    return np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
