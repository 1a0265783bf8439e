"""Other programs that splat, run on the same scenes where they are installed."""

import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unseen.core.camera import Camera
from unseen.core.sh import sh0_to_rgb
from unseen.io.colmap import write_colmap
from workloads import Workload

FEW_STEPS, MORE_STEPS = 10, 60


class Unavailable(Exception):
    """The peer is not installed, or does not run on this machine."""


def taichi_phases(w: Workload) -> dict[str, Callable[[], None]]:
    """taichi-splatting on the CPU.

    Raises:
        Unavailable: it is not installed or does not run here (0.13 has no kernels for a CPU).
    """
    try:
        phases = _taichi_phases(w)
        phases["forward"]()
    except Exception as error:  # it compiles CUDA code on import, so that anything may be raised
        raise Unavailable(str(error)) from error
    return phases


def _taichi_phases(w: Workload) -> dict[str, Callable[[], None]]:
    import taichi as ti  # type: ignore
    from taichi_splatting import Gaussians3D, RasterConfig, TaichiQueue, render_gaussians  # type: ignore
    from taichi_splatting.perspective import CameraParams  # type: ignore

    TaichiQueue.init(arch=ti.cpu)
    raw = [t.detach() for t in w.raw()]
    gaussians = Gaussians3D(
        position=raw[0], rotation=raw[1].roll(-1, 1), log_scaling=raw[2], alpha_logit=raw[3][:, None],
        feature=raw[4].transpose(1, 2) if w.sh_degree is not None else raw[4], batch_size=(len(raw[0]),),
    )  # fmt: skip
    camera = CameraParams(
        T_camera_world=w.viewmats[0], projection=w.Ks[0][[0, 1, 0, 1], [0, 1, 2, 2]], image_size=(w.width, w.height),
        near_plane=0.01, far_plane=1e10,
    )  # fmt: skip

    def render(with_gradients: bool) -> None:
        inputs = gaussians.requires_grad_(with_gradients)
        out = render_gaussians(inputs, camera, RasterConfig(), use_sh=w.sh_degree is not None)
        if with_gradients:
            out.image.sum().backward()

    return {"forward": lambda: render(False), "fwd+bwd": lambda: render(True)}


def opensplat_step_ms(binary: Path, w: Workload) -> float:
    """Milliseconds of a training step of OpenSplat's CPU path that starts from the workload's points and one photo.

    Two runs that differ only in their number of steps: start-up cancels out.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "images").mkdir()
        with torch.no_grad():
            image = w.render(*w.activated(), backend="cpu")[0].clamp(0, 1)
        Image.fromarray((255 * image.numpy()).astype(np.uint8)).save(root / "images" / "view.png")
        camera = Camera(w.viewmats[0], w.Ks[0], w.width, w.height)
        colors = sh0_to_rgb(w.colors[:, 0] if w.sh_degree is not None else w.colors)
        write_colmap(root, [camera], ["view.png"], w.means, colors)
        seconds = [_run_opensplat(binary, root, steps) for steps in (FEW_STEPS, MORE_STEPS)]
    return 1e3 * (seconds[1] - seconds[0]) / (MORE_STEPS - FEW_STEPS)


def _run_opensplat(binary: Path, project: Path, steps: int) -> float:
    """Wall seconds of one run."""
    command = [str(binary), str(project), "--cpu", "-n", str(steps), "-o", str(project / "out.ply"), "-d", "1"]
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - start
