"""From a request to Gaussians: at once, or window by window along a path longer than the networks' own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.fit.metrics import psnr
from unseen.io.images import to_uint8_image
from unseen.io.photoset import Picture
from unseen.jobs.progress import Reporter
from unseen.jobs.world.paths import between, near_plane
from unseen.jobs.world.request import WorldRequest
from unseen.jobs.world.settings import WorldSettings
from unseen.priors.world.pipeline import World, WorldPipeline
from unseen.render.scene import View, view_gaussians

COVERED = 0.7
"""Coverage from which a pixel counts as shown by the Gaussians that are there; at 0.5 the background shines through."""
IN_FRONT = 0.95
"""A new Gaussian nearer than this share of the depth of what is there would hide it."""


@dataclass
class Made:
    """What the networks made.

    Attributes:
        gaussians: in the caller's frame, float32, on the CPU.
        views: what the networks showed at each camera of the path, on white; alpha is its coverage.
        between: the same half-way between cameras, kept where a refinement is to be judged by it.
        windows: of each window its first and last view, how many Gaussians it made and how many of them were kept, and
            `seam_psnr_db`: how well it agrees with what was there, over the views that it shares with it.
        seconds: by network, summed over windows.
    """

    gaussians: Gaussians
    views: dict[int, Picture] = field(default_factory=dict)
    between: dict[int, Picture] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)


def make(
    model: WorldPipeline, request: WorldRequest, settings: WorldSettings, reporter: Reporter,
    show: Callable[[Float[Tensor, "N H W 3"]], None] | None = None,
) -> Made:  # fmt: skip
    """Make the request's world.

    The first window holds the view that the picture shows. Each further one is given the Gaussians so far, and as its
    picture their render at the shared view that they cover best. `show` is given the views of every step.

    Raises:
        InputError: the model refuses the request.
        ResourceError: the machine has too little memory.
    """
    cameras, near = request.cameras, near_plane(request.cameras)
    spans = windows(len(cameras), settings.window, settings.overlap, request.image_index)
    generator = torch.Generator().manual_seed(settings.seed)
    made: Made | None = None
    for done, span in enumerate(spans):
        ours = [cameras[i] for i in span]
        shared = [] if made is None else [k for k, i in enumerate(span) if i in made.views]
        old = [] if made is None else [view_gaussians(made.gaussians, ours[k], near_plane=near) for k in shared]
        name = "making the world" if len(spans) == 1 else f"window {done + 1} of {len(spans)}"

        def on_step(k: int, n: int, images: Tensor | None, name: str = name) -> None:
            reporter.stage(name, k + 1, n)
            if show is not None and images is not None:
                show(images)

        world = model.generate(
            ours, prompt=request.prompt, steps=settings.steps, feedback=settings.feedback, generator=generator,
            known=None if made is None else made.gaussians, **_shown(request, span, shared, old),
            on_step=on_step,
        )  # fmt: skip
        own = world.gaussians.detach().to("cpu", torch.float32).finite()
        report: dict[str, Any] = {"views": [span[0], span[-1]], "made": len(own)}
        if made is None:
            made, kept = Made(own), own
        else:
            new = [view_gaussians(own, ours[k], near_plane=near) for k in shared]
            report["seam_psnr_db"] = seam(old, new)
            kept = own.select(fills(own, made.gaussians, ours, shared, near))
            made.gaussians = Gaussians.cat([made.gaussians, kept])
        made.windows.append(report | {"kept": len(kept)})
        _remember(made, world, own, span, ours, near, bool(settings.refine))
    assert made is not None
    return made


def windows(count: int, size: int, overlap: int, first: int) -> list[range]:
    """Stretches of a path, in the order in which they are made.

    Args:
        count: cameras of the path.
        size: of a window; 0 for all at once.
        overlap: cameras that neighbouring windows share; those at the path's end share more.
        first: a camera that the first window holds, as near to its middle as may be; then come those ahead, then those
            behind.
    """
    if not size or size >= count:
        return [range(count)]
    starts = [*range(0, count - size, size - overlap), count - size]
    begin = min((abs(start + (size - 1) / 2 - first), start) for start in starts)[1]
    ahead = [start for start in starts if start >= begin]
    behind = [start for start in reversed(starts) if start < begin]
    return [range(start, start + size) for start in (*ahead, *behind)]


def _shown(request: WorldRequest, span: range, shared: Sequence[int], old: Sequence[View]) -> dict[str, Any]:
    """The picture of a window: the request's, or else what the Gaussians show where they cover a shared view best."""
    if request.image is not None and request.image_index in span:
        return {"image": request.image, "image_index": request.image_index - span[0]}
    if not shared:
        return {"image": None, "image_index": 0}
    best = max(range(len(shared)), key=lambda k: float(old[k].alpha.mean()))
    return {"image": old[best].image, "image_index": shared[best]}


