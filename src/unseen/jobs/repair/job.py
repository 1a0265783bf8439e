"""The recipe: a plain fit, and from its middle on another with fixed views, judged beside each other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from unseen.core import paths
from unseen.core.camera import Camera
from unseen.core.devices import resolve_device, seed_everything
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.fit.loop import run_loop
from unseen.fit.pruning import without_unseen
from unseen.fit.trainer import SceneTrainer, extent_of
from unseen.fit.world import Similarity, normalise
from unseen.io.atomic import make_folder, write_json
from unseen.io.images import write_image
from unseen.io.photos import PictureStore, load_photo, split_photos
from unseen.io.photoset import Photo, PhotoSet
from unseen.io.ply import save_ply
from unseen.jobs.compare import contact_sheet
from unseen.jobs.fit.evaluation import judge, render_view
from unseen.jobs.fit.exports import check_formats, export_scene
from unseen.jobs.fit.job import FitRequest, describe
from unseen.jobs.fit.setup import first_splats, photo_scale, write_setup
from unseen.jobs.fit.sources import load_source
from unseen.jobs.folder import check_folder
from unseen.jobs.preview import Preview, scene_picture
from unseen.jobs.progress import Reporter
from unseen.jobs.repair.cameras import focus_of
from unseen.jobs.repair.config import RepairConfig
from unseen.jobs.repair.mending import Workshop
from unseen.jobs.repair.outputs import tour, write_comparison
from unseen.jobs.repair.rounds import Rounds, held_in
from unseen.priors.fixer.fixing import Fixer

SHEET_ROWS = 4
FEWEST = 2
"""Photos to fit."""
BEHIND = 1.02
"""A point so many times as far away as what a photo's depth shows is hidden from it."""


@dataclass(frozen=True)
class RepairRequest:
    """One run of the repair job.

    Attributes:
        base: photos, folder, settings of the fit, what is held out; as for `run_fit`.
        repair: settings of the loop.
        fixer: its name, part of what determines the result.
        keep: fit photo 0 and every so-many-th, and judge by the others; 0: all but what `base` holds out.
        judged: photos to judge by, at most, evenly chosen; 0: all that are held out.
        path: file of cameras to go toward, in the world of the photos; None: where the photos leave most open.
        video: write the videos.
    """

    base: FitRequest
    repair: RepairConfig
    fixer: str
    keep: int = 0
    judged: int = 0
    path: Path | None = None
    video: bool = True

    def __post_init__(self) -> None:
        if self.keep < 0 or self.keep == 1:
            raise InputError(f"every {self.keep}-th photo kept: expected 2 or more, or 0 for all")
        if self.keep and (self.base.holdout or self.base.holdout_list):
            raise InputError("--keep already says which photos are held out: leave out --holdout and --holdout-list")
        if self.path is not None and not self.path.is_file():
            raise InputError(f"there is no file {self.path}: expected JSON with the cameras to go toward")

    @property
    def description(self) -> dict[str, Any]:
        """What determines the result, as JSON."""
        own = {"repair": asdict(self.repair), "fixer": self.fixer, "keep": self.keep, "judged": self.judged}
        return describe(self.base) | own | {"path": self.path and str(self.path.resolve())}


def run_repair(request: RepairRequest, load: Callable[[], Fixer | None], reporter: Reporter) -> dict[str, Any]:
    """Run the job; returns the summary that also stands in metrics.json.

    Leaves in OUT: scene.ply (repaired; and what `formats` asks for), raw.ply (the plain fit of the same steps),
    before_after.mp4, before.mp4, after.mp4, before_after.jpg, metrics.json with three columns, config.json, split.json,
    world.json, checkpoints/.

    Args:
        request: what to do.
        load: gives the fixer, or None for the plain fit alone; called once the photos are known to be usable.
        reporter: told of progress.

    Raises:
        InputError: no usable photos, fewer than two to fit, or `resume` meets another run.
        FormatError: a file is damaged.
        ShapeError: the fixer does not keep to `Fixer`.
        ResourceError: the machine refuses a write.
    """
    base, began = request.base, time.perf_counter()
    seed_everything(base.seed)
    check_formats(base.formats)
    check_folder(base.out, request.description, base.resume)
    make_folder(base.out)
    photoset = load_source(base.source, base.out / "cameras", base.seed, reporter)
    fitted, held_out = split_of(request, photoset.photos)
    scale = base.scale or photo_scale(photoset, base.max_side)
    photoset, world = of_fitted(photoset, fitted)
    fixer = load()
    if fixer is not None and len(fitted) < FEWEST:
        raise InputError(
            f"{len(fitted)} photo to fit: expected at least {FEWEST}, or nothing can be checked by another"
        )
    write_setup(base.out, request.description, base.source, photoset, scale, held_out, world)
    moved = world.photos(photoset)
    path = None if request.path is None else [world.camera(c) for c in paths.from_file(request.path)]
    with PictureStore(moved.photos, scale=scale, budget_bytes=base.memory) as pictures:
        job = _Repair(request, fixer, moved, pictures, fitted, held_out, path, reporter)
        summary = job.run(world)
    summary["seconds"]["total"] = time.perf_counter() - began
    write_json(base.out / "metrics.json", summary)
    return summary


