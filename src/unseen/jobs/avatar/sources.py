"""Who makes the pictures of what the camera never saw: a generative prior, or the mirror."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.head.avatar import Avatar
from unseen.head.mirror import Mirror, mirrored_camera
from unseen.head.model import HeadModel
from unseen.head.tracking import Observations, Track
from unseen.jobs.avatar.config import PriorConfig
from unseen.jobs.avatar.viewpoints import prior_cameras
from unseen.priors.multiview import HeadPlace, MultiViewDiffusion, cropped, normal_images
from unseen.render.scene import render_gaussians


@dataclass(frozen=True)
class Scene:
    """One posed frame of an avatar that is being fitted, and where to look at it from.

    Attributes:
        avatar: as it is now.
        frame: which of its frames.
        vertices: the head in that frame, [V, 3].
        splats: the avatar in that frame, in the world.
        cameras: square ones that frame the head.
    """

    avatar: Avatar
    frame: int
    vertices: Float[Tensor, "V 3"]
    splats: Gaussians
    cameras: Sequence[Camera]

    def renders(self, size: int) -> Float[Tensor, "C S S 3"]:
        """What its cameras see now, on white, at another size."""
        return torch.stack([render_gaussians(self.splats, c.resized(size, size)) for c in self.cameras])


class ViewPrior(Protocol):
    """Makes pictures of a head from sides nobody filmed."""

    output_size: int

    def imagine(self, scene: Scene, strength: float, generator: torch.Generator) -> Float[Tensor, "C O O 3"]:
        """What the scene's cameras should see, on white, in [0, 1].

        Args:
            scene: the avatar as it is.
            strength: how little of it to keep: share of the noise schedule at which to start, in (0, 1].
            generator: of everything random.
        """


@dataclass(frozen=True)
class Shot:
    """A picture of a head: posed vertices [V, 3], camera, image on white [H, W, 3]."""

    vertices: Float[Tensor, "V 3"]
    camera: Camera
    image: Float[Tensor, "H W 3"]


class ViewSource(Protocol):
    """Where groups of pseudo views come from."""

    def group(self, avatar: Avatar, progress: float, reach: float, generator: torch.Generator) -> list[Shot]:
        """Some pictures for the avatar as it is.

        Args:
            progress: share of the steps with the prior that are done.
            reach: how much farther from what was filmed to go than at first, 0 to 1.
        """


class ImaginedViews:
    """Groups of views around random fitted frames, made by a prior.

    Args:
        prior: makes them.
        config: settings.
        fitted: frames that may be looked at.
        filmed: yaws at which they show the head, see `filmed_yaws`.
    """

    def __init__(self, prior: ViewPrior, config: PriorConfig, fitted: np.ndarray, filmed: tuple[float, float]) -> None:
        self.prior, self.config, self.fitted, self.filmed = prior, config, fitted, filmed

    def group(self, avatar: Avatar, progress: float, reach: float, generator: torch.Generator) -> list[Shot]:
        """See `ViewSource.group`."""
        scene = self.scene(avatar, reach, generator)
        images = self.prior.imagine(scene, self.strength(progress, generator), generator)
        return [Shot(scene.vertices, c, i) for c, i in zip(scene.cameras, images.cpu(), strict=True)]

    def scene(self, avatar: Avatar, reach: float, generator: torch.Generator) -> Scene:
        """A random fitted frame with a group of cameras."""
        t = int(self.fitted[int(torch.randint(len(self.fitted), (1,), generator=generator))])
        size, frame = self.prior.output_size, avatar.params[t]
        cameras = prior_cameras(avatar, frame, self.filmed, reach, self.config, size, generator)
        vertices = avatar.model.vertices(frame)[0]
        return Scene(avatar, t, vertices, avatar.on(vertices), cameras)

    def strength(self, progress: float, generator: torch.Generator) -> float:
        """Share of the noise schedule to start from: even over its range, or falling through it, a little random."""
        low, high = self.config.t_range
        drawn = float(torch.rand(1, generator=generator))
        if self.config.annealed:
            drawn = min(1.0, max(0.0, 1 - progress + 0.2 * (drawn - 0.5)))
        return low + (high - low) * drawn


class DiffusionViews:
    """The multi-view head diffusion as a `ViewPrior`.

    Args:
        model: an `unseen.priors.multiview` diffusion, steered by normal maps or by camera poses.
        images: pictures of the person for its reference, at its input size, on white, [R, S, S, 3].
        config: settings.
    """

    def __init__(self, model: MultiViewDiffusion, images: Float[Tensor, "R S S 3"], config: PriorConfig) -> None:
        self.model, self.config = model, config
        self.reference = model.reference(images)
        self.output_size = model.output_size if config.upsample else model.image_size

    def imagine(self, scene: Scene, strength: float, generator: torch.Generator) -> Float[Tensor, "C O O 3"]:
        """See `ViewPrior.imagine`: renders are noised and denoised (GAF, section 4.2)."""
        with torch.no_grad():
            normals, cameras = self._steering(scene)
            images = self.model.denoise(
                self.reference, normals, scene.renders(self.model.image_size), cameras=cameras, strength=strength,
                steps=math.ceil(strength * self.model.schedule.length / self.config.stride),
                guidance=self.config.guidance, generator=generator, upsample=self.config.upsample,
            )  # fmt: skip
        return images.float().clamp(0, 1)

    def score(
        self, scene: Scene, renders: Float[Tensor, "C S S 3"], t: float, generator: torch.Generator
    ) -> Float[Tensor, ""]:
        """Loss whose gradient in the renders is that of score distillation at share `t` of the schedule."""
        normals, cameras = self._steering(scene)
        return self.model.score_distillation(
            self.reference, normals, renders, cameras=cameras, t=t, guidance=self.config.guidance, generator=generator
        )

    def _steering(self, scene: Scene) -> tuple[Tensor | None, Tensor | None]:
        """What tells the network where the scene's cameras are: normal maps or poses."""
        if self.model.config.uses_cameras:
            place = HeadPlace.of(scene.avatar.model, scene.avatar.params[scene.frame])
            return None, torch.stack([place.pose(c) for c in scene.cameras])
        side = self.model.image_size
        cameras = [c.resized(side, side) for c in scene.cameras]
        return normal_images(scene.avatar.model, scene.vertices, cameras), None


