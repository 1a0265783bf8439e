"""Renders become fixed views, each with the photos that show the same things and a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import ShapeError
from unseen.core.gaussians import Gaussians
from unseen.fit.targets import over
from unseen.fit.trainer import Pictures
from unseen.jobs.repair.evidence import Witness, checked_camera, covisible, hear, seen_from, sized
from unseen.jobs.repair.gate import Verdict, judged
from unseen.priors.fixer.fixing import Fixed, Fixer
from unseen.render.scene import View

BATCH = 4
"""Views a fixer is given at a time."""


@dataclass(frozen=True)
class Mended:
    """A view before and after.

    Attributes:
        camera: where from.
        render, fixed: of the camera's size, in [0, 1], [H, W, 3].
        verdict: what becomes of it; its maps have the camera's size, too.
        references: indices of the photos that were shown to the fixer.
    """

    camera: Camera
    render: Float[Tensor, "H W 3"]
    fixed: Float[Tensor, "H W 3"]
    verdict: Verdict
    references: tuple[int, ...]

    @property
    def shown(self) -> Float[Tensor, "H W 3"]:
        """The render with what may be changed in it changed."""
        return torch.lerp(self.render, self.fixed.nan_to_num(), self.verdict.free[..., None])


class Workshop:
    """A fixer at work on a scene as it is.

    Args:
        fixer: repairs renders.
        splats: the scene.
        pictures, fitted: decoded photos, and which of them may be looked at.
        references: photos shown to the fixer beside each render, at most.
        antialiased: as the splats are fitted.
    """

    def __init__(
        self, fixer: Fixer, splats: Gaussians, pictures: Pictures, fitted: Sequence[int], references: int,
        antialiased: bool,
    ) -> None:  # fmt: skip
        self.fixer, self.splats, self.pictures, self.references = fixer, splats, pictures, references
        self.antialiased = antialiased
        self.witnesses = [Witness.of(splats, i, pictures[i], antialiased) for i in pictures.ordered(iter(fitted))]

    def with_fixer(self, fixer: Fixer, references: int) -> Workshop:
        """The same scene and photos, another fixer and number of references."""
        other = copy(self)
        other.fixer, other.references = fixer, references
        return other

    def mend(self, cameras: Sequence[Camera], seed: int) -> list[Mended]:
        """What some cameras see, fixed and judged; `seed` is that of everything random in the fixer.

        Raises:
            ShapeError: the fixer does not keep to `Fixer`.
        """
        done: list[Mended] = []
        while len(done) < len(cameras):
            first = cameras[len(done)]
            size, batch = (first.width, first.height), list[Camera]()
            for camera in cameras[len(done) : len(done) + BATCH]:
                if (camera.width, camera.height) != size:
                    break
                batch.append(camera)
            done += self._batch(batch, seed + len(done))
        return done

    def _batch(self, cameras: Sequence[Camera], seed: int) -> list[Mended]:
        """Of cameras of one size."""
        views = [seen_from(self.splats, camera, self.antialiased) for camera in cameras]
        pairs = zip(views, cameras, strict=True)
        chosen = [tuple(w.photo for w in covisible(v, c, self.witnesses, self.references)) for v, c in pairs]
        renders = torch.stack([view.image for view in views])
        with torch.no_grad():
            fixed = self.fixer.fix(renders, [self._photos(photos, renders) for photos in chosen], seed=seed)
        check_fixed(fixed, renders)
        parts = zip(cameras, views, fixed.images.float().cpu(), fixed.weights.float().cpu(), chosen, strict=True)
        return [Mended(c, v.image, f.clamp(0, 1), self._verdict(c, v, f, w), photos) for c, v, f, w, photos in parts]

    def _photos(self, photos: Sequence[int], like: Float[Tensor, "V H W 3"]) -> Float[Tensor, "R H W 3"]:
        """Photos at the size of the renders."""
        images = []
        for i in photos:
            picture = self.pictures[i]
            images.append(sized(over(picture.image, picture.alpha, torch.zeros(3)), *like.shape[1:3]))
        return torch.stack(images) if images else like.new_zeros(0, *like.shape[1:])

    def _verdict(self, camera: Camera, view: View, fixed: Tensor, trust: Tensor) -> Verdict:
        """Judged at the size of witnesses; the weight comes back at the camera's."""
        small = checked_camera(camera)
        height, width = small.height, small.width
        as_large = (height, width) == (camera.height, camera.width)
        heard = hear(view if as_large else seen_from(self.splats, small, self.antialiased), small, self.witnesses)
        render, fixed = sized(view.image, height, width), sized(fixed, height, width)
        verdict = judged(render, fixed, sized(trust[..., None], height, width)[..., 0], heard)
        maps = sized(torch.stack([verdict.weight, verdict.free], -1), camera.height, camera.width)
        return replace(verdict, weight=maps[..., 0], free=maps[..., 1])


def check_fixed(fixed: Fixed, renders: Float[Tensor, "V H W 3"]) -> None:
    """Refuse what a fixer may not return.

    Raises:
        ShapeError: images or weights have another shape than the renders.
    """
    if fixed.images.shape != renders.shape or fixed.weights.shape != renders.shape[:3]:
        raise ShapeError(
            f"the fixer returned images {tuple(fixed.images.shape)} and weights {tuple(fixed.weights.shape)} for "
            f"renders {tuple(renders.shape)}: expected images of the same shape and a weight per pixel"
        )
