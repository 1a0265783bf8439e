"""Held-out synthetic people for `avatar_prior`: a frontal clip of each, and true pictures from the sides and behind,
some to judge by, some for an oracle. Filmed once and kept in a folder."""

import os
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from unseen.core.camera import Camera
from unseen.fit.targets import over
from unseen.head.avatar import Avatar
from unseen.head.library import head_model
from unseen.head.params import HeadParams
from unseen.head.procedural import procedural_head
from unseen.head.tracking import Observations, Track
from unseen.io.atomic import atomic_write
from unseen.priors.multiview.framing import HeadPlace
from unseen.synthetic.actor import Actor
from unseen.synthetic.clip import room
from unseen.synthetic.color import displayed
from unseen.synthetic.lighting import Lighting
from unseen.synthetic.motion import Motion
from unseen.synthetic.subject import SyntheticSubject

FIRST_SEED = 900_000
"""Recipes train on seeds below 800,000."""
FRAMES, FPS, SIZE = 48, 24.0, 256
TURNS = ((0.0, 0.0), (0.55, 25.0), (0.65, 25.0), (1.45, -25.0), (1.55, -25.0), (1.95, 0.0))
"""Seconds and degrees: all that the clip shows of a head's sides."""
JUDGED = (5, 29)
"""Frames whose pose is looked at from other sides; held out."""
YAWS = (45, -45, 90, -90, 135, -135, 180)
"""Degrees from the face's direction."""

ORACLE_VIEWS, ORACLE_PITCH = 32, (-10.0, 20.0)


@dataclass(frozen=True)
class NovelView:
    """A true picture no camera of the clip took: image and matte [S, S] uint8, of frame `frame`, `yaw` degrees from the
    face's direction."""

    frame: int
    yaw: int
    camera: Camera
    image: np.ndarray
    alpha: np.ndarray

    @property
    def white(self) -> torch.Tensor:
        """The picture over white, float [S, S, 3]."""
        return over(self.image, self.alpha, torch.ones(3))


