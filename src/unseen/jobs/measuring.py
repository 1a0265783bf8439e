"""What all profiles measure with: time that waits for the device, calls of modules, bytes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

Noted = Callable[[float], object]
"""Is given the seconds of a call."""


def now(device: torch.device) -> float:
    """Seconds, once the device has done what it was told to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


@contextmanager
def calls_noted(modules: Iterable[tuple[nn.Module, Noted]], device: torch.device) -> Iterator[None]:
    """Tell how long every call of some modules takes, within the block."""
    handles = [handle for module, note in modules for handle in _watched(module, note, device)]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _watched(module: nn.Module, note: Noted, device: torch.device) -> tuple[Any, Any]:
    began: list[float] = []
    before = module.register_forward_pre_hook(lambda *_: began.append(now(device)))
    return before, module.register_forward_hook(lambda *_: _passed(note, now(device) - began.pop()))


def _passed(note: Noted, seconds: float) -> None:
    """A hook that returned something would replace the module's result."""
    note(seconds)


def weights_of(network: nn.Module) -> list[Tensor]:
    """Parameters and buffers."""
    return [*network.parameters(), *network.buffers()]


def weight_bytes(network: nn.Module) -> int:
    """Of parameters and buffers."""
    return sum(t.nbytes for t in weights_of(network))


def device_name(device: torch.device) -> str:
    """The GPU, or how many threads of the CPU."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} threads"


def size_of(count: int | None) -> str:
    """Bytes as people say them."""
    if count is None:
        return "not told by this system"
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"
