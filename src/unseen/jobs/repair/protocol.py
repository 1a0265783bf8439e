"""The protocol of repairs: scenes, which of their photos are fitted, by which they are judged; run, and tabled.

No fixer of this package is trained on the scenes of its splits: their seeds begin at `JUDGED_FROM`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from unseen.core.errors import FormatError, InputError
from unseen.fit.config import FitConfig
from unseen.io.atomic import make_folder, write_json
from unseen.jobs.fit import FitRequest
from unseen.jobs.fit.sources import PhotoSource
from unseen.jobs.folder import check_folder
from unseen.jobs.progress import Reporter
from unseen.jobs.repair.config import FINAL_RATE, RepairConfig
from unseen.jobs.repair.job import RepairRequest, run_repair
from unseen.jobs.repair.outputs import COLUMNS
from unseen.priors.fixer.fixing import Fixer
from unseen.synthetic.scenes.catalogue import JUDGED_FROM, SCENES, film_scene

RESULT = "protocol.json"


@dataclass(frozen=True)
class Capture:
    """A capture of a split.

    Attributes:
        name: of its folder.
        scene, seed, photos, width, height, detail: of a synthetic one, as for `film_scene`.
        folder: of photos that are there, instead.
        keep: the capture is fitted with every so-many-th photo, and judged by the others; once for each number.
        holdout: the capture is judged by every so-many-th photo, and fitted with the others; once for each number.
    """

    name: str
    scene: str = ""
    seed: int = JUDGED_FROM
    photos: int = 200
    width: int = 320
    height: int = 240
    detail: float = 1.0
    folder: Path | None = None
    keep: tuple[int, ...] = ()
    holdout: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if (self.folder is None) == (not self.scene) or (self.scene and self.scene not in SCENES):
            raise InputError(f"capture {self.name}: expected a folder, or a scene: {', '.join(SCENES)}")
        if self.scene and self.seed < JUDGED_FROM:
            raise InputError(f"capture {self.name} has seed {self.seed}: expected {JUDGED_FROM} or more, held out")


@dataclass(frozen=True)
class Split:
    """What the protocol runs.

    Attributes:
        captures: what is fitted.
        steps, max_splats: of every fit.
        judged: photos to judge by, at most, evenly chosen.
    """

    captures: tuple[Capture, ...]
    steps: int = 3000
    max_splats: int = 100_000
    judged: int = 24


def read_split(name: str) -> Split:
    """A split of the package by name, or one of a JSON file; its folders are relative to the file.

    Raises:
        InputError: there is no such split, or it asks for what makes no sense.
        FormatError: the file is no split.
    """
    own = resources.files("unseen.jobs.repair") / "splits"
    path = own / f"{name}.json"
    try:
        text = (path if path.is_file() else Path(name)).read_text("utf-8")
    except OSError as error:
        known = ", ".join(sorted(p.name.removesuffix(".json") for p in own.iterdir()))
        raise InputError(f"there is no split {name!r}: expected {known}, or a JSON file") from error
    try:
        content = json.loads(text)
        captures = tuple(_capture(entry, Path(name).parent) for entry in content["captures"])
        settings = {k: content[k] for k in ("steps", "max_splats", "judged") if k in content}
        return Split(captures, **settings)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"{name} is no split: {error}") from error


def _capture(entry: Mapping[str, Any], beside: Path) -> Capture:
    known = {field.name for field in fields(Capture)}
    if unknown := sorted(set(entry) - known):
        raise ValueError(f"a capture has no {unknown[0]!r}, only {', '.join(sorted(known))}")
    lists = {k: tuple(entry.get(k, ())) for k in ("keep", "holdout")}
    folder = {"folder": beside / entry["folder"]} if "folder" in entry else {}
    return Capture(**{**entry, **lists, **folder})


@dataclass(frozen=True)
class Run:
    """One fit of a split: a capture, and one of its ways (`keep` or `holdout`) with its number."""

    split: Split
    capture: Capture
    way: str
    number: int

    def folder(self, out: Path, fixer: str) -> Path:
        """Where its results are."""
        plain = "".join(c if c.isalnum() else "-" for c in fixer)[-40:]
        return out / "runs" / f"{self.capture.name}-{self.way}-{self.number}-{plain}"


def runs_of(split: Split) -> list[Run]:
    """All fits of a split."""
    ways = ("keep", "holdout")
    return [Run(split, c, way, n) for c in split.captures for way in ways for n in getattr(c, way)]


def run_protocol(
    split: Split, out: Path, fixer: str, load: Callable[[], Fixer | None], device: str, reporter: Reporter
) -> dict[str, Any]:
    """Repair every capture of a split in every way it asks for; what is finished in `out` is not repeated.

    Args:
        split: what to run.
        out: folder for captures, runs and protocol.json.
        fixer: its name.
        load: gives it.
        device: where to compute.
        reporter: told of progress.

    Returns:
        `rows`: for each run its capture, way, number of fitted photos, columns and seconds; `fixer`.

    Raises:
        InputError, FormatError, ShapeError, ResourceError: as `run_repair`.
    """
    found, runs = [], runs_of(split)
    for done, run in enumerate(runs):
        reporter.stage("runs", done, len(runs))
        summary = run_once(run, out, fixer, load, device, reporter)
        found.append(
            {"capture": run.capture.name, "way": run.way, "number": run.number, "photos": summary["fitted_photos"]}
            | {"columns": {k: {m: v[m] for m in ("psnr", "ssim")} for k, v in summary["columns"].items()}}
            | {"seconds": summary["seconds"]["total"]}
        )
    result = {"fixer": fixer, "rows": found}
    write_json(make_folder(out) / RESULT, result)
    return result


def run_once(
    run: Run, out: Path, fixer: str, load: Callable[[], Fixer | None], device: str, reporter: Reporter
) -> dict[str, Any]:
    """One run's summary, of an earlier run where there is one; arguments and errors as `run_protocol`."""
    folder = run.folder(out, fixer)
    make_folder(folder.parent)
    request = _request(run, _photos(run.capture, out, reporter), folder, fixer, device)
    return _finished(request) or run_repair(request, load, reporter)