class Identity:
    """One held-out person.

    Args:
        seed: of subject, light and motion.
        folder: where films are kept.
    """

    def __init__(self, seed: int, folder: Path) -> None:
        self.seed, self.folder, self.model = seed, folder, head_model()
        self.light = Lighting.sample(seed)
        self.subject = SyntheticSubject.sample(seed)
        motion = Motion.sample(seed, FRAMES, fps=FPS, turns=TURNS)
        self.params = motion.params(procedural_head(), self.subject.shape).fitted_to(self.model)
        self.camera = Camera.look_at((0.0, -0.01, 1.05), (0.0, -0.032, 0.0), SIZE, SIZE, focal_px=2.5 * SIZE)

    @cached_property
    def actor(self) -> Actor:
        """The person, built when something is left to film."""
        return Actor.build(self.subject, self.model, texture_size=512)

    def track(self) -> Track:
        """The true head parameters."""
        return Track(self.params, self.camera, FPS)

    def observations(self) -> Observations:
        """The clip, before a blurred room, with true matte and landmarks."""
        kept = self._kept("clip", self._film_clip)
        return Observations(kept["images"], kept["alphas"], kept["landmarks_px"], FPS)

    def novel_views(self) -> list[NovelView]:
        """True pictures from `YAWS` of the frames `JUDGED`."""
        wanted = [(t, yaw) for t in JUDGED for yaw in YAWS]
        cameras = [around(self.model, self.params[t], yaw, 0.0, SIZE) for t, yaw in wanted]
        kept = self._kept("novel", lambda: self._film_novel(wanted, cameras))
        rows = zip(wanted, cameras, kept["images"], kept["alphas"], strict=True)
        return [NovelView(t, yaw, camera, image, alpha) for (t, yaw), camera, image, alpha in rows]

    def oracle_views(self) -> list[NovelView]:
        """True pictures of random frames from random sides: what a perfect prior would make."""
        rng = np.random.default_rng([self.seed, 0x0AC1E])
        wanted = [(int(rng.integers(FRAMES)), yaw, rng.uniform(*ORACLE_PITCH)) for yaw in oracle_yaws(rng)]
        cameras = [around(self.model, self.params[t], yaw, pitch, SIZE) for t, yaw, pitch in wanted]
        kept = self._kept("oracle", lambda: self._film_novel([(t, 0) for t, _, _ in wanted], cameras))
        rows = zip(wanted, cameras, kept["images"], kept["alphas"], strict=True)
        return [NovelView(t, round(yaw), camera, image, alpha) for (t, yaw, _), camera, image, alpha in rows]

    def seen_from(self, view: NovelView, avatar: Avatar) -> Camera:
        """The camera of a view, moved with the head from where it truly is to where the avatar has it."""
        true, fitted = (
            m.forward(p[view.frame]).joint_transforms[0, 1].detach()
            for m, p in ((self.model, self.params), (avatar.model, avatar.params))
        )
        world_to_camera = view.camera.world_to_camera.clone()
        back = homogeneous(true) @ torch.linalg.inv(homogeneous(fitted))
        return replace(view.camera, world_to_camera=world_to_camera @ back)

    def film(self, params: HeadParams, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        """True picture and matte, uint8, before black, of one frame of parameters."""
        view = self.actor.pose(params)[0].film(camera, self.light)
        alpha = np.clip(view.alpha[..., None], 1e-6, 1)
        image = displayed(view.color / alpha) * (view.alpha[..., None] > 0)
        return _bytes(image), _bytes(view.alpha)

    def _film_clip(self) -> dict[str, np.ndarray]:
        backdrop = displayed(room(self.seed, SIZE, SIZE))
        images, alphas = [], []
        for t in range(FRAMES):
            image, alpha = self.film(self.params[t], self.camera)
            share = alpha[..., None] / 255
            images.append(_bytes(share * (image / 255) + (1 - share) * backdrop))
            alphas.append(alpha)
        marks = self.model.landmark_points(self.params)
        pixels, depth = self.camera.project(marks)
        scale = self.camera.K[0, 0] / depth.mean(1, keepdim=True)
        landmarks = torch.cat([pixels, ((depth - depth.mean(1, keepdim=True)) * scale)[..., None]], -1)
        return {"images": np.stack(images), "alphas": np.stack(alphas), "landmarks_px": landmarks.float().numpy()}

    def _film_novel(self, wanted: list[tuple[int, int]], cameras: list[Camera]) -> dict[str, np.ndarray]:
        taken = [self.film(self.params[t], camera) for (t, _), camera in zip(wanted, cameras, strict=True)]
        return {"images": np.stack([image for image, _ in taken]), "alphas": np.stack([alpha for _, alpha in taken])}

    def _kept(self, name: str, make) -> dict[str, np.ndarray]:
        path = self.folder / f"{self.seed}-{name}.npz"
        if not path.is_file():
            os.makedirs(self.folder, exist_ok=True)
            arrays = make()
            with atomic_write(path) as part, part.open("wb") as file:
                np.savez_compressed(file, **arrays)
        with np.load(path) as file:
            return {key: file[key] for key in file.files}


def oracle_yaws(rng: np.random.Generator) -> list[float]:
    """Yaws of the oracle's pictures, in random order, evenly over what the clip leaves out."""
    limit = max(abs(yaw) for _, yaw in TURNS)
    open_deg = 2 * (180 - limit)
    places = (rng.permutation(ORACLE_VIEWS) + rng.uniform(size=ORACLE_VIEWS)) / ORACLE_VIEWS * open_deg
    return [float((limit + place + 180) % 360 - 180) for place in places]


def around(model, frame: HeadParams, yaw_deg: float, pitch_deg: float, size: int) -> Camera:
    """Camera `yaw_deg` from the face's direction in one frame."""
    place = HeadPlace.of(model, frame)
    ahead = place.facing_deg
    return place.camera(ahead + yaw_deg, pitch_deg, size)


def homogeneous(rigid: torch.Tensor) -> torch.Tensor:
    """[3, 4] as [4, 4]."""
    return torch.cat([rigid, rigid.new_tensor([[0, 0, 0, 1.0]])])


def _bytes(values: np.ndarray) -> np.ndarray:
    return (np.clip(values, 0, 1) * 255 + 0.5).astype(np.uint8)
