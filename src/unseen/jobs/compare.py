"""Avatars beside each other from all around: what a prior or a setting changes where no camera looked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from unseen.core.errors import InputError
from unseen.head.avatar import Avatar
from unseen.io.atomic import make_folder
from unseen.io.images import write_image
from unseen.io.video import VideoWriter
from unseen.jobs.avatar.outputs import turntable_cameras
from unseen.jobs.drive import load_avatar
from unseen.jobs.progress import Reporter
from unseen.render.scene import render_gaussians

SIDES, TURN_FRAMES, FPS = 8, 75, 25.0
CAPTION_PX = 26


def run_compare(sources: Sequence[Path], names: Sequence[str], out: Path, reporter: Reporter) -> dict[str, Any]:
    """Write a picture (a row per avatar, eight sides from the front on) or, when `out` is a .mp4, a turn of all.

    Each avatar rests, and is seen at the distance and focal length of its own video's camera.

    Args:
        sources: folders of avatar jobs, or their avatar.safetensors.
        names: what stands beside each; as many as sources, or none for those of the folders.
        out: .png, .jpg or .mp4.

    Raises:
        InputError: no avatar at a source, or another number of names.
        ResourceError: the machine refuses the write.
    """
    if names and len(names) != len(sources):
        raise InputError(f"{len(names)} names for {len(sources)} avatars: give one each, or none")
    avatars = [load_avatar(source) for source in sources]
    labels = list(names) or [source.name if source.is_dir() else source.parent.name for source in sources]
    video = out.suffix.lower() == ".mp4"
    turns = [turn(avatar, TURN_FRAMES if video else SIDES) for avatar in avatars]
    make_folder(out.parent)
    if not video:
        rows = []
        for k, (name, views) in enumerate(zip(labels, turns, strict=True)):
            rows.append([(f"{name}, {360 * i // SIDES}°", views(i)) for i in range(SIDES)])
            reporter.stage("sides", k + 1, len(turns))
        write_image(out, contact_sheet(rows))
        return {"avatars": labels, "out": str(out)}
    with VideoWriter(out, fps=FPS) as writer:
        for i in range(TURN_FRAMES):
            row = [(name, views(i)) for name, views in zip(labels, turns, strict=True)]
            writer.write(torch.from_numpy(contact_sheet([row])).float() / 255)
            reporter.stage("turn", i + 1, TURN_FRAMES)
    return {"avatars": labels, "out": str(out)}


def turn(avatar: Avatar, frames: int) -> Any:
    """A function that gives picture i of so many from all around the resting avatar, [H, W, 3] on white."""
    splats, cameras = avatar.posed(avatar.neutral_params()), turntable_cameras(avatar, frames)
    return lambda i: render_gaussians(splats, cameras[i])


def contact_sheet(
    rows: Sequence[Sequence[tuple[str, Float[Tensor, "H W 3"]]]], tile: tuple[int, int] | None = None
) -> UInt8[np.ndarray, "H W 3"]:
    """Named pictures on white, a name below each; no room for names where all are empty.

    Args:
        rows: of name and picture; pictures may differ in size.
        tile: width and height of every picture, cut from its middle; None keeps that of the first one.
    """
    width, height = tile or (rows[0][0][1].shape[1], rows[0][0][1].shape[0])
    gap, columns = 3, max(len(row) for row in rows)
    caption = CAPTION_PX if any(name for row in rows for name, _ in row) else 0
    size = (columns * (width + gap) - gap, len(rows) * (height + caption))
    sheet = Image.new("RGB", (size[0] + size[0] % 2, size[1] + size[1] % 2), "white")  # even: videos need it
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
    for r, row in enumerate(rows):
        for c, (name, image) in enumerate(row):
            left, top = c * (width + gap), r * (height + caption)
            sheet.paste(portrait(image, (width, height)), (left, top))
            middle = (left + width / 2, top + height + caption / 2)
            draw.text(middle, name, fill=(60, 60, 60), font=font, anchor="mm")
    return np.array(sheet)


def portrait(image: Float[Tensor, "H W 3"], tile: tuple[int, int]) -> Image.Image:
    """The middle of an image, cut to a tile's proportions (width, height) and shrunk to its size."""
    picture = Image.fromarray((image.clamp(0, 1) * 255).round().byte().numpy())
    width = min(picture.width, round(picture.height * tile[0] / tile[1]))
    left = (picture.width - width) // 2
    return picture.crop((left, 0, left + width, picture.height)).resize(tile, Image.Resampling.LANCZOS)