def rows(found: Mapping[str, Any]) -> list[str]:
    """The result as a table for people, with means per way."""
    heads = "".join(f"{name:>18}" for name in COLUMNS)
    lines = [f"{'capture':<14} {'photos':>14} {heads}  (PSNR / SSIM)"]
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        way = f"{'every' if row['way'] == 'keep' else 'not every'} {row['number']}th"
        groups.setdefault(way, []).append(row)
        lines.append(f"{row['capture']:<14} {way:>14} {_figures([row])}")
    return lines + [f"{'mean':<14} {way:>14} {_figures(some)}" for way, some in groups.items()]


def _figures(some: list[Mapping[str, Any]]) -> str:
    text = ""
    for name in COLUMNS:
        scores = [row["columns"][name] for row in some if name in row["columns"]]
        means = [float(np.mean([score[m] for score in scores])) for m in ("psnr", "ssim")] if scores else []
        text += f"{'{:.2f} / {:.4f}'.format(*means):>18}" if means else f"{'-':>18}"
    return text


def _request(run: Run, source: Path, out: Path, fixer: str, device: str) -> RepairRequest:
    fit = FitConfig(steps=run.split.steps, max_splats=run.split.max_splats, final_rate=FINAL_RATE)
    base = FitRequest(
        PhotoSource(source), out, fit, holdout=run.number if run.way == "holdout" else 0, tensorboard=False,
        device=device, resume=True,
    )  # fmt: skip
    keep = run.number if run.way == "keep" else 0
    return RepairRequest(base, RepairConfig(), fixer, keep=keep, judged=run.split.judged)


def _photos(capture: Capture, out: Path, reporter: Reporter) -> Path:
    """The folder of a capture; a synthetic one is filmed once."""
    if capture.folder is not None:
        return capture.folder
    folder = out / "captures" / f"{capture.name}-{capture.photos}x{capture.width}x{capture.height}"
    if not (folder / "filmed.json").is_file():
        film_scene(
            capture.scene, folder, photos=capture.photos, width=capture.width, height=capture.height,
            seed=capture.seed, detail=capture.detail, progress=reporter.stage,
        )  # fmt: skip
        write_json(folder / "filmed.json", {"scene": capture.scene, "seed": capture.seed})
    return folder


def _finished(request: RepairRequest) -> dict[str, Any] | None:
    """What an earlier run of the same came to."""
    out = request.base.out
    check_folder(out, request.description, resume=True)
    try:
        return json.loads((out / "metrics.json").read_text())
    except OSError:
        return None
    except ValueError as error:
        raise FormatError(f"{out}/metrics.json is damaged: {error}; remove the folder to repeat the run") from error
