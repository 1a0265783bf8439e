"""Little worlds as training data: views with depth, cameras and captions, one `.npz` per world."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float16, Float32, UInt8

from unseen.core.camera import Camera, stack_cameras
from unseen.io.arrays import load_arrays, save_arrays
from unseen.synthetic.processes import files_of
from unseen.synthetic.worlds.filming import camera_path
from unseen.synthetic.worlds.shading import View
from unseen.synthetic.worlds.world import Kind, LittleWorld

HELD_OUT_FROM = 900_000
"""Seeds from here on are of worlds that no recipe trains on."""
VIEWS, CAPTIONS = 16, 8
SIZE = (128, 96)
"""Width and height in pixels."""


@dataclass(frozen=True)
class WorldShots:
    """One world, filmed along a path.

    Attributes:
        images: sRGB, [V, H, W, 3].
        depths: z in the camera's frame, metres; the sky is a dome, so that all are finite, [V, H, W].
        viewmats: world to camera, OpenCV axes, metres, [V, 4, 4].
        K: intrinsics in pixels, the same for all views, [3, 3].
        between_images, between_depths, between_viewmats: the same halfway between neighbours, for evaluation, [V - 1,
            ...]; of no length where they were not asked for.
        captions: ways to describe it; the first leaves nothing out that is seen.
        kind: room or landscape.
        move: kind of the camera path.
        seed: that it came from.
    """

    images: UInt8[np.ndarray, "V H W 3"]
    depths: Float16[np.ndarray, "V H W"]
    viewmats: Float32[np.ndarray, "V 4 4"]
    K: Float32[np.ndarray, "3 3"]
    between_images: UInt8[np.ndarray, "B H W 3"]
    between_depths: Float16[np.ndarray, "B H W"]
    between_viewmats: Float32[np.ndarray, "B 4 4"]
    captions: tuple[str, ...]
    kind: str
    move: str
    seed: int

    @property
    def cameras(self) -> list[Camera]:
        """One per view."""
        return self._cameras(self.viewmats)

    @property
    def between_cameras(self) -> list[Camera]:
        """One per view in between."""
        return self._cameras(self.between_viewmats)

    def _cameras(self, viewmats: Float[np.ndarray, "N 4 4"]) -> list[Camera]:
        height, width = self.images.shape[1:3]
        k = torch.from_numpy(self.K)
        return [Camera(torch.from_numpy(matrix), k, width, height) for matrix in viewmats]

    def save(self, path: Path) -> None:
        """Write atomically.

        Raises:
            ResourceError: the machine refuses.
        """
        save_arrays(path, vars(self))

    @classmethod
    def load(cls, path: Path) -> WorldShots:
        """Read one.

        Raises:
            InputError: not a little world.
        """
        names = cls.__dataclass_fields__
        arrays: dict[str, Any] = load_arrays(path, names, "a little world, as `unseen train` films them")
        arrays["captions"] = tuple(arrays["captions"].tolist())
        return cls(**arrays | {name: arrays[name].item() for name in ("kind", "move", "seed")})


def film_world(
    seed: int, *, views: int = VIEWS, size: tuple[int, int] = SIZE, kind: Kind | None = None, between: bool = False,
    captions: int = CAPTIONS,
) -> WorldShots:  # fmt: skip
    """Invent a world, a path through it and captions of what is seen, from the seed alone.

    Args:
        seed: of everything.
        views: along the path.
        size: width and height of the images, pixels.
        kind: room or landscape; either without one.
        between: film also halfway between neighbours.
        captions: how many.

    Raises:
        InputError: no such kind, or fewer than two views.
    """
    world = LittleWorld.sample(seed, kind)
    rng = np.random.default_rng([seed, 0xCA7])
    path = camera_path(world, rng)
    cameras = path.cameras(views, *size)
    shots = [world.photograph(camera) for camera in cameras]
    spare = path.between(views, *size) if between else []
    extra = [world.photograph(camera) for camera in spare]
    seen = world.seen_in(shots)
    texts = [world.caption(rng, seen=seen, full=i == 0) for i in range(captions)]
    images, depths, viewmats = _arrays(shots, cameras, size)
    return WorldShots(
        images, depths, viewmats, cameras[0].K.numpy(), *_arrays(extra, spare, size),
        captions=tuple(texts), kind=world.kind, move=path.move, seed=seed,
    )  # fmt: skip


def _arrays(
    shots: Sequence[View], cameras: Sequence[Camera], size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    width, height = size
    images = np.array([shot.image for shot in shots], np.uint8).reshape(-1, height, width, 3)
    depths = np.array([shot.depth for shot in shots]).astype(np.float16).reshape(-1, height, width)
    viewmats = stack_cameras(cameras)[0].numpy() if cameras else np.zeros((0, 4, 4), np.float32)
    return images, depths, viewmats


def render_worlds(
    folder: Path, seeds: Sequence[int], progress: Callable[[int, int], None], *, views: int = VIEWS,
    size: tuple[int, int] = SIZE, between: bool = False, workers: int = 1,
) -> list[Path]:  # fmt: skip
    """Film the worlds that `folder` lacks, in several processes; returns all their paths.

    Args:
        folder: made if absent.
        seeds: one per world.
        progress: called with the worlds that there are and those there will be.
        views, size, between: as `film_world` takes them.
        workers: processes.

    Raises:
        ResourceError: the machine refuses a write.
    """
    return files_of(folder, seeds, partial(_film_to, views=views, size=size, between=between), workers, progress)


def _film_to(job: tuple[Path, int], views: int, size: tuple[int, int], between: bool) -> None:
    path, seed = job
    film_world(seed, views=views, size=size, between=between).save(path)
