"""What photos say about a place no photo was taken from: their pixels, carried over by the depth of the fit.

A pixel of a new view is a point in space. The photos that see this point (nothing is before it there, by the depth of
the same splats) testify to its colour. Where at least two do and agree, the pixel is settled: a prior has nothing to
add there, and what it makes can be checked there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, interpolate

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.fit.covisibility import unlikeness
from unseen.fit.targets import halved, over
from unseen.io.photoset import Picture
from unseen.render.scene import View, view_gaussians

DEPTH_TOLERANCE = 0.05
"""Difference of depths, as a share of them, within which a photo still sees a point."""
COLOUR_TOLERANCE = 0.1
"""Difference of colours (root mean square over the channels) at which agreement has fallen to 1 / e."""
LARGEST = 512
"""Pixels on a side of photos as witnesses, and of views when they are checked."""
AROUND = 1 / 24
"""Distance, as a share of a picture's longer side, up to which what photos show around a pixel counts for it."""
WITNESSES = 16
"""Photos heard about a view: those whose cameras are nearest to it."""


def seen_from(splats: Gaussians, camera: Camera, antialiased: bool) -> View:
    """What a camera sees of the splats, on black, on the CPU."""
    return View(*(part.cpu() for part in view_gaussians(splats, camera, 0.0, antialiased=antialiased)))


@dataclass(frozen=True)
class Witness:
    """A photo, and how far from its camera the splats are.

    Attributes:
        photo: which one.
        full: its camera.
        camera: the same for the photo as it is kept here, which may be smaller.
        image: on black, [H, W, 3].
        depth: z depth of the splats, 0 where there are none or the photo is masked, [H, W].
    """

    photo: int
    full: Camera
    camera: Camera
    image: Float[Tensor, "H W 3"]
    depth: Float[Tensor, "H W"]

    @classmethod
    def of(cls, splats: Gaussians, photo: int, picture: Picture, antialiased: bool) -> Witness:
        """A photo as a witness of the splats as they are, halved until it has at most `LARGEST` pixels on a side; on
        the CPU."""
        full = picture.camera
        while max(picture.camera.width, picture.camera.height) > LARGEST:
            picture = halved(picture)
        depth = seen_from(splats, picture.camera, antialiased).depth
        if picture.mask is not None:
            depth = depth * (torch.from_numpy(picture.mask) > 127)
        return cls(photo, full, picture.camera, over(picture.image, picture.alpha, torch.zeros(3)), depth)

    def sees(self, points: Float[Tensor, "H W 3"]) -> tuple[Float[Tensor, "H W 3"], Bool[Tensor, "H W"]]:
        """Colours of points in the photo, and which of them it shows."""
        pixels, depth = self.camera.project(points.reshape(-1, 3))
        size = pixels.new_tensor([self.camera.width, self.camera.height])
        places = torch.nan_to_num(2 * pixels / size - 1, nan=9.0).clamp(-9, 9)
        maps = torch.cat([self.image, self.depth[..., None]], -1).movedim(-1, 0)[None]
        found = grid_sample(maps, places[None, None], align_corners=False)[0, :, 0]
        inside = (places.abs() <= 1).all(-1) & (depth > 0)
        near = (found[3] - depth).abs() <= DEPTH_TOLERANCE * depth
        shape = points.shape[:2]
        return found[:3].T.reshape(*shape, 3), (inside & near).reshape(shape)