def seam(old: Sequence[View], new: Sequence[View]) -> float | None:
    """Mean PSNR in dB of new views against old ones, where the old ones are covered; None where none is anywhere."""
    covered = [(view.alpha >= COVERED).float() for view in old]
    values = [
        float(psnr(b.image, a.image, mask)) for a, b, mask in zip(old, new, covered, strict=True) if bool(mask.any())
    ]
    return sum(values) / len(values) if values else None


def fills(
    new: Gaussians, old: Gaussians, cameras: Sequence[Camera], shared: Sequence[int], near: float
) -> Bool[Tensor, "N"]:
    """The new Gaussians that show what the old ones do not.

    Those are the ones whose centre lies, in some camera, on a pixel that the old ones leave open, and in no shared
    camera in front of what the old ones show there.

    Args:
        new, old: in one frame.
        cameras: of the window.
        shared: indices of those by which the old ones were made too.
        near: the near plane.
    """
    wanted = torch.zeros(len(new), dtype=torch.bool)
    hides = torch.zeros(len(new), dtype=torch.bool)
    for k, camera in enumerate(cameras):
        view = view_gaussians(old, camera, near_plane=near)
        pixels, depth = camera.project(new.means)
        column, row = pixels.nan_to_num(-1, -1, -1).floor().clamp(-1, 1 << 20).long().unbind(-1)
        inside = (depth > near) & (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
        at = (row.clamp(0, camera.height - 1), column.clamp(0, camera.width - 1))
        covered = view.alpha[at] >= COVERED
        wanted |= inside & ~covered
        if k in shared:
            hides |= inside & covered & (depth < IN_FRONT * view.depth[at])
    return wanted & ~hides


def _remember(
    made: Made, world: World, own: Gaussians, span: range, cameras: Sequence[Camera], near: float, judged: bool
) -> None:
    """Keep what a window showed at views that no earlier window showed."""
    for name, seconds in world.seconds.items():
        made.seconds[name] = made.seconds.get(name, 0.0) + seconds
    for k, i in enumerate(span):
        if i not in made.views:
            made.views[i] = white_picture(world.views[k], world.alphas[k], cameras[k])
    if judged:
        for i, camera in zip(span, between(cameras), strict=False):
            if i not in made.between:
                view = view_gaussians(own, camera, near_plane=near)
                made.between[i] = white_picture(view.image, view.alpha, camera)


def white_picture(image: Float[Tensor, "H W 3"], alpha: Float[Tensor, "H W"], camera: Camera) -> Picture:
    """A render on white as a picture with a matte, whose colours are those before the white."""
    image, alpha = (t.detach().float().cpu() for t in (image, alpha))
    matte = (alpha.clamp(0, 1) * 255).round()
    share = (matte / 255)[..., None]
    colour = (image - (1 - share)) / share.clamp_min(1 / 255)
    camera = replace(camera, world_to_camera=camera.world_to_camera.cpu(), K=camera.K.cpu())
    return Picture(to_uint8_image(colour), None, matte.numpy().astype(np.uint8), None, camera)
