"""Milliseconds of `unseen.render` on the CPU: ours, the peers there are, and the ratios, from one run.

    python benchmarks/rasterization.py                              # everything, some minutes; leave the machine alone
    python benchmarks/rasterization.py -w avatar10k --no-reference
    python benchmarks/rasterization.py --opensplat ~/OpenSplat/build/opensplat

forward: without gradients. fwd+bwd: forward, and backward to means, quats, scales, opacities and colours. step: a whole
training step: activations, render, L1 + SSIM, backward, Adam.

share: of a measured limit. The arithmetic of one Gaussian at 16 pixels (exponent, exp2, blending; for fwd+bwd also the
nine sums of backward) is timed in registers, and multiplied by the (Gaussian, pixel) pairs of the image that
contribute; the rest of the time goes to lanes that do not contribute, lists, projection, the chain rule and memory.

Peers: the `reference` backend (plain torch), taichi-splatting where it is installed and runs, and OpenSplat's CPU path
(`--opensplat BINARY`, whole training steps on the garden).

A figure is the median of a block of calls, and of `--blocks` such blocks, which take turns with those of other thread
counts, the quietest one's: a machine that others share is slower most of the time, never faster.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: its idle threads else spin on the cores measured

import torch

from limits import contributing_pairs, lanes_per_second
from peers import Unavailable, opensplat_step_ms, taichi_phases
from unseen.fit.losses import image_loss
from workloads import GARDEN, Workload, garden, make_workloads

RATES = {"means": 1.6e-4, "quats": 1e-3, "log_scales": 5e-3, "logits": 5e-2, "colors": 2.5e-3}
PHASES = ("forward", "fwd+bwd", "step")


def phases(w: Workload, backend: str) -> dict[str, Callable[[], None]]:
    """What is timed."""
    active, raw = w.activated(), w.raw()
    optimizer = torch.optim.Adam(
        [{"params": [leaf], "lr": rate} for leaf, rate in zip(raw, RATES.values(), strict=True)], eps=1e-15, fused=True
    )
    upstream = torch.rand(1, w.height, w.width, 3)
    target = torch.rand(1, w.height, w.width, 3)

    def forward() -> None:
        with torch.no_grad():
            w.render(*active, backend=backend)

    def forward_backward() -> None:
        for leaf in active:
            leaf.grad = None
        w.render(*active, backend=backend).backward(upstream)

    def step() -> None:
        optimizer.zero_grad()
        means, quats, log_scales, logits, colors = raw
        render = w.render(means, quats, log_scales.exp(), logits.sigmoid(), colors, backend=backend)
        image_loss(render, target).backward()
        optimizer.step()

    return dict(zip(PHASES, (forward, forward_backward, step), strict=True))


def milliseconds(function: Callable[[], object], seconds: float, least: int = 5, warm: int = 3) -> float:
    """Median over at least `least` calls and about `seconds`, after some calls to warm up."""
    for _ in range(warm):
        function()
    times: list[float] = []
    while len(times) < least or sum(times) < seconds:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return 1e3 * statistics.median(times)


def main() -> None:
    """Parse arguments, measure, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-w", "--workloads", nargs="+", help="which to run, by the beginning of their names")
    parser.add_argument("-t", "--threads", nargs="+", type=int, default=[1, 2], help="thread counts")
    parser.add_argument("--seconds", type=float, default=0.4, help="per block of calls of the cpu backend")
    parser.add_argument("--blocks", type=int, default=10, help="blocks per figure")
    parser.add_argument("--garden", type=Path, default=GARDEN, help="gsplat's test_garden.npz")
    parser.add_argument("--no-reference", action="store_true", help="leave the reference backend out")
    parser.add_argument("--opensplat", type=Path, help="OpenSplat's binary")
    arguments = parser.parse_args()
    makers = make_workloads(arguments.garden)
    chosen = {k: m for k, m in makers.items() if not arguments.workloads or k.startswith(tuple(arguments.workloads))}
    print(f"{'workload':9} {'phase':>8} {'threads':>7} {'cpu ms':>8} {'speed-up':>8} {'share':>6}   peers (ms, ratio)")
    for name, make in chosen.items():
        measure(name, make(), arguments)
    if arguments.opensplat:
        against_opensplat(arguments)


def measure(name: str, w: Workload, arguments: argparse.Namespace) -> None:
    """Print the rows of one workload; peers are slow and get one call, with all threads."""
    own, alone = phases(w, "cpu"), {}
    most = max(arguments.threads)
    limits = {}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        limits[threads] = limit_ms(w)
    peers = {"taichi-splatting": taichi_phases}
    if not arguments.no_reference:
        peers["reference"] = lambda w: phases(w, "reference")
    for phase in PHASES:
        best = dict.fromkeys(arguments.threads, float("inf"))
        for _ in range(arguments.blocks):
            for threads in arguments.threads:
                torch.set_num_threads(threads)
                best[threads] = min(best[threads], milliseconds(own[phase], arguments.seconds))
        for threads, ms in best.items():
            alone.setdefault(phase, ms)
            limit = limits[threads].get(phase)
            share = f"{100 * limit / ms:5.0f}%" if limit else f"{'':6}"
            row = f"{name:9} {phase:>8} {threads:7} {ms:8.1f} {alone[phase] / ms:7.2f}x {share}"
            if threads == most and phase != "step":
                row += "  " + ", ".join(filter(None, (peer_ms(k, peer, w, phase, ms) for k, peer in peers.items())))
            print(row, flush=True)


def limit_ms(w: Workload) -> dict[str, float]:
    """Least milliseconds for the pairs that contribute, with the threads that are set."""
    pairs = contributing_pairs(w)
    forward, backward = (1e3 * pairs / rate for rate in lanes_per_second())
    return {"forward": forward, "fwd+bwd": forward + backward}


def peer_ms(name: str, make: Callable[[Workload], dict], w: Workload, phase: str, own: float) -> str:
    """A peer's figure, or nothing where it does not run here."""
    try:
        function = make(w)[phase]
    except Unavailable:
        return ""
    other = milliseconds(function, 0.0, least=1, warm=0)
    return f"{name} {other:.0f} ({other / own:.0f}x)"


def against_opensplat(arguments: argparse.Namespace) -> None:
    """Whole training steps of OpenSplat's CPU path and ours, on the garden."""
    torch.set_num_threads(max(arguments.threads))
    w = garden(arguments.garden, 3)
    own = milliseconds(phases(w, "cpu")["step"], arguments.seconds)
    other = opensplat_step_ms(arguments.opensplat, w)
    print(f"W1 step: ours {own:.1f} ms, OpenSplat (CPU) {other:.0f} ms ({other / own:.0f}x)")


if __name__ == "__main__":
    main()
