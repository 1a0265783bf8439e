"""The recipe, top to bottom: scenes, one after the other or side by side, and what became of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import unseen
from unseen.core.devices import resolve_device
from unseen.core.errors import FormatError, InputError, UnseenError
from unseen.io.atomic import make_folder, write_json
from unseen.io.triplets import MANIFEST, TripletScene
from unseen.jobs.curate.plan import Plan
from unseen.jobs.curate.scene import SceneCurator
from unseen.jobs.curate.sources import Source, captured, invented, opened
from unseen.jobs.folder import check_folder
from unseen.jobs.progress import Reporter, Silent
from unseen.synthetic.processes import shared_out

FAILURE = "error.json"


@dataclass(frozen=True)
class CurateRequest:
    """One run of the curation.

    Attributes:
        captures: folders of captures, or captures.
        out: folder of the scenes' folders.
        plan: what is made of each.
        invent: so many invented scenes besides.
        first: seed of the first of them.
        held_out: captures, and invented scenes on top of those, that are kept from training.
        images: folder of the captures' pictures, where it is not the usual one.
        workers: processes of one thread each that share the scenes; 1: this process with all its threads.
        device: "auto", "cpu", "cuda" or "cuda:<n>".
    """

    captures: tuple[Path, ...]
    out: Path
    plan: Plan
    invent: int = 0
    first: int = 0
    held_out: int = 0
    images: Path | None = None
    workers: int = 1
    device: str = "auto"


def run_curate(request: CurateRequest, reporter: Reporter) -> dict[str, Any]:
    """Make the triplets of every scene in OUT/<its name>.

    It may be killed at any time: run again, it goes on. Scenes may be added from run to run, the plan stays. A scene
    that fails leaves error.json in its folder and does not stop the others.

    Returns:
        `scenes`: how many have triplets; `triplets`: how many, and the mean PSNR of their renders, by strategy;
        `failed`: reasons by name.

    Raises:
        InputError: nothing to do, or `out` holds triplets of another plan.
        ResourceError: the machine refuses a write, or ended a process.
    """
    held_out = request.held_out
    sources = captured(request.captures, request.images, held_out if request.captures else 0)
    sources += invented(request.invent, held_out if request.invent else 0, request.first)
    if not sources:
        raise InputError("nothing to make triplets of: give captures, or a number of scenes to invent")
    check_folder(request.out, describe(request), resume=True)
    write_json(make_folder(request.out) / "config.json", describe(request))
    scenes: list[TripletScene] = []
    failed: dict[str, str] = {}
    for done, (name, reason) in enumerate(_made(request, sources, reporter), 1):
        if reason:
            failed[name] = reason
            reporter.note(f"{name} failed: {reason}")
        else:
            scenes.append(TripletScene.load(request.out / name))
        reporter.stage("scenes", done, len(sources))
    return {"scenes": len(scenes), "triplets": _by_strategy(scenes), "failed": failed}


def _made(request: CurateRequest, sources: Sequence[Source], reporter: Reporter) -> Iterator[tuple[str, str]]:
    """Names of scenes as they are done, each with the reason why it failed, or an empty one."""
    if request.workers == 1:
        yield from (curate_scene(source, request, reporter) for source in sources)
    else:
        yield from shared_out(partial(curate_scene, request=request, reporter=Silent()), sources, request.workers)


def curate_scene(source: Source, request: CurateRequest, reporter: Reporter) -> tuple[str, str]:
    """One scene, unless it is done; returns its name and the reason why it failed, or an empty one."""
    folder = request.out / source.name
    if _is_done(folder, source):
        return source.name, ""
    try:
        with opened(source, request.plan) as scene:
            curator = SceneCurator(
                source.name, source.split, scene.photoset, scene.pictures, scene.world, request.plan.references, folder,
                source.seed, resolve_device(request.device), reporter,
            )  # fmt: skip
            curator.run(request.plan.shortages(source.seed))
        with suppress(FileNotFoundError):
            (folder / FAILURE).unlink()
        return source.name, ""
    except UnseenError as error:
        reason = str(error)
    except Exception as error:
        reason = f"unexpected {type(error).__name__}: {error}"
    write_json(make_folder(folder) / FAILURE, {"source": str(source.capture or source.name), "error": reason})
    return source.name, reason


def _is_done(folder: Path, source: Source) -> bool:
    """Whether a scene has its manifest; one of the other split, or a damaged one, is made anew."""
    if not (folder / MANIFEST).is_file():
        return False
    try:
        return TripletScene.load(folder).split == source.split
    except FormatError:
        shutil.rmtree(folder)
        return False


def _by_strategy(scenes: Iterable[TripletScene]) -> dict[str, dict[str, Any]]:
    found: dict[str, list[float]] = {}
    for scene in scenes:
        strategies = {fit.name: fit.strategy for fit in scene.fits}
        for render in scene.renders:
            found.setdefault(strategies[render.fit], []).append(render.psnr)
    return {name: {"count": len(v), "psnr_db": round(float(np.mean(v)), 2)} for name, v in sorted(found.items())}


def describe(request: CurateRequest) -> dict[str, Any]:
    """What all scenes have in common, as JSON, with the version that computes it."""
    content = {"unseen": unseen.__version__, "plan": type(request.plan).__name__, **asdict(request.plan)}
    return json.loads(json.dumps(content))
