"""How close the avatar comes to the video: PSNR, SSIM and L1 inside the matte and inside the head, frame by frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

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


class JudgedFrame(NamedTuple):
    """One frame of a video beside the avatar's, both on white.

    Attributes:
        render, target: [H, W, 3].
        masks: 1 inside a region, 0 outside, [H, W]: `matte` (alpha over one half), `head` (the matte without the
            torso), and, where it is known what was seen, `observed` and `unobserved`.
    """

    render: Float[Tensor, "H W 3"]
    target: Float[Tensor, "H W 3"]
    masks: dict[str, Float[Tensor, "H W"]]

    def metrics(self) -> dict[str, dict[str, float] | None]:
        """psnr in dB, ssim and l1 of each region; None for a region without pixels."""
        return {region: self._inside(mask) if mask.any() else None for region, mask in self.masks.items()}

    def _inside(self, mask: Float[Tensor, "H W"]) -> dict[str, float]:
        functions = {"psnr": psnr, "ssim": ssim, "l1": l1}
        return {n: float(f(self.render[None], self.target[None], mask[None])) for n, f in functions.items()}


def judged_frames(
    avatar: Avatar, observations: Observations, seen: Float[Tensor, "F"] | None = None
) -> Iterator[JudgedFrame]:
    """Every frame of the video beside the same frame of the avatar's motion, seen by the avatar's camera; `seen` as for
    `evaluate_avatar`."""
    for t in range(len(observations.images)):
        vertices = avatar.model.vertices(avatar.params[t]).detach()[0]
        matte = observations.alphas[t] > 127
        masks = {"matte": matte, "head": head_mask(avatar.model, vertices, avatar.camera, matte)}
        if seen is not None:
            shown = evidence_image(avatar, vertices, avatar.camera, seen).numpy() >= 0.5
            masks |= {"observed": matte & shown, "unobserved": matte & ~shown}
        render = render_gaussians(avatar.on(vertices), avatar.camera)
        as_weights = {region: torch.from_numpy(mask).float() for region, mask in masks.items()}
        yield JudgedFrame(render, on_white(observations, t), as_weights)


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

    Returns a JSON-able dict: `frames` lists per frame its index, whether it was held out, and the regions' metrics as
    `JudgedFrame` has them; `fitted` and `held_out` hold the means.
    """
    frames: list[dict[str, Any]] = []
    held = set(held_out.tolist())
    for t, judged in enumerate(judged_frames(avatar, observations, seen)):
        frames.append({"frame": t, "held_out": t in held, **judged.metrics()})
        progress(t + 1, len(observations.images))
    return {
        "fitted": mean_metrics([f for f in frames if not f["held_out"]]),
        "held_out": mean_metrics([f for f in frames if f["held_out"]]),
        "frames": frames,
    }


def mean_metrics(frames: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """Number of frames and means of all metrics of the regions; None without frames. A frame that shows nothing of a
    region has no metrics there and does not enter."""
    if not frames:
        return None
    out: dict[str, Any] = {"frames": len(frames)}
    for region in (name for name in frames[0] if name in REGIONS):
        known = [f[region] for f in frames if f[region] is not None]
        out[region] = {m: float(np.mean([k[m] for k in known])) for m in known[0]} if known else None
    return out
