"""Threads and memory of the CPU kernels.

Kernels are compiled with `nogil` and shared out over a few Python threads by a ticket counter, rather than by numba's own
threading layers: those bring a second OpenMP into the process, or abort when two Python threads render at once.
"""

import functools
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import DTypeLike


ALIGNMENT = 64
"""Bytes of a cache line, at least."""


def run(kernel: Callable, *args) -> None:
    """Call `kernel(counter, *args)` on as many threads as torch is set to use; `counter` deals out the work.

    Every result depends on the work item alone and never on the thread that took it, so any number of threads gives the
    same bits. May be called from several Python threads at once.
    """
    counter = np.zeros(1, np.int64)
    helpers = torch.get_num_threads() - 1
    pool = _pool(helpers, os.getpid()) if helpers > 0 else None
    futures = [pool.submit(kernel, counter, *args) for _ in range(helpers)] if pool else []
    kernel(counter, *args)
    for future in futures:
        if not future.cancel():
            future.result()


@functools.lru_cache(maxsize=4)
def _pool(helpers: int, process_id: int) -> ThreadPoolExecutor:
    """Helper threads of this process; `process_id` makes a forked child start its own."""
    return ThreadPoolExecutor(helpers, thread_name_prefix=f"unseen-render-{process_id}")


class Buffers:
    """Arrays that are lent out and taken back by themselves once nobody refers to them any more.

    Fresh large arrays cost a page fault per 4 KiB; a training step asks for the same sizes again and again. Idle arrays
    that no `take` has wanted for `patience` calls are let go.
    """

    def __init__(self, patience: int = 400):
        self._arrays: dict[int, list[list]] = {}  # size class -> [array, last use]
        self._lock = threading.Lock()
        self._calls = 0
        self._patience = patience

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An uninitialised C-contiguous array that starts a cache line."""
        dtype = np.dtype(dtype)
        count = int(np.prod(shape, dtype=np.int64))
        with self._lock:
            self._calls += 1
            if self._calls % self._patience == 0:
                self._drop_idle()
            array = self._find(_size_class(count * dtype.itemsize))
            start = -array.ctypes.data % ALIGNMENT
            return array[start : start + count * dtype.itemsize].view(dtype).reshape(shape)

    def _find(self, size: int) -> np.ndarray:
        shelf = self._arrays.setdefault(size, [])
        for entry in shelf:
            if sys.getrefcount(entry[0]) == 2:  # the shelf's and getrefcount's own
                entry[1] = self._calls
                return entry[0]
        shelf.append([np.empty(size + ALIGNMENT, np.uint8), self._calls])
        return shelf[-1][0]

    def _drop_idle(self) -> None:
        oldest = self._calls - self._patience
        for shelf in self._arrays.values():
            shelf[:] = [entry for entry in shelf if entry[1] > oldest or sys.getrefcount(entry[0]) > 2]


def _size_class(size: int) -> int:
    """Round up so that sizes within an eighth of each other share arrays; a multiple of 64 bytes."""
    step = 1 << max(6, size.bit_length() - 3)
    return max(-(-size // step), 1) * step


@functools.lru_cache(maxsize=1)
def buffers() -> Buffers:
    """The process's lender of arrays."""
    return Buffers()


def take(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """An uninitialised array from `buffers()`."""
    return buffers().take(shape, dtype)


def take_zeros(shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> np.ndarray:
    """A zeroed array from `buffers()`."""
    array = take(shape, dtype)
    array.fill(0)
    return array
