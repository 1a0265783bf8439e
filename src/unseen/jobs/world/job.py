"""The recipe, top to bottom: make, thin out, merge, refine, write."""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import torch

import unseen
from unseen.core.devices import seed_everything
from unseen.core.errors import InputError, ResourceError
from unseen.io.atomic import make_folder, write_json
from unseen.io.images import write_image
from unseen.jobs.preview import PREVIEW, views_picture
from unseen.jobs.progress import Reporter
from unseen.jobs.world.budget import within_budget, without_faint
from unseen.jobs.world.making import Made, make
from unseen.jobs.world.models import Models
from unseen.jobs.world.outputs import FAILURE, REQUEST, SUMMARY, Exports, clear, write_world
from unseen.jobs.world.refining import refined
from unseen.jobs.world.request import WorldRequest
from unseen.jobs.world.settings import WorldSettings

KEY = "unseen"
"""Under which request.json keeps the settings."""


@dataclass(frozen=True)
class WorldJob:
    """One world to make.

    Attributes:
        request: what it shows.
        out: folder of the results.
        settings: how it is made.
        exports: which files are written.
    """

    request: WorldRequest
    out: Path
    settings: WorldSettings = field(default_factory=WorldSettings)
    exports: Exports = field(default_factory=Exports)

    @property
    def content(self) -> dict[str, Any]:
        """The request file that makes this world again."""
        return {**self.request.content, KEY: asdict(self.settings)}

    @property
    def fingerprint(self) -> str:
        """Of everything that determines the files."""
        whole = {"unseen": unseen.__version__, "request": self.content, "exports": asdict(self.exports)}
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def run_world(job: WorldJob, models: Models, reporter: Reporter) -> dict[str, Any]:
    """Make a world; returns the summary that also stands in world.json, which is written last.

    A folder that already holds this very world is left as it is, and its summary returned; what another run left in it
    is removed first. Leaves in `out`: scene.ply, scene.spz, viewer.html and video.mp4 as asked for, views/, depth/,
    cameras.json, request.json and world.json, all in the caller's frame and scale.

    Raises:
        InputError: the request and the model do not fit, or `refine` has nothing to work on.
        ResourceError: the machine refuses a write, or has too little memory.
    """
    if (finished := finished_summary(job)) is not None:
        reporter.note(f"{job.out} already holds this world: nothing to do")
        (job.out / FAILURE).unlink(missing_ok=True)
        return finished
    check(job)
    seed_everything(job.settings.seed)
    began = time.perf_counter()
    for note in job.request.notes:
        reporter.note(note)
    clear(make_folder(job.out))
    write_json(job.out / REQUEST, job.content)
    config = models.config(job.settings.model)
    request = job.request.halved(config.multiple) if job.settings.preview else job.request
    made = _made(job, models, config.views, request, reporter)
    seconds = {"making": time.perf_counter() - began}
    gaussians = without_faint(made.gaussians, job.settings.least_opacity)
    counts = {"made": sum(window["made"] for window in made.windows), "kept": len(gaussians)}
    gaussians, merging = within_budget(gaussians, job.settings.budget, request.cameras)
    refining = None
    if job.settings.refine:
        views, held = ([found[i] for i in sorted(found)] for found in (made.views, made.between))
        gaussians, refining = refined(gaussians, views, held, job.settings.refine, job.settings.seed, reporter)
    seconds["afterwards"] = time.perf_counter() - began - seconds["making"]
    first = request.cameras[request.image_index]
    write_world(job.out, gaussians, request.cameras, first, job.exports, reporter)
    seconds["total"] = time.perf_counter() - began
    summary = {
        "fingerprint": job.fingerprint,
        "unseen": unseen.__version__,
        "settings": asdict(job.settings),
        "prompt": request.prompt,
        "picture": None if request.image is None else request.image_index,
        "views": len(request.cameras),
        "size": list(request.size),
        "gaussians": len(gaussians),
        "counts": counts,
        "windows": made.windows,
        "merging": merging,
        "refining": refining,
        "seconds": seconds | {"networks": made.seconds},
    }
    write_json(job.out / SUMMARY, summary)
    return summary


def finished_summary(job: WorldJob) -> dict[str, Any] | None:
    """The summary in `out` where that very job is finished."""
    try:
        found = json.loads((job.out / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("fingerprint") == job.fingerprint else None


def check(job: WorldJob) -> None:
    """Refuse before the work what cannot come to an end.

    Raises:
        InputError: `out` is a file, the video has no frames, or a refinement has nothing to work on.
    """
    if job.out.exists() and not job.out.is_dir():
        raise InputError(f"{job.out} is a file, expected a folder for the results")
    job.exports.frames(len(job.request.cameras))
    settings = job.settings
    if settings.refine and not settings.budget and not settings.window:
        raise InputError(
            "a refinement brings back what merging or windows spoilt, and neither --budget nor --window is given"
        )


def _made(job: WorldJob, models: Models, usual: int, request: WorldRequest, reporter: Reporter) -> Made:
    """What the model makes; `usual` is how many views it works with."""
    settings, views = job.settings, len(request.cameras)
    if not settings.window and views > 2 * usual:
        reporter.note(
            f"{views} views at once, and the model works with {usual}: --window {usual} makes them window by window"
        )
    at_once = min(settings.window or views, views)
    try:
        with _warnings_noted(reporter), models.running(settings.model, at_once, request.size, reporter) as model:
            return make(model, request, settings, reporter, lambda v: write_image(job.out / PREVIEW, views_picture(v)))
    except (MemoryError, torch.OutOfMemoryError) as error:
        width, height = request.size
        raise ResourceError(
            f"out of memory with {len(request.cameras)} views of {width} x {height}: use --preview, a smaller --size, "
            "fewer views, or --window"
        ) from error


@contextmanager
def _warnings_noted(reporter: Reporter) -> Iterator[None]:
    """Shows what the networks warn about, such as words they do not know, as notes."""
    with warnings.catch_warnings(record=True) as caught:
        yield
    for warning in caught:
        if warning.category is UserWarning:
            reporter.note(str(warning.message))


def describe(summary: dict[str, Any]) -> list[str]:
    """What a person wants to know about a world, line by line."""
    seconds = summary["seconds"]
    width, height = summary["size"]
    lines = [
        f"{summary['gaussians']} splats, {summary['views']} views of {width} x {height}, in {seconds['total']:.0f} s "
        f"({seconds['making']:.0f} s to make them)"
    ]
    seams = [w["seam_psnr_db"] for w in summary["windows"] if w.get("seam_psnr_db") is not None]
    if seams:
        lines.append(f"{len(summary['windows'])} windows, which agree to {mean(seams):.1f} dB where they overlap")
    if (merging := summary["merging"]) is not None:
        losses = merging["psnr_db"]
        lines.append(
            f"merged from {merging['before']} splats: {mean(losses):.1f} dB from the unmerged views "
            f"(worst {min(losses):.1f})"
        )
    if (refining := summary["refining"]) is not None:
        parts = [
            f"{name} {value['before']:.1f} -> {value['after']:.1f} dB" for name, value in refining["psnr_db"].items()
        ]
        verdict = "" if refining["kept"] else ": not kept, since it made them worse"
        lines.append(f"refined in {refining['steps']} steps: {', '.join(parts)}{verdict}")
    return lines
