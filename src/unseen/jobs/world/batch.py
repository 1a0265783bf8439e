"""Many request files, one folder each: what is finished is passed over, what fails leaves its reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from unseen.core.errors import InputError, UnseenError
from unseen.io.atomic import PathLike, make_folder, write_json
from unseen.jobs.progress import Reporter
from unseen.jobs.world.job import KEY, WorldJob, run_world
from unseen.jobs.world.models import Models
from unseen.jobs.world.outputs import FAILURE, Exports
from unseen.jobs.world.request import read_json, read_request
from unseen.jobs.world.settings import WorldSettings


def request_files(folder: PathLike) -> list[Path]:
    """The request files of a batch, by name.

    Raises:
        InputError: no such folder, or none in it.
    """
    root = Path(folder)
    if not root.is_dir():
        raise InputError(f"{folder} is no folder and no request file: expected FlashWorld's JSON")
    files = sorted(path for path in root.iterdir() if path.suffix.lower() == ".json" and path.is_file())
    if not files:
        raise InputError(f"{folder} holds no .json files: expected FlashWorld's request files")
    return files


def job_of(
    file: Path, out: Path, given: Mapping[str, Any], exports: Exports, roots: Sequence[PathLike], models: Models
) -> WorldJob:
    """The job of a request file.

    Args:
        file: FlashWorld's JSON.
        out: folder of its results.
        given: settings that win over those the file keeps; None is not given.
        exports: which files are written.
        roots: folders in which the file may name a picture, besides its own.
        models: tell what sizes they take.

    Raises:
        InputError: see `read_request` and `WorldSettings.of`.
        FormatError: see `read_request`.
    """
    content = read_json(file)
    settings = WorldSettings.of(content.get(KEY) if isinstance(content, Mapping) else None, given)
    request = read_request(file, roots, models.config(settings.model).multiple)
    return WorldJob(request, out, settings, exports)


def run_batch(
    files: Sequence[Path], out: Path, job_for: Callable[[Path, Path], WorldJob], models: Models, reporter: Reporter
) -> dict[str, Any]:
    """Make the world of every request file in OUT/<its name>.

    It may be killed at any time: run again, it goes on with the first request that is not finished. A request that
    fails leaves error.json in its folder and does not stop the others.

    Args:
        files: request files, of different names.
        out: folder of their folders.
        job_for: the job of a request file and its folder.
        models: what makes the worlds.
        reporter: told of progress.

    Returns:
        `worlds`: summaries by name, `failed`: reasons by name.
    """
    worlds: dict[str, Any] = {}
    failed: dict[str, str] = {}
    for done, file in enumerate(files):
        folder = out / file.stem
        try:
            worlds[file.stem] = run_world(job_for(file, folder), models, reporter)
        except UnseenError as error:
            failed[file.stem] = str(error)
        except Exception as error:
            failed[file.stem] = f"unexpected {type(error).__name__}: {error}"
        if file.stem in failed:
            reporter.note(f"{file.name} failed: {failed[file.stem]}")
            write_json(make_folder(folder) / FAILURE, {"request": str(file), "error": failed[file.stem]})
        reporter.stage("requests", done + 1, len(files))
    return {"worlds": worlds, "failed": failed}
