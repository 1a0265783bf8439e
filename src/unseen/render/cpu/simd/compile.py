"""How kernels are compiled and cached."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
import numba.extending

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}

intrinsic: Any = numba.extending.intrinsic
inner: Any = numba.njit(**{**_OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": True})
"""Decorator of what only kernels call."""


def kernel(function: Callable) -> Any:
    """Decorator of what Python calls: compiled at the first call, runs without the GIL, divides without checking, and
    is cached on disk where a place to write is found.

    numba compares a cached kernel with the age of the kernel's own file alone; what it inlines lies in others, so
    their age is made part of the comparison.
    """
    try:
        dispatcher = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # numba found no directory to cache in
        return numba.njit(**_OPTIONS)(function)
    file = getattr(dispatcher._cache, "_cache_file", None)
    if file is not None:
        file._source_stamp = (file._source_stamp, _age_of_sources())
    return dispatcher


@functools.lru_cache(maxsize=1)
def _age_of_sources() -> tuple[tuple[str, int, int], ...]:
    """Name, time and size of every source file kernels are made of."""
    root = Path(__file__).resolve().parents[2]
    files = sorted([*root.glob("cpu/**/*.py"), root / "settings.py"])
    return tuple((file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in files)
