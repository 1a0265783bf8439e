"""Structure from motion: pictures or a video in, posed photos and points out, by COLMAP through pycolmap."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import numpy as np

from unseen.core.errors import InputError, ResourceError
from unseen.io.atomic import PathLike, as_resource_error, make_folder, write_json
from unseen.io.colmap import binary
from unseen.io.colmap.project import read_colmap
from unseen.io.photoset import PhotoSet
from unseen.io.picture_files import PICTURE_SUFFIXES, check_not_mirrored, list_pictures
from unseen.io.sfm.engine import load_pycolmap, quiet
from unseen.io.sfm.features import extract, match
from unseen.io.sfm.frames import extract_frames
from unseen.io.sfm.mapping import renamed, solve
from unseen.io.sfm.report import LEAST_PHOTOS, SolveReport, explain
from unseen.io.sfm.settings import Progress, Run, SolveOptions


def solve_cameras(
    images: PathLike,
    work: PathLike,
    *,
    camera_model: str = "OPENCV",
    max_frames: int = 200,
    max_side: int = 1600,
    max_features: int = 4096,
    min_share: float = 0.5,
    seed: int = 0,
    threads: int = 2,
    masks: PathLike | None = None,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> PhotoSet:
    """Solve for the cameras of pictures or of a video.

    SIFT features, matches of all pairs of up to 80 pictures and of neighbours in order and in looks of more, then
    COLMAP's incremental mapper. Pictures of one device and focal length share their intrinsics; EXIF gives the focal
    length to start from. Everything is kept in `work` (database.db; for a video images/; sparse/0; report.json): a
    second call with the same pictures and options goes on where the first was stopped, or returns what it found.

    Args:
        images: folder of pictures (searched with its subfolders), or a video, of which sharp, evenly spread frames are
            used.
        work: folder for the results, made if missing.
        camera_model: COLMAP's name of it.
        max_frames: of a video, at most.
        max_side: pictures are reduced to it for finding features; they are not changed.
        max_features: per picture.
        min_share: of the pictures that must be placed.
        seed: of all random choices.
        threads: for features and matches. Whatever they are, the same pictures and options give the
            same bytes with one version of pycolmap on one machine.
        masks: folder of masks the photos get; features are found everywhere.
        progress: called with the name of a stage, how much of it is done, and of how much.
        note: called with lines a person should read: how many photos were placed, and why others were not.

    Returns:
        The photos that were placed, in a world of arbitrary origin, orientation and scale.

    Raises:
        MissingDependencyError: pycolmap is not installed.
        InputError: no pictures there, mirrored ones, or too few could be placed; the message says what to do.
        FormatError: a picture or the video is damaged.
        ResourceError: the disk refuses.
    """
    options = SolveOptions(camera_model, max_frames, max_side, max_features, seed, threads)
    report_progress, say = progress or (lambda *_: None), note or (lambda _: None)
    pycolmap, place = load_pycolmap(), make_folder(work)
    source, names, in_time = _pictures(Path(images), place, options, report_progress)
    pictures, original = _without_blanks(source, names, place)
    run = Run(pycolmap, options, pictures, original, in_time, place, report_progress)
    report = _finished(run)
    if report is None:
        _start_afresh(run)
        with quiet(pycolmap):
            report = _solve(run)
    for line in report.lines():
        say(line)
    report.check(place, min_share)
    return read_colmap(place / "sparse" / "0", images=source, masks=masks)


def _solve(run: Run) -> SolveReport:
    extract(run)
    match(run)
    model = solve(run)
    placed = set() if model is None else {image.name for image in model.images.values()}
    failed = explain(run, placed)
    points = 0 if model is None else len(model.points.ids)
    error = float(np.mean(model.points.errors)) if model is not None and points else 0.0
    if model is not None:
        binary.write(make_folder(run.work / "sparse" / "0"), renamed(model, run.original))
    report = SolveReport(len(run.names), len(placed), failed, points, error)
    write_json(run.work / "report.json", asdict(report))
    return report


def _pictures(images: Path, work: Path, options: SolveOptions, progress: Progress) -> tuple[Path, list[str], bool]:
    """Folder and names of the pictures, and whether they follow each other in time."""
    if images.is_dir():
        own = work.resolve()
        folder, names = images, [n for n in list_pictures(images) if own not in (images / n).resolve().parents]
    elif images.suffix.lower() in PICTURE_SUFFIXES:
        raise InputError(f"{images} is a single picture: expected a folder of pictures or a video")
    else:
        folder = work / "images"
        names = _video_frames(images, folder, options.max_frames, progress)
    if len(names) < LEAST_PHOTOS:
        raise InputError(f"{images} has {len(names)} pictures: expected at least {LEAST_PHOTOS}, better 20 or more")
    for name in names:
        check_not_mirrored(folder / name)
    return folder, names, not images.is_dir()


def _video_frames(video: Path, folder: Path, count: int, progress: Progress) -> list[str]:
    """Frames picked earlier from the same file, or now."""
    if not video.is_file():
        raise InputError(f"{video} does not exist: expected a folder of pictures or a video")
    key = [count, video.stat().st_size, video.stat().st_mtime_ns]
    listing = folder / "frames.json"
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(listing.read_bytes())
        if content["key"] == key and all((folder / name).is_file() for name in content["names"]):
            return list(content["names"])
    shutil.rmtree(folder, ignore_errors=True)
    names = extract_frames(video, folder, count, progress)
    write_json(listing, {"key": key, "names": names})
    return names


def _without_blanks(folder: Path, names: list[str], work: Path) -> tuple[Path, dict[str, str]]:
    """A folder whose pictures have no blanks in their names, which COLMAP's lists of pairs cannot hold: `folder`
    itself, or one of links. With it the original name of each picture, in order."""
    if not any(char.isspace() for name in names for char in name):
        return folder, {name: name for name in names}
    links = work / "links"
    shutil.rmtree(links, ignore_errors=True)
    aliases = {f"{i:06d}{Path(name).suffix}": name for i, name in enumerate(names)}
    make_folder(links)
    for alias, name in aliases.items():
        try:
            os.symlink((folder / name).resolve(), links / alias)
        except OSError:  # a file system or system without links
            try:
                shutil.copy2(folder / name, links / alias)
            except OSError as error:
                raise as_resource_error(error, links / alias) from error
    return links, aliases


def _finished(run: Run) -> SolveReport | None:
    """The report of an earlier run with the same key that came to its end."""
    with suppress(OSError, ValueError, TypeError):
        if json.loads((run.work / "sfm.json").read_bytes()) == run.key():
            return SolveReport(**json.loads((run.work / "report.json").read_bytes()))
    return None


def _start_afresh(run: Run) -> None:
    """Remove what belongs to other pictures or options; write the key of this run."""
    key, path = run.key(), run.work / "sfm.json"
    with suppress(OSError, ValueError):
        if json.loads(path.read_bytes()) == key:
            return
    try:
        for name in ("report.json", "database.db", "database.db-wal", "database.db-shm"):
            (run.work / name).unlink(missing_ok=True)
        shutil.rmtree(run.work / "sparse", ignore_errors=True)
    except OSError as error:
        raise ResourceError(f"cannot clear earlier results in {run.work}: {error.strerror}") from error
    write_json(path, key)