def split_of(request: RepairRequest, photos: Sequence[Photo]) -> tuple[list[int], list[int]]:
    """Indices of photos to fit and of those to judge by.

    Raises:
        InputError: see `split_photos`.
    """
    base, keep = request.base, request.keep
    fitted, held_out = split_photos(photos, every=base.holdout, listed=base.holdout_list)
    if keep:
        fitted = list(range(0, len(photos), keep))
        held_out = [i for i in range(len(photos)) if i % keep]
    if request.judged and len(held_out) > request.judged:
        chosen = np.linspace(0, len(held_out) - 1, request.judged).round().astype(int)
        held_out = [held_out[k] for k in chosen]
    return fitted, held_out


def of_fitted(photoset: PhotoSet, fitted: Sequence[int]) -> tuple[PhotoSet, Similarity]:
    """The photos with those points alone that fitted ones show, and the world these put in order: what is held out
    says nothing."""
    photos = [photoset.photos[i] for i in fitted]
    shown = torch.zeros(len(photoset.points), dtype=torch.bool)
    for photo in photos:
        shown |= _shown(photo, photoset.points)
    kept = replace(photoset, points=photoset.points[shown], point_colors=photoset.point_colors[shown])
    return kept, normalise(replace(kept, photos=tuple(photos)))


def _shown(photo: Photo, points: Tensor) -> Tensor:
    """Which points lie in a photo and, where it has depth, not behind what it shows."""
    pixels, depth = photo.camera.project(points)
    column, row = (p.floor().long() for p in torch.nan_to_num(pixels, nan=-1.0).clamp(-1, 1e6).unbind(-1))
    inside = (column >= 0) & (row >= 0) & (column < photo.camera.width) & (row < photo.camera.height) & (depth > 0)
    if photo.depth is None or not bool(inside.any()):
        return inside
    known = load_photo(photo, 1.0).depth
    assert known is not None
    found = torch.from_numpy(known)[row.clamp(0, known.shape[0] - 1), column.clamp(0, known.shape[1] - 1)]
    return inside & ((found <= 0) | (depth <= BEHIND * found))


