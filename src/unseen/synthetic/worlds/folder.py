"""Little worlds as folders of posed photographs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from unseen.io.atomic import PathLike, make_folder, write_text
from unseen.synthetic.scenes.film import Shot
from unseen.synthetic.scenes.folder import Album, write_album
from unseen.synthetic.worlds.filming import camera_path
from unseen.synthetic.worlds.shading import View
from unseen.synthetic.worlds.world import Kind, LittleWorld

CAPTION_FILE = "caption.txt"


def photograph_world(
    kind: Kind,
    folder: PathLike,
    *,
    photos: int,
    width: int,
    height: int,
    masks: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Album:
    """Photograph a little world along one path: a folder as of `unseen.synthetic.scenes.write_album`, and caption.txt.

    Args:
        kind: room or landscape.
        folder: made if absent.
        photos: how many, at least 2.
        width, height: of the photographs, pixels.
        masks: write masks of what is not ground, walls or sky.
        seed: of the world and the path.
        progress: called with the number of photographs written.

    Raises:
        InputError: no such kind, or fewer than two photographs.
        ResourceError: the machine refuses.
    """
    world, rng = LittleWorld.sample(seed, kind), np.random.default_rng([seed, 0xF01])
    cameras = camera_path(world, rng).cameras(photos, width, height)
    seen: set[int] = set()

    def shots():
        for camera in cameras:
            shot = world.photograph(camera)
            seen.update(world.seen_in([shot]))
            yield shot_of(shot, world.subjects)

    album = write_album(
        make_folder(folder), cameras, shots(), model=f"little {kind}", masks=masks, seed=seed, progress=progress
    )
    write_text(album.folder / CAPTION_FILE, world.caption(rng, seen=seen, full=True) + "\n")
    return album


def shot_of(shot: View, subjects: list[int]) -> Shot:
    """A view as photographs of other scenes are; ground, walls and the sky's dome are all there is behind."""
    depth = torch.from_numpy(shot.depth).float()
    subject = torch.from_numpy(np.isin(shot.things, subjects)) * 255
    return Shot(torch.from_numpy(shot.image), depth, torch.full(depth.shape, 255, dtype=torch.uint8), subject.byte())
