"""How well a fitted scene shows photos it never saw."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.core.gaussians import Gaussians
from unseen.fit.metrics import psnr, ssim
from unseen.fit.targets import over
from unseen.fit.world import Similarity
from unseen.io.images import write_image
from unseen.io.photos import PictureStore, load_photos
from unseen.io.photoset import Photo, Picture
from unseen.io.ply import load_ply
from unseen.render import rasterization

Retouch = Callable[[Float[Tensor, "H W 3"], Camera], Float[Tensor, "H W 3"]]
"""A picture made of a render and its camera."""


def judge(
    splats: Gaussians, pictures: PictureStore, photos: Sequence[Photo], indices: Sequence[int], antialiased: bool,
    renders: Path | None = None, progress: Callable[[int, int], None] | None = None,
    retouch: Retouch | None = None,
) -> dict[str, Any]:  # fmt: skip
    """PSNR and SSIM per photo and their means, on black where photos have alpha, within masks where they have some.

    Args:
        splats: in the world of the pictures' cameras.
        pictures, photos: decoded and by name.
        indices: which to judge by.
        antialiased: as the splats were fitted.
        renders: folder for pictures of render and photo side by side.
        progress: called with photos done and of how many.
        retouch: what is done to a render before it is judged.
    """
    views = []
    for done, i in enumerate(pictures.ordered(indices), 1):
        picture = pictures[i]
        render = render_view(splats, picture, antialiased)
        if retouch is not None:
            render = retouch(render, picture.camera)
        target = over(picture.image, picture.alpha, torch.zeros(3))
        mask = None if picture.mask is None else torch.from_numpy(picture.mask) / 255
        if mask is None or bool(mask.any()):
            scores = {"psnr": float(psnr(render, target, mask)), "ssim": float(ssim(render, target, mask))}
            views.append({"photo": photos[i].name, **scores})
        if renders is not None:
            pair = torch.cat([target, render], 1).numpy()
            name = photos[i].name.replace("/", "_")
            write_image(renders / f"{Path(name).stem}.png", pair)
        if progress is not None:
            progress(done, len(indices))
    means = {k: float(np.mean([view[k] for view in views])) if views else None for k in ("psnr", "ssim")}
    return {"photos": len(views), **means, "views": views}


def render_view(splats: Gaussians, picture: Picture, antialiased: bool) -> Float[Tensor, "H W 3"]:
    """What the splats look like from a picture's camera, on black, clamped to [0, 1]."""
    camera = picture.camera
    with torch.no_grad():
        render, _, _ = rasterization(
            splats.means, splats.quats, splats.scales, splats.opacities, splats.sh, camera.world_to_camera[None],
            camera.K[None], camera.width, camera.height, sh_degree=splats.sh_degree,
            rasterize_mode="antialiased" if antialiased else "classic",
        )  # fmt: skip
    return render[0].clamp(0, 1)


def evaluate_run(out: Path, renders: bool, progress: Callable[[int, int], None] | None = None) -> dict[str, Any]:
    """Judge a finished run's scene.ply by its held-out photos, from the files alone.

    Args:
        out: folder of `unseen fit`.
        renders: leave pictures of photo and render side by side in eval/.
        progress: called with photos done and of how many.

    Raises:
        InputError: the folder holds no finished run, held nothing out, or its photos are gone.
        FormatError: a file of it is damaged.
    """
    try:
        config = json.loads((out / "config.json").read_text())
        split = json.loads((out / "split.json").read_text())
        photoset = load_photos(split["cameras"], images=split["images"], masks=split["masks"])
    except OSError as error:
        raise InputError(f"{out} holds no finished fit: cannot read {error.filename} ({error.strerror})") from error
    except (ValueError, KeyError) as error:
        raise FormatError(f"{out} holds a damaged config.json or split.json: {error}") from error
    by_name = {photo.name: i for i, photo in enumerate(photoset.photos)}
    if not split["held_out"]:
        raise InputError(f"{out} held no photo out: there is nothing to judge it by")
    if gone := [name for name in split["held_out"] if name not in by_name]:
        raise InputError(f"{split['cameras']} no longer has the held-out photo {gone[0]} ({len(gone)} in all)")
    indices = [by_name[name] for name in split["held_out"]]
    if renders:
        (out / "eval").mkdir(exist_ok=True)
    world = Similarity.load(out / "world.json")
    splats = world.gaussians(load_ply(out / "scene.ply"))
    moved = world.photos(photoset).photos
    with PictureStore(moved, scale=split["scale"], budget_bytes=0) as pictures:
        found = judge(
            splats, pictures, moved, indices, config["fit"]["antialiased"], out / "eval" if renders else None, progress
        )
    return found
