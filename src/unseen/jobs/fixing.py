"""Renders repaired on their own, without a scene: a picture, a folder of them, a video."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import InputError
from unseen.io.atomic import make_folder
from unseen.io.images import read_image_float, write_image
from unseen.io.picture_files import PICTURE_SUFFIXES, find_picture, list_pictures
from unseen.io.video import VideoWriter, iter_frames, probe
from unseen.jobs.fit.sources import VIDEO_SUFFIXES
from unseen.jobs.progress import Reporter
from unseen.jobs.repair.evidence import sized
from unseen.jobs.repair.mending import check_fixed
from unseen.priors.fixer.fixing import Fixer


@dataclass(frozen=True)
class FixRequest:
    """What to repair.

    Attributes:
        source: a picture, a folder of pictures, or a video.
        references: photos of the same place, for every picture; a folder among them gives each picture of a folder the
            photo of its name.
        out: a picture, a folder or a video, as the source.
        steady: of a video: each frame also sees the frame before as it came out, and all share their noise.
        seed: of everything random.
    """

    source: Path
    references: tuple[Path, ...]
    out: Path
    steady: bool = True
    seed: int = 0

    @property
    def kind(self) -> str:
        """picture, folder or video.

        Raises:
            InputError: the source is none of these, or the output does not fit it.
        """
        source, out = self.source, self.out
        if not source.exists():
            raise InputError(f"{source} does not exist: expected a picture, a folder of pictures or a video")
        if source.is_dir():
            if out.suffix:
                raise InputError(f"{source} is a folder, {out} is not: give a folder for the results")
            if out.resolve() == source.resolve():
                raise InputError(f"{out} holds the renders themselves: give another folder for the results")
            return "folder"
        kinds = {"picture": PICTURE_SUFFIXES, "video": VIDEO_SUFFIXES}
        for kind, suffixes in kinds.items():
            if source.suffix.lower() in suffixes:
                if out.suffix.lower() not in suffixes:
                    raise InputError(f"{source} is a {kind}: give the result a name such as fixed{suffixes[0]}")
                return kind
        raise InputError(
            f"{source} is no picture and no video: expected {', '.join(PICTURE_SUFFIXES + VIDEO_SUFFIXES)}"
        )


def run_fix(request: FixRequest, fixer: Fixer, reporter: Reporter) -> dict[str, Any]:
    """Repair and write; returns how many pictures there were, and how far they were changed.

    Raises:
        InputError: source, references or output make no sense; a reference is missing.
        FormatError: a picture or video is damaged.
        ShapeError: the fixer does not keep to `Fixer`.
        ResourceError: the machine refuses a write.
    """
    kind = request.kind
    if kind == "folder":
        return _fix_folder(request, fixer, reporter)
    if folders := [path for path in request.references if path.is_dir()]:
        raise InputError(f"{folders[0]} is a folder: for a {kind} name the photos, --reference PHOTO")
    photos = [read_image_float(path) for path in request.references]
    make_folder(request.out.parent)
    if kind == "picture":
        render = read_image_float(request.source)
        fixed = fix_one(fixer, render, photos, request.seed)
        write_image(request.out, fixed)
        return _summary([_change(render, fixed)], request)
    film, changes = probe(request.source), []
    frames = (frame.float() / 255 for frame in iter_frames(request.source))
    with VideoWriter(request.out, fps=film.fps) as video:
        for before, after in fix_film(fixer, frames, photos, steady=request.steady, seed=request.seed):
            video.write(after)
            changes.append(_change(before, after))
            reporter.stage("fixing frames", len(changes), max(film.num_frames, len(changes)))
    return _summary(changes, request)


def fix_one(
    fixer: Fixer, render: Float[Tensor, "H W 3"], photos: Sequence[Float[Tensor, "h w 3"]], seed: int
) -> Float[Tensor, "H W 3"]:
    """One render repaired, beside photos of any size."""
    height, width = render.shape[:2]
    references = [sized(photo, height, width) for photo in photos]
    stacked = torch.stack(references) if references else render.new_zeros(0, height, width, 3)
    with torch.no_grad():
        fixed = fixer.fix(render[None], [stacked], seed=seed)
    check_fixed(fixed, render[None])
    return fixed.images[0].float().cpu().clamp(0, 1)


def fix_film(
    fixer: Fixer, frames: Iterator[Float[Tensor, "H W 3"]], photos: Sequence[Float[Tensor, "h w 3"]], *, steady: bool,
    seed: int,
) -> Iterator[tuple[Float[Tensor, "H W 3"], Float[Tensor, "H W 3"]]]:  # fmt: skip
    """Frame by frame the render and what became of it.

    Args:
        fixer: repairs renders.
        frames: of one film, in order.
        photos: of the same place, for every frame.
        steady: give each frame the one before, as it came out, as a further photo, and all of them the same noise;
            otherwise each is repaired as if it were alone.
        seed: of everything random.
    """
    before: list[Tensor] = []
    for k, frame in enumerate(frames):
        fixed = fix_one(fixer, frame, [*photos, *before], seed if steady else seed + k)
        before = [fixed] if steady else []
        yield frame, fixed


def _fix_folder(request: FixRequest, fixer: Fixer, reporter: Reporter) -> dict[str, Any]:
    names, changes = list_pictures(request.source), []
    pairs = [(name, [_reference(path, name) for path in request.references]) for name in names]
    for name, references in pairs:
        render = read_image_float(request.source / name)
        fixed = fix_one(fixer, render, [read_image_float(path) for path in references], request.seed)
        make_folder((request.out / name).parent)
        write_image(request.out / name, fixed)
        changes.append(_change(render, fixed))
        reporter.stage("fixing pictures", len(changes), len(names))
    return _summary(changes, request)


def _reference(path: Path, picture: str) -> Path:
    """The photo for a picture: `path` itself, or the one of the picture's name in it."""
    found = find_picture(path, picture) if path.is_dir() else path
    if found is None:
        raise InputError(f"{path} holds no photo for {picture}: expected one of the same name")
    return found


def _change(before: Tensor, after: Tensor) -> float:
    return float((before - after).abs().mean())


def _summary(changes: Sequence[float], request: FixRequest) -> dict[str, Any]:
    return {"pictures": len(changes), "mean_change": sum(changes) / max(1, len(changes)), "out": str(request.out)}
