"""What a network costs: time of each layer, peak memory of a run."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

_SAMPLE_S = 0.005
_STATM = Path("/proc/self/statm")


@dataclass
class LayerCost:
    """Cost of a layer without the layers inside it, over all calls.

    Attributes:
        name: of the layer, "" for the network itself.
        kind: its class.
        calls: how often it ran.
        seconds: spent in it.
        parameter_bytes: of its own weights.
        output_bytes: of its greatest output.
    """

    name: str
    kind: str
    calls: int = 0
    seconds: float = 0.0
    parameter_bytes: int = 0
    output_bytes: int = 0


@contextmanager
def layer_costs(network: nn.Module) -> Iterator[list[LayerCost]]:
    """Measure each layer of `network` while the block runs; costs fill in, the dearest first once it ends.

    A layer's time leaves out that of layers inside it, so the times add up to the network's; attention itself shows as
    the time of `Attention`. On CUDA every layer waits for the device, which slows the whole.
    """
    meter = _Meter(torch.device(next((p.device for p in network.parameters()), "cpu")))
    handles = []
    for name, module in network.named_modules():
        cost = LayerCost(name, type(module).__name__, parameter_bytes=_own_bytes(module))
        meter.costs.append(cost)
        handles.append(module.register_forward_pre_hook(meter.begin))
        handles.append(module.register_forward_hook(meter.end_of(cost)))
    try:
        yield meter.costs
    finally:
        for handle in handles:
            handle.remove()
        meter.costs[:] = sorted((c for c in meter.costs if c.calls), key=lambda c: -c.seconds)


class _Meter:
    """Times nested calls: each one's own time is what its inner calls leave."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.costs: list[LayerCost] = []
        self.open: list[list[float]] = []  # of each call under way: when it began, seconds of its inner calls

    def begin(self, module: nn.Module, args: Any) -> None:
        _wait(self.device)
        self.open.append([time.perf_counter(), 0.0])

    def end_of(self, cost: LayerCost) -> Any:
        def end(module: nn.Module, args: Any, result: Any) -> None:
            _wait(self.device)
            began, inside = self.open.pop()
            whole = time.perf_counter() - began
            if self.open:
                self.open[-1][1] += whole
            cost.calls += 1
            cost.seconds += whole - inside
            if isinstance(result, Tensor):
                cost.output_bytes = max(cost.output_bytes, result.nbytes)

        return end


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _own_bytes(module: nn.Module) -> int:
    own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return sum(t.nbytes for t in own)


@dataclass
class Peak:
    """Most memory held, in bytes: by torch on a GPU, by the process on the CPU; None where it cannot be told."""

    bytes: int | None = None


@contextmanager
def peak_memory(device: torch.device) -> Iterator[Peak]:
    """Measure the most memory held while the block runs; told once it ends.

    On the CPU the process's resident memory is sampled every 5 ms; without /proc, its peak since it began is taken.
    """
    peak = Peak()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        yield peak
        peak.bytes = torch.cuda.max_memory_allocated(device)
        return
    if not _STATM.exists():
        yield peak
        peak.bytes = _peak_since_start()
        return
    ended = threading.Event()
    sampler = threading.Thread(target=_sample, args=(peak, ended), daemon=True)
    sampler.start()
    try:
        yield peak
    finally:
        ended.set()
        sampler.join()


def _sample(peak: Peak, ended: threading.Event) -> None:
    import resource

    page = resource.getpagesize()
    while True:
        last = ended.wait(_SAMPLE_S)
        held = int(_STATM.read_text().split()[1]) * page
        peak.bytes = max(peak.bytes or 0, held)
        if last:
            return


def _peak_since_start() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
