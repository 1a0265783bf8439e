"""Photographs of a scene with their exact depth and coverage."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.render.mesh.rasterize import draw
from unseen.synthetic.color import displayed
from unseen.synthetic.lighting import transform
from unseen.synthetic.scenes.scene import Scene
from unseen.synthetic.scenes.shading import shade_samples

NEAR_M = 0.02


@dataclass(frozen=True)
class Shot:
    """One photograph.

    Attributes:
        image: sRGB, [H, W, 3].
        depth: z in the camera frame at the pixels' centres in the scene's unit, 0 where there is nothing, [H, W].
        alpha: coverage by the scene, 0 where the sky shows, [H, W].
        subject: coverage by what the scene is about, [H, W].
    """

    image: UInt8[Tensor, "H W 3"]
    depth: Float[Tensor, "H W"]
    alpha: UInt8[Tensor, "H W"]
    subject: UInt8[Tensor, "H W"]


def shoot(
    scene: Scene, camera: Camera, *, supersampling: int = 2, exposure: float = 1.0, noise: float = 0.0, seed: int = 0
) -> Shot:
    """Photograph a scene.

    Args:
        scene: what is seen.
        camera: from where.
        supersampling: samples per pixel along each axis.
        exposure: factor on the light, 1 for the scene's own.
        noise: standard deviation of the sensor's noise, image range 1.
        seed: of the noise.

    Raises:
        InputError: less than one sample per pixel.
    """
    if supersampling < 1:
        raise InputError(f"{supersampling} samples per pixel and axis: expected at least 1")
    fine = camera.resized(camera.width * supersampling, camera.height * supersampling)
    buffers = _draw(scene, fine)
    linear = shade_samples(scene, fine, buffers, exposure * scene.exposure, supersampling)
    srgb = displayed(linear)
    if noise > 0:
        srgb = srgb + np.random.default_rng([seed, 0x6A1]).normal(scale=noise, size=srgb.shape)
    _, _, depth = _draw(scene, camera)
    ids = buffers[0]
    return Shot(
        torch.from_numpy((np.clip(srgb, 0, 1) * 255 + 0.5).astype(np.uint8)),
        torch.from_numpy(np.where(np.isfinite(depth), depth, 0).astype(np.float32)),
        _coverage(ids >= 0, supersampling),
        _coverage((ids >= 0) & scene.subject[ids], supersampling),
    )


def _draw(scene: Scene, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = (camera.K.double() @ camera.world_to_camera.double()[:3]).numpy()
    return draw(transform(matrix, scene.vertices), scene.faces, camera.height, camera.width, NEAR_M, False)


def _coverage(samples: np.ndarray, factor: int) -> UInt8[Tensor, "H W"]:
    height, width = samples.shape[0] // factor, samples.shape[1] // factor
    share = samples.reshape(height, factor, width, factor).mean((1, 3))
    return torch.from_numpy((255 * share + 0.5).astype(np.uint8))
