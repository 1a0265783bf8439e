"""Threads and memory of the CPU kernels.

Kernels are compiled with `nogil` and shared out over a few Python threads by a ticket counter, rather than by numba's
own threading layers: those bring a second OpenMP into the process, or abort when two Python threads render at once.
"""

import functools
import math
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

    Every result depends on the work item alone and never on the thread that took it, so any number of threads gives
    the same bits. May be called from several Python threads at once.
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

    Fresh large arrays cost a page fault per 4 KiB; a training step asks for the same sizes again and again. Idle
    arrays that no `take` has wanted for `patience` calls are let go.
    """

    def __init__(self, patience: int = 400):
        self._shelves: dict[int, list[_Entry]] = {}
        self._lock = threading.Lock()
        self._calls = 0
        self._patience = patience

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An uninitialised C-contiguous array that starts a cache line."""
        dtype = np.dtype(dtype)
        size = math.prod(shape) * dtype.itemsize
        with self._lock:
            self._calls += 1
            if self._calls % self._patience == 0:
                self._drop_idle()
            return self._find(_size_class(size))[:size].view(dtype).reshape(shape)

    def _find(self, size: int) -> np.ndarray:
        shelf = self._shelves.setdefault(size, [])
        for entry in shelf:
            if entry.idle():
                entry.last_use = self._calls
                return entry.aligned
        shelf.append(_Entry(size, self._calls))
        return shelf[-1].aligned

    def _drop_idle(self) -> None:
        oldest = self._calls - self._patience
        for shelf in self._shelves.values():
            shelf[:] = [entry for entry in shelf if entry.last_use > oldest or not entry.idle()]


class _Entry:
    """An array of bytes and when it was lent last. Views that numpy or torch make of it refer to `owner`."""

    def __init__(self, size: int, now: int):
        self.owner = np.empty(size + ALIGNMENT, np.uint8)
        start = -self.owner.ctypes.data % ALIGNMENT
        self.aligned = self.owner[start : start + size]
        self.last_use = now

    def idle(self) -> bool:
        """Nobody holds a view: what remains are this entry's two references and getrefcount's own."""
        return sys.getrefcount(self.owner) == 3


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