@dataclass
class _Repair:
    """A run at work."""

    request: RepairRequest
    fixer: Fixer | None
    photoset: PhotoSet
    pictures: PictureStore
    fitted: list[int]
    held_out: list[int]
    path: list[Camera] | None
    reporter: Reporter

    def run(self, world: Similarity) -> dict[str, Any]:
        """Fit, repair, judge, write."""
        base, began = self.request.base, time.perf_counter()
        plain, courses = self._plain()
        plain_s = time.perf_counter() - began
        raw = repaired = self._visible(plain, [])
        rounds = None
        if self.fixer is not None:
            rounds = Rounds(
                self.fixer, self.request.repair, self.pictures, self.fitted, courses, self.path, self.reporter
            )
            trainer = self._repaired(rounds)
            repaired = self._visible(trainer, [view.camera for view in rounds.bank.views])
        fitted_s = time.perf_counter() - began
        save_ply(base.out / "raw.ply", world.inverse().gaussians(raw))
        export_scene(base.out, repaired, world, base.formats)
        shop = None if self.fixer is None else self._shop(self.fixer, repaired)
        columns = self._judged(raw, repaired, shop)
        self._show(raw, repaired, shop)
        return {
            "splats": len(repaired), "fitted_photos": len(self.fitted),
            "held_out": columns["raw" if rounds is None else "distilled"], "columns": columns,
            "rounds": [] if rounds is None else rounds.reports,
            "seconds": {
                "plain": plain_s, "repair": fitted_s - plain_s, "judging": time.perf_counter() - began - fitted_s,
            },
        }  # fmt: skip

    def _trainer(self, others: Rounds | None) -> SceneTrainer:
        base = self.request.base
        cameras = [self.photoset.photos[i].camera for i in self.fitted]
        start = first_splats(base.fit, self.photoset, self.fitted, base.seed)
        return SceneTrainer(
            self.pictures, self.fitted, start, base.fit, extent_of(cameras), base.seed, resolve_device(base.device),
            others=others,
        )  # fmt: skip

    def _plain(self) -> tuple[SceneTrainer, dict[int, float]]:
        """The plain fit, and how well it shows the photos where rounds begin and end; leaves a checkpoint where the
        first begins."""
        base, folder = self.request.base, make_folder(self.request.base.out / "checkpoints")
        begins = self.request.repair.begins(base.fit.steps)
        file, courses = folder / "plain.json", dict[int, float]()
        if base.resume and file.is_file():
            courses = {int(step): value for step, value in json.loads(file.read_text()).items()}

        def note(t: SceneTrainer, _: float) -> None:
            if t.iteration == begins[0]:
                t.save(folder / "start.safetensors")
            if self.fixer is not None and t.iteration in (*begins, base.fit.steps):
                courses[t.iteration] = held_in(t, self.pictures, self.fitted)
                write_json(file, courses)

        trainer = self._trainer(None)
        self._loop(trainer, "raw", "plain fit", [note], base.resume)
        return trainer, courses

    def _repaired(self, rounds: Rounds) -> SceneTrainer:
        """The fit from the first round on, with fixed views."""
        folder, trainer, resume = self.request.base.out / "checkpoints", self._trainer(rounds), self.request.base.resume
        if not (resume and (folder / "repair.safetensors").is_file()):
            trainer.load(folder / "start.safetensors")
        self._loop(trainer, "repair", "fit with fixed views", [], resume)
        if rounds.settle(trainer):
            self._loop(trainer, "repair", "fit without the last round's views", [], False)
        return trainer

    def _loop(self, trainer: SceneTrainer, checkpoint: str, stage: str, watchers: list[Any], resume: bool) -> None:
        fit, file = self.request.base.fit, self.request.base.out / "checkpoints" / f"{checkpoint}.safetensors"
        preview = Preview(self.request.base.out, scene_picture)
        watching = [lambda t, _: self.reporter.stage(stage, t.iteration, fit.steps), preview, *watchers]
        run_loop(trainer, file, fit.checkpoint_every, resume, watching)

    def _visible(self, trainer: SceneTrainer, others: list[Camera]) -> Gaussians:
        """The splats that a fitted photo or one of the other cameras shows."""
        cameras = [self.photoset.photos[i].camera for i in self.fitted]
        return without_unseen(trainer.gaussians().finite(), [*cameras, *others], self.request.base.fit.antialiased)

    def _judged(self, raw: Gaussians, repaired: Gaussians, shop: Workshop | None) -> dict[str, Any]:
        """The three columns; the last two only with a fixer."""
        photos, aliased = self.photoset.photos, self.request.base.fit.antialiased
        columns = {"raw": judge(raw, self.pictures, photos, self.held_out, aliased)}
        if shop is None:
            return columns
        columns["distilled"] = judge(repaired, self.pictures, photos, self.held_out, aliased)
        seed = self.request.base.seed
        columns["post"] = judge(
            repaired, self.pictures, photos, self.held_out, aliased,
            progress=lambda k, n: self.reporter.stage("fixing held-out views", k, n),
            retouch=lambda _, camera: shop.mend([camera], seed)[0].shown,
        )  # fmt: skip
        return columns

    def _shop(self, fixer: Fixer, splats: Gaussians) -> Workshop:
        aliased, references = self.request.base.fit.antialiased, self.request.repair.references
        return Workshop(fixer, splats, self.pictures, self.fitted, references, aliased)

    def _show(self, raw: Gaussians, repaired: Gaussians, shop: Workshop | None) -> None:
        """Picture and video of before and after."""
        out, aliased = self.request.base.out, self.request.base.fit.antialiased
        if self.held_out:
            rows = []
            for i in self.held_out[:: -(-len(self.held_out) // SHEET_ROWS)]:
                picture, name = self.pictures[i], self.photoset.photos[i].name
                row = [(name, torch.from_numpy(picture.image).float() / 255)]
                row.append(("no fixer", render_view(raw, picture, aliased)))
                if shop is not None:
                    mended = shop.mend([picture.camera], self.request.base.seed)[0]
                    row += [("repaired", mended.render), ("fixed when shown", mended.shown)]
                rows.append(row)
            write_image(out / "before_after.jpg", contact_sheet(rows))
        if self.request.video and shop is not None:
            cameras = self.path or tour([w.full for w in shop.witnesses], [focus_of(w) for w in shop.witnesses])
            write_comparison(out, raw, repaired, cameras, aliased, self.reporter)
