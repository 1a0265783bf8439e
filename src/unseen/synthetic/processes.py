"""Work shared by several processes; a file per seed, made so."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import TypeVar

from unseen.core.errors import ResourceError
from unseen.io.atomic import make_folder

J = TypeVar("J")
R = TypeVar("R")


def files_of(
    folder: Path, seeds: Sequence[int], make: Callable[[tuple[Path, int]], None], workers: int,
    progress: Callable[[int, int], None],
) -> list[Path]:  # fmt: skip
    """Make the files that `folder` lacks; returns the paths of all.

    Args:
        folder: made if absent; files are called after their seeds, `000123.npz`.
        seeds: one per file.
        make: writes the file of a path and a seed, atomically; can be pickled.
        workers: processes, each of one thread.
        progress: told of files that are there and how many there will be.

    Raises:
        ResourceError: the machine refuses a write.
    """
    make_folder(folder)
    paths = [folder / f"{seed:06d}.npz" for seed in seeds]
    missing = [(path, seed) for path, seed in zip(paths, seeds, strict=True) if not path.is_file()]
    for done, _ in enumerate(shared_out(make, missing, workers), 1):
        progress(len(paths) - len(missing) + done, len(paths))
    return paths


def shared_out(work: Callable[[J], R], jobs: Sequence[J], workers: int) -> Iterator[R]:
    """What `work` makes of each job, in their order, by several processes of one thread each.

    Args:
        work: can be pickled, as jobs and results can.
        jobs: any number.
        workers: processes.

    Raises:
        ResourceError: the machine ended a process.
    """
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin) as pool:
        try:
            yield from pool.map(work, jobs)
        except BrokenProcessPool as error:
            raise ResourceError(
                f"one of {workers} processes was ended, perhaps for want of memory: run again to go on, with fewer"
            ) from error


def _begin() -> None:
    """In a new process: it has one thread, and ends with its parent however that ends."""
    import numba
    import torch

    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    numba.set_num_threads(1)


def _end_with_parent() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
