"""Threads and memory of the CPU kernels.

Kernels are compiled with `nogil` and shared out over a few Python threads by a ticket counter, rather than by numba's
own threading layers: those bring a second OpenMP into the process, or abort when two Python threads render at once.
"""

import functools
import math
import os
import sys
import threading
import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import DTypeLike

from unseen.render.cpu.simd import kernel, peek, step_aside

ALIGNMENT = 64
"""Bytes of a cache line, at least."""


SPINS = 20_000
"""How often an idle helper looks for more work before it sleeps: some 0.2 ms, more than Python takes from one kernel to
the next. Waking a sleeping thread takes nearly as long."""
LOOKS = 50
"""How often in a row, before another thread is let go ahead: torch's, which take turns with these."""
NAP = 1e-4
"""Seconds the caller sleeps between two looks at a helper that takes long."""


def run(function: Callable, *args) -> None:
    """Call the kernel `function(counter, *args)` on as many threads as torch is set to use; `counter` deals out the
    work.

    Every result depends on the work item alone and never on the thread that took it, so any number of threads gives
    the same bits. May be called from several Python threads at once: one of them gets the helpers.
    """
    helpers = torch.get_num_threads() - 1
    if helpers == 0 or not _crew(helpers, os.getpid()).run(function, args):
        function(np.zeros(1, np.int64), *args)


class _Crew:
    """The helper threads of a process, and the counter they share with the caller."""

    def __init__(self, size: int) -> None:
        self._counter = np.zeros(8, np.int64)  # a cache line
        self._helpers = [_Helper(f"unseen-render-{i}", self._counter) for i in range(size)]
        self._lock = threading.Lock()

    def run(self, function: Callable, args: tuple) -> bool:
        """Call `function` on the caller's thread and those of the crew; False when the crew is at work already."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._counter[0] = 0
            for helper in self._helpers:
                helper.give(function, args)
            try:
                function(self._counter, *args)
            finally:
                errors = [helper.finish() for helper in self._helpers]
        finally:
            self._lock.release()
        for error in filter(None, errors):
            raise error
        return True


class _Helper(threading.Thread):
    """A thread that runs one call at a time.

    It waits for the next call without the GIL, and leaves that wait only once the caller has let go of the GIL, inside
    the kernel; in the same way it reports the end: a thread that has to queue for the GIL is put to sleep by it.
    """

    def __init__(self, name: str, counter: np.ndarray) -> None:
        super().__init__(name=name, daemon=True)
        self._counter = counter
        self._given, self._done = np.zeros(8, np.int64), np.zeros(8, np.int64)  # numbers of calls; a cache line each
        self._call: tuple[Callable, tuple] | None = None
        self._error: BaseException | None = None
        self._posted = threading.Condition()
        self.start()

    def give(self, function: Callable, args: tuple) -> None:
        """Hand over a call."""
        with self._posted:
            self._call = function, args
            self._given[0] += 1
            self._posted.notify()

    def finish(self) -> BaseException | None:
        """Take the call back if it was not begun, else wait for its end; what it raised."""
        with self._posted:
            begun, self._call = self._call is None, None
        while begun and not _reaches(self._done, self._given[0], SPINS):
            time.sleep(NAP)
        error, self._error = self._error, None
        return error

    def run(self) -> None:
        """Serve for ever."""
        number = 0
        while True:
            if not _next_call(self._done, number, self._given, self._counter, SPINS):
                with self._posted:
                    self._posted.wait_for(lambda: self._call is not None)
            with self._posted:
                call, self._call = self._call, None
                number = int(self._given[0])
            if call is not None:
                self._serve(*call)
                del call  # its arrays are lent

    def _serve(self, function: Callable, args: tuple) -> None:
        try:
            function(self._counter, *args)
        except BaseException as error:  # the caller raises it
            self._error = error


@kernel
def _reaches(value, wanted, times):
    """Wait until `value[0]` reaches `wanted`; False when it did not within so many looks."""
    while times > 0 and peek(value) < wanted:
        times -= 1
        if times % LOOKS == 0:
            step_aside()
    return times > 0


@kernel
def _next_call(done, number, given, counter, times):
    """Report call `number` done, then wait for the next and until its first work item is taken."""
    done[0] = number
    while times > 0 and (peek(given) <= number or peek(counter) == 0):
        times -= 1
        if times % LOOKS == 0:
            step_aside()
    return times > 0


@functools.lru_cache(maxsize=4)
def _crew(size: int, process_id: int) -> _Crew:
    """Helpers of this process; `process_id` makes a forked child start its own."""
    return _Crew(size)


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
