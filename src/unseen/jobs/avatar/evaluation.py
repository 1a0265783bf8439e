"""How close the avatar comes to the video: PSNR, SSIM and L1 inside the matte and inside the head, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from unseen.core.camera import Camera
from unseen.fit.metrics import l1, psnr, ssim
from unseen.fit.targets import over
from unseen.head.avatar import Avatar
from unseen.head.model import HeadModel
from unseen.head.tracking import Observations
from unseen.jobs.avatar.coverage import evidence_image
from unseen.render.mesh import rasterize_mesh
from unseen.render.scene import render_gaussians

METRICS = ("psnr", "ssim", "l1")
REGIONS = ("matte", "head", "observed", "unobserved")


def on_white(observations: Observations, t: int) -> Float[Tensor, "H W 3"]:
    """Frame t composited over white with its matte."""
    return over(observations.images[t], observations.alphas[t], torch.ones(3))


def head_mask(model: HeadModel, vertices: Float[Tensor, "V 3"], camera: Camera, matte: Bool[np.ndarray, "H W"]):
    """Pixels of the matte that belong to the head: each goes with the nearest pixel the model covers, and is of the
    head unless that shows the torso. The whole matte where the model has no torso."""
    if "torso" not in model.regions:
        return matte
    torso = np.zeros(model.num_vertices, bool)
    torso[model.regions["torso"].numpy()] = True
    torso_face = torso[model.faces.numpy()].all(1)
    ids = rasterize_mesh(vertices, model.faces, camera).face_ids.numpy()
    if not (ids >= 0).any():
        return matte
    nearest = distance_transform_edt(ids < 0, return_distances=False, return_indices=True)
    return matte & ~torso_face[ids[tuple(nearest)]]


def evaluate_avatar(
    avatar: Avatar,
    observations: Observations,
    held_out: np.ndarray,
    progress: Callable[[int, int], None],
    seen: Float[Tensor, "F"] | None = None,
) -> dict[str, Any]:
    """Metrics on white of every frame, and their means over fitted and held-out frames.

    Args:
        seen: how well the fitted frames saw each triangle, 0 to 1 (`Coverage.seen`); adds the regions `observed` and
            `unobserved`: the parts of the matte where the splats that show were seen by half at least, and the rest.

    Returns a JSON-able dict: `frames` lists per frame its index, whether it was held out, and for `matte` (alpha over
    one half) and `head` (the matte without the torso) psnr in dB, ssim and l1 (None for a region without pixels);
    `fitted` and `held_out` hold the means.
    """
    frames = []
    held = set(held_out.tolist())
    for t in range(len(observations.images)):
        vertices = avatar.model.vertices(avatar.params[t]).detach()[0]
        render, target = render_gaussians(avatar.on(vertices), avatar.camera), on_white(observations, t)
        matte = observations.alphas[t] > 127
        masks = {"matte": matte, "head": head_mask(avatar.model, vertices, avatar.camera, matte)}
        if seen is not None:
            shown = evidence_image(avatar, vertices, avatar.camera, seen).numpy() >= 0.5
            masks |= {"observed": matte & shown, "unobserved": matte & ~shown}
        row: dict[str, Any] = {"frame": t, "held_out": t in held}
        for region, mask in masks.items():
            row[region] = _measure(render, target, torch.from_numpy(mask).float()) if mask.any() else None
        frames.append(row)
        progress(t + 1, len(observations.images))
    return {
        "fitted": _means([f for f in frames if not f["held_out"]]),
        "held_out": _means([f for f in frames if f["held_out"]]),
        "frames": frames,
    }


def _measure(render: Tensor, target: Tensor, mask: Tensor) -> dict[str, float]:
    functions = {"psnr": psnr, "ssim": ssim, "l1": l1}
    return {name: float(function(render[None], target[None], mask[None])) for name, function in functions.items()}


def _means(frames: list[dict[str, Any]]) -> dict[str, Any] | None:
    if not frames:
        return None
    out: dict[str, Any] = {"frames": len(frames)}
    for region in (name for name in frames[0] if name in REGIONS):
        known = [f[region] for f in frames if f[region] is not None]
        out[region] = {m: float(np.mean([k[m] for k in known])) for m in METRICS} if known else None
    return out
