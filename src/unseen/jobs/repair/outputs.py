"""What a repair shows for itself: before and after, as a video and as pictures, and a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.core.paths import spline
from unseen.io.images import to_uint8_image
from unseen.io.video import VideoWriter
from unseen.jobs.progress import Reporter
from unseen.jobs.repair.cameras import orbited
from unseen.render.scene import view_gaussians

COLUMNS = ("raw", "distilled", "post")
KEYS = 8
"""Photos' cameras that a tour passes, at most."""
TURN_RAD = math.radians(12)
"""How far from them it passes."""
FRAMES, FPS = 120, 24.0
WIPES = 2
"""How often the line between before and after goes to and fro in a video."""


def tour(cameras: Sequence[Camera], distances: Sequence[float], frames: int = FRAMES) -> list[Camera]:
    """A way along the photos' cameras, to their left and right in turn, with the lens of the first.

    Args:
        cameras: of the photos, in order.
        distances: how far ahead of each lies what it looks at.
        frames: how many cameras.
    """
    chosen = np.unique(np.linspace(0, len(cameras) - 1, min(KEYS, len(cameras))).round().astype(int))
    sides = (0.0, math.pi)
    keys = [orbited(cameras[i], distances[i], TURN_RAD, sides[k % 2]) for k, i in enumerate(chosen)]
    if len(keys) == 1:
        keys.append(orbited(cameras[0], distances[0], TURN_RAD, sides[1]))
    return spline([replace(cameras[0], world_to_camera=key.world_to_camera) for key in keys], frames)


def write_comparison(
    out: Path, before: Gaussians, after: Gaussians, cameras: Sequence[Camera], antialiased: bool, reporter: Reporter
) -> None:
    """Videos along some cameras: before.mp4, after.mp4, and before_after.mp4 with before on the left of a moving line
    and after on its right.

    Raises:
        ResourceError: the machine refuses the write.
    """
    with ExitStack() as stack:
        video, first, second = (
            stack.enter_context(VideoWriter(out / f"{name}.mp4", fps=FPS))
            for name in ("before_after", "before", "after")
        )
        for k, camera in enumerate(cameras):
            left, right = (view_gaussians(s, camera, 0.0, antialiased=antialiased).image.cpu() for s in (before, after))
            share = 0.5 + 0.45 * math.sin(2 * math.pi * WIPES * k / len(cameras))
            video.write(wipe(left, right, share))
            first.write(to_uint8_image(left))
            second.write(to_uint8_image(right))
            reporter.stage("filming before and after", k + 1, len(cameras))


def wipe(before: Float[Tensor, "H W 3"], after: Float[Tensor, "H W 3"], share: float) -> UInt8[np.ndarray, "H W 3"]:
    """One picture of two: the left `share` of it from before, the rest from after, a white line between."""
    edge = round(share * before.shape[1])
    joined = Image.fromarray(to_uint8_image(torch.cat([before[:, :edge], after[:, edge:]], 1)))
    draw, font = ImageDraw.Draw(joined), ImageFont.load_default(max(10, before.shape[0] // 20))
    draw.line([(edge, 0), (edge, joined.height)], fill="white", width=max(1, before.shape[1] // 200))
    for x, text, anchor in ((4, "before", "lb"), (joined.width - 4, "after", "rb")):
        place = (x, joined.height - 4)
        draw.text(place, text, fill="white", font=font, anchor=anchor, stroke_width=1, stroke_fill="black")
    return np.array(joined)


def table(columns: dict[str, Any]) -> list[str]:
    """The three columns in words, a line each."""
    names = {"raw": "no fixer", "distilled": "fixed views in the fit", "post": "and renders fixed afterwards"}
    lines = [f"{'':<30} {'PSNR':>9}  {'SSIM':>6}"]
    for name in COLUMNS:
        if (found := columns.get(name)) and found["photos"]:
            lines.append(f"{names[name]:<30} {found['psnr']:6.2f} dB  {found['ssim']:.4f}")
    return lines
