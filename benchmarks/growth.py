"""How time and memory of `unseen.render` grow with the number of Gaussians and of pixels: a table and a plot.

    python benchmarks/growth.py --plot docs/images/growth.png

Random Gaussians as W2 of `workloads`, SH degree 3, every size in a process of its own so that its peak memory is
its own. The extents of Gaussians in the world stay the same, so more pixels make larger Gaussians in pixels.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

NUMBERS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
SIZES = (128, 256, 512, 1024, 2048)
FIXED_SIZE, FIXED_NUMBER = 512, 100_000


def main() -> None:
    """Measure everything, print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--plot", type=Path, help="PNG to write")
    parser.add_argument("--seconds", type=float, default=2.0, help="per figure")
    parser.add_argument("--one", nargs=2, type=int, metavar=("N", "SIZE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*arguments.one, arguments.seconds)))
        return
    print(f"{'Gaussians':>9} {'pixels':>9} {'forward ms':>10} {'fwd+bwd ms':>10} {'peak MB':>8} {'of it scene':>11}")
    by_number = [row(n, FIXED_SIZE, arguments.seconds) for n in NUMBERS]
    by_size = [row(FIXED_NUMBER, size, arguments.seconds) for size in SIZES]
    if arguments.plot:
        draw(by_number, by_size, arguments.plot)


def row(n: int, size: int, seconds: float) -> dict[str, float]:
    """Measure one size in a fresh process and print it."""
    command = [sys.executable, __file__, "--one", str(n), str(size), "--seconds", str(seconds)]
    found = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    print(
        f"{n:9} {size:4}^2    {found['forward']:10.1f} {found['fwd+bwd']:10.1f} {found['peak_mb']:8.0f} "
        f"{found['scene_mb']:11.0f}",
        flush=True,
    )
    return found


def measure(n: int, size: int, seconds: float) -> dict[str, float]:
    """Milliseconds and the growth of the process's peak memory over what it had before it rendered."""
    from rasterization import milliseconds, phases
    from workloads import random_cube

    functions = phases(random_cube(n=1000, size=64), "cpu")
    functions["fwd+bwd"]()  # kernels are loaded
    w = random_cube(n=n, size=size)
    functions = phases(w, "cpu")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = {phase: milliseconds(functions[phase], seconds) for phase in ("forward", "fwd+bwd")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    scene = sum(t.numel() * t.element_size() for t in w.activated()) / 1e6
    return {"n": n, "size": size, **times, "peak_mb": peak * 1024 / 1e6, "scene_mb": scene}


def draw(by_number: list[dict], by_size: list[dict], path: Path) -> None:
    """Two log-log plots side by side."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), sharey=True, layout="constrained")
    for ax, rows, key, label in (
        (axes[0], by_number, "n", f"Gaussians, at {FIXED_SIZE} x {FIXED_SIZE} pixels"),
        (axes[1], by_size, "size", f"image side in pixels, {FIXED_NUMBER:,} Gaussians"),
    ):
        for phase, marker in (("forward", "o"), ("fwd+bwd", "s")):
            ax.loglog([r[key] for r in rows], [r[phase] for r in rows], marker=marker, label=f"{phase}, ms")
        ax.loglog([r[key] for r in rows], [r["peak_mb"] for r in rows], ls="--", color="gray", label="memory, MB")
        ax.set_xlabel(label)
        ax.grid(alpha=0.3, which="both")
    axes[1].set_xticks(SIZES, [str(s) for s in SIZES], minor=False)
    axes[1].minorticks_off()
    axes[0].set_ylabel("milliseconds, megabytes")
    axes[0].legend()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