@dataclass(frozen=True)
class Hearing:
    """What some photos say about a view.

    Attributes:
        colour: mean colour in the photos that see the point, 0 where none does, [H, W, 3].
        seen: how many do, [H, W].
        settled: how far they agree where at least two do, 0 to 1, [H, W].
    """

    colour: Float[Tensor, "H W 3"]
    seen: Float[Tensor, "H W"]
    settled: Float[Tensor, "H W"]

    @property
    def overlap(self) -> float:
        """Share of the pixels that at least one photo sees."""
        return float((self.seen > 0).float().mean())

    @property
    def open(self) -> Float[Tensor, "H W"]:
        """How far each pixel is free to be invented: the squared share of those around it that no photo sees."""
        unseen = (self.seen == 0).float()
        return _mean_around(unseen[..., None], round(AROUND * max(unseen.shape)))[..., 0].square()

    def agreement(self, image: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W"]:
        """How far a picture agrees with the photos' colour, 0 to 1; small shifts do not count."""
        return agreement(_blurred(image) - _blurred(self.colour))

    def error(self, image: Float[Tensor, "H W 3"]) -> float:
        """Mean absolute difference of a picture to the photos' colour where that is settled."""
        difference = (_blurred(image) - _blurred(self.colour)).abs().mean(-1)
        return float((self.settled * difference).sum() / self.settled.sum().clamp_min(1e-6))


def agreement(difference: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W"]:
    """1 for no difference of colours, falling as a Gaussian of `COLOUR_TOLERANCE`."""
    return torch.exp(-difference.square().mean(-1) / COLOUR_TOLERANCE**2)


def hear(view: View, camera: Camera, witnesses: Sequence[Witness]) -> Hearing:
    """What the nearest photos say about a view of the splats.

    Args:
        view: rendered by `camera`, on the CPU.
        camera: where from.
        witnesses: all photos.
    """
    height, width = view.depth.shape
    total, squares, count = torch.zeros(height, width, 3), torch.zeros(height, width, 3), torch.zeros(height, width)
    points = camera.points(view.depth)
    for witness in nearest(camera, witnesses):
        colour, seen = witness.sees(points)
        shown = seen & (view.depth > 0)
        total += colour * shown[..., None]
        squares += colour.square() * shown[..., None]
        count += shown
    mean = total / count.clamp_min(1)[..., None]
    spread = (squares / count.clamp_min(1)[..., None] - mean.square()).clamp_min(0).sqrt()
    return Hearing(mean, count, agreement(spread) * (count >= 2))


def nearest(camera: Camera, witnesses: Sequence[Witness]) -> list[Witness]:
    """The photos whose cameras are most alike, at most `WITNESSES`, the most alike first."""
    scale = spread_of(witnesses)
    return sorted(witnesses, key=lambda w: apart(camera, w.camera, scale))[:WITNESSES]


def spread_of(witnesses: Sequence[Witness]) -> float:
    """How far the photos' cameras are from their middle, root mean square; 1 where they are all in one place."""
    centers = torch.stack([witness.camera.center for witness in witnesses])
    return float((centers - centers.mean(0)).square().sum(1).mean().sqrt()) or 1.0


def apart(a: Camera, b: Camera, scale: float) -> float:
    """How unlike two cameras are (see `unlikeness`)."""
    return float(unlikeness(a, [b], scale)[0])


def covisible(view: View, camera: Camera, witnesses: Sequence[Witness], count: int) -> list[Witness]:
    """The photos that together show most of a view: each next one shows most of what those before it do not.

    Args:
        view, camera, witnesses: as for `hear`.
        count: at most so many; fewer where the others show none of it.
    """
    points, near = camera.points(view.depth), nearest(camera, witnesses)
    shown = [witness.sees(points)[1] & (view.depth > 0) for witness in near]
    return [near[i] for i in _greedy(shown, count)]


def _greedy(shown: Sequence[Bool[Tensor, "H W"]], count: int) -> Iterator[int]:
    """Indices of the masks that add most to those before, and, once nothing is left to add, that cover most."""
    covered, left = torch.zeros_like(shown[0]), set(range(len(shown)))
    for _ in range(min(count, len(shown))):
        best = max(left, key=lambda i: (int((shown[i] & ~covered).sum()), int(shown[i].sum()), -i))
        if not shown[best].any():
            return
        yield best
        covered |= shown[best]
        left.remove(best)


def checked_camera(camera: Camera, largest: int = LARGEST) -> Camera:
    """The same view with at most so many pixels on a side."""
    factor = min(1.0, largest / max(camera.width, camera.height))
    return camera.resized(max(8, round(camera.width * factor)), max(8, round(camera.height * factor)))


def sized(image: Float[Tensor, "H W C"], height: int, width: int) -> Float[Tensor, "h w C"]:
    """An image with values in [0, 1] at another size, without aliasing."""
    if image.shape[:2] == (height, width):
        return image
    resized = interpolate(image.movedim(-1, 0)[None], (height, width), mode="bicubic", antialias=True)
    return resized[0].movedim(0, -1).clamp(0, 1)


def _blurred(image: Float[Tensor, "H W 3"]) -> Float[Tensor, "H W 3"]:
    """Mean over 3 x 3 pixels."""
    return _mean_around(image, 1)


def _mean_around(image: Float[Tensor, "H W C"], reach: int) -> Float[Tensor, "H W C"]:
    """Mean over squares that go so many pixels to each side."""
    mean = avg_pool2d(image.movedim(-1, 0)[None], 2 * reach + 1, 1, reach, count_include_pad=False)
    return mean[0].movedim(0, -1)
