"""Milliseconds of `unseen.render` on the CPU: forward, forward and backward, and a whole training step.

    python benchmarks/rasterization.py                    # everything, a few minutes
    python benchmarks/rasterization.py -w avatar --no-reference

Workloads: W1, the garden (points of garden.npz within [-2, 2]^3, camera 0, native size); W2, 100,000 random Gaussians
at 512 x 512; W3, the same with scales five times larger; avatar, 10,000 and 30,000 small Gaussians on an ellipsoid at
512 x 512, plain colours. W1 to W3 have SH degree 3 and draw their random numbers as stated in `random_parts`. The
peer is the `reference` backend (plain torch) in the same run. Times are medians; run on an idle machine.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch: its idle threads else spin on the cores measured

import numpy as np
import torch
from torch import Tensor

from unseen.core.sh import rgb_to_sh0
from unseen.fit.losses import image_loss
from unseen.render import rasterization

GARDEN = Path(__file__).resolve().parents[2] / "shared" / "data" / "garden.npz"
RATES = {"means": 1.6e-4, "quats": 1e-3, "log_scales": 5e-3, "logits": 5e-2, "colors": 2.5e-3}


@dataclass
class Workload:
    """Trainable tensors, raw as an optimiser sees them, and one camera."""

    means: Tensor
    quats: Tensor
    log_scales: Tensor
    logits: Tensor
    colors: Tensor
    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int
    sh_degree: int | None

    def render(self, backend: str) -> Tensor:
        """The image [1, H, W, 3]."""
        return rasterization(
            *(self.means, self.quats, self.log_scales.exp(), self.logits.sigmoid(), self.colors),
            *(self.viewmats, self.Ks, self.width, self.height),
            sh_degree=self.sh_degree,
            backend=backend,
        )[0]


def random_parts(n: int, low: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Scales U[low, 0.02], unit quaternions and opacities U[0, 1], drawn in this order."""
    scales = torch.rand(n, 3, generator=generator) * (0.02 - low) + low
    quats = torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=1)
    return scales, quats, torch.rand(n, generator=generator)


def harmonics(rgb: Tensor, generator: torch.Generator) -> Tensor:
    """SH to degree 3: band 0 from colours, the rest N(0, 0.05)."""
    return torch.cat([rgb_to_sh0(rgb)[:, None], 0.05 * torch.randn(len(rgb), 15, 3, generator=generator)], 1)


def workload(means, scales, quats, opacities, colors, viewmats, ks, width, height, sh_degree) -> Workload:
    """Raw tensors that require gradients."""
    raw = [means, quats, scales.log(), torch.logit(opacities.clamp(1e-6, 1 - 1e-6)), colors]
    leaves = [t.detach().clone().contiguous().requires_grad_() for t in raw]
    return Workload(*leaves, viewmats, ks, width, height, sh_degree)


def garden(path: Path) -> Workload:
    """W1."""
    data = np.load(path)
    generator = torch.Generator().manual_seed(42)
    keep = np.abs(data["means3d"]).max(1) <= 2
    means, rgb = (torch.from_numpy(data[k][keep]).float() for k in ("means3d", "colors"))
    scales, quats, opacities = random_parts(len(means), 1e-4, generator)
    cameras = [torch.from_numpy(data[k][:1]).float() for k in ("viewmats", "Ks")]
    size = int(data["width"]), int(data["height"])
    return workload(means, scales, quats, opacities, harmonics(rgb / 255, generator), *cameras, *size, 3)


def pinhole(distance: float, focal: float) -> tuple[Tensor, Tensor]:
    """A 512 x 512 camera on the z axis."""
    viewmats = torch.eye(4)[None].clone()
    viewmats[:, 2, 3] = distance
    return viewmats, torch.tensor([[[focal, 0, 256], [0, focal, 256], [0, 0, 1.0]]])


def random_cube(factor: float) -> Workload:
    """W2 and, with scales five times larger, W3."""
    generator = torch.Generator().manual_seed(42)
    means = (torch.rand(100_000, 3, generator=generator) - 0.5) * 2
    scales, quats, opacities = random_parts(100_000, 1e-3, generator)
    rgb = torch.rand(100_000, 3, generator=generator)
    colors = harmonics(rgb, generator)
    return workload(means, scales * factor, quats, opacities, colors, *pinhole(4, 1.4 * 512), 512, 512, 3)


