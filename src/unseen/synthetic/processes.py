"""A file per seed, made in several processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from unseen.io.atomic import make_folder


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
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_single_threaded) as pool:
        for done, _ in enumerate(pool.map(make, missing), 1):
            progress(len(paths) - len(missing) + done, len(paths))
    return paths


def _single_threaded() -> None:
    import numba
    import torch

    torch.set_num_threads(1)
    numba.set_num_threads(1)