class MirroredViews:
    """Real frames in a mirror: what the camera saw of the left cheek is a guess at the right one. No network.

    Args:
        observations: the video.
        config: settings.
        fitted: frames that may be looked at.
        size: side of the pictures in pixels.
    """

    def __init__(self, observations: Observations, config: PriorConfig, fitted: np.ndarray, size: int) -> None:
        self.observations, self.config, self.fitted, self.size = observations, config, fitted, size
        self._mirror: Mirror | None = None

    def group(self, avatar: Avatar, progress: float, reach: float, generator: torch.Generator) -> list[Shot]:
        """See `ViewSource.group`."""
        self._mirror = self._mirror or Mirror(avatar.model)
        chosen = torch.randperm(len(self.fitted), generator=generator)[: self.config.group]
        return [self._shot(avatar, int(self.fitted[int(i)]), self._mirror) for i in chosen]

    def _shot(self, avatar: Avatar, t: int, mirror: Mirror) -> Shot:
        crop = HeadPlace.of(avatar.model, avatar.params[t]).crop(avatar.camera, self.size)
        image = cropped(self.observations.images[t], self.observations.alphas[t], avatar.camera, crop)
        vertices = avatar.model.vertices(mirror(avatar.params[t]))[0]
        return Shot(vertices, mirrored_camera(crop), image.flip(1))


def reference_images(
    model: HeadModel, track: Track, observations: Observations, fitted: np.ndarray, count: int, size: int
) -> Float[Tensor, "R S S 3"]:
    """The fitted frames that show the person best, on white: the sharpest of the most frontal quarter.

    Args:
        count: R, at most.
        size: side of the pictures in pixels.
    """
    places = [HeadPlace.of(model, track.params[int(t)]) for t in fitted]
    turns = np.array([abs(place.yaw_to(track.camera)) for place in places])
    frontal = np.argsort(turns, kind="stable")[: max(count, len(fitted) // 4)]
    views = [
        cropped(observations.images[t], observations.alphas[t], track.camera, places[i].crop(track.camera, size))
        for i, t in zip(frontal, fitted[frontal], strict=True)
    ]
    best = np.argsort([-_sharpness(view) for view in views], kind="stable")[:count]
    return torch.stack([views[i] for i in best])


def _sharpness(image: Float[Tensor, "S S 3"]) -> float:
    """Mean square of the image's Laplacian."""
    grey = image.mean(-1)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * grey[1:-1, 1:-1]).square().mean())