def avatar(n: int) -> Workload:
    """n Gaussians of 1 to 3 mm on a head-sized ellipsoid seen from 1 m."""
    generator = torch.Generator().manual_seed(42)
    directions = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=1)
    means = directions * torch.tensor([0.08, 0.11, 0.09])
    scales = torch.rand(n, 3, generator=generator) * 0.002 + 0.001
    quats = torch.randn(n, 4, generator=generator)
    opacities = torch.rand(n, generator=generator) * 0.8 + 0.15
    rgb = torch.rand(n, 3, generator=generator)
    return workload(means, scales, quats, opacities, rgb, *pinhole(1, 1400), 512, 512, None)


def phases(w: Workload, backend: str) -> dict[str, Callable[[], None]]:
    """What is timed."""
    leaves = [w.means, w.quats, w.log_scales, w.logits, w.colors]
    optimizer = torch.optim.Adam(
        [{"params": [leaf], "lr": rate} for leaf, rate in zip(leaves, RATES.values(), strict=True)],
        eps=1e-15,
        fused=True,
    )
    upstream = torch.rand(1, w.height, w.width, 3)
    target = torch.rand(1, w.height, w.width, 3)

    def forward() -> None:
        with torch.no_grad():
            w.render(backend)

    def forward_backward() -> None:
        optimizer.zero_grad()
        w.render(backend).backward(upstream)

    def step() -> None:
        optimizer.zero_grad()
        image_loss(w.render(backend), target).backward()
        optimizer.step()

    return {"forward": forward, "fwd+bwd": forward_backward, "step": step}


def milliseconds(function: Callable[[], None], seconds: float, least: int, warm: bool = True) -> float:
    """Median over at least `least` calls and about `seconds`, after one call to warm up."""
    if warm:
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
    parser.add_argument("-w", "--workloads", nargs="+", default=["W1", "W2", "W3", "avatar"], help="which to run")
    parser.add_argument("-t", "--threads", nargs="+", type=int, default=[1, 2], help="thread counts")
    parser.add_argument("--seconds", type=float, default=3.0, help="per figure of the cpu backend")
    parser.add_argument("--garden", type=Path, default=GARDEN, help="gsplat's test_garden.npz")
    parser.add_argument("--no-reference", action="store_true", help="leave the peer out")
    arguments = parser.parse_args()
    makers: dict[str, Callable[[], Workload]] = {
        "W1": lambda: garden(arguments.garden),
        "W2": lambda: random_cube(1.0),
        "W3": lambda: random_cube(5.0),
        "avatar10k": lambda: avatar(10_000),
        "avatar30k": lambda: avatar(30_000),
    }
    if not arguments.garden.exists():
        print(f"W1 left out: {arguments.garden} is not there (--garden)")
        del makers["W1"]
    print(f"{'workload':10} {'threads':>7} {'phase':>8} {'cpu ms':>9} {'reference ms':>13} {'ratio':>7}")
    for name, make in makers.items():
        if any(name.startswith(wanted) for wanted in arguments.workloads):
            for threads in arguments.threads:
                with_reference = not arguments.no_reference and threads == max(arguments.threads)
                measure(name, make, threads, arguments.seconds, with_reference)


def measure(name: str, make: Callable[[], Workload], threads: int, seconds: float, with_reference: bool) -> None:
    """Print the rows of one workload and thread count; the reference is slow and gets one call."""
    torch.set_num_threads(threads)
    ours, peer = phases(make(), "cpu"), phases(make(), "reference")
    for phase, function in ours.items():
        own = milliseconds(function, seconds, 5)
        row = f"{name:10} {threads:7} {phase:>8} {own:9.1f}"
        if with_reference and phase != "step":
            other = milliseconds(peer[phase], 0.0, 1, warm=False)
            row += f" {other:13.0f} {other / own:6.0f}x"
        print(row, flush=True)


if __name__ == "__main__":
    main()
