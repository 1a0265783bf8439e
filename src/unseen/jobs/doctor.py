"""What this machine can do, and compiling all kernels ahead of time."""

from __future__ import annotations

import importlib.util
import os
import platform
import time
from collections.abc import Callable

import numba
import torch

import unseen
from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.head.flame import find_flame
from unseen.jobs.detection import LANDMARKER, SEGMENTER, cache_dir
from unseen.jobs.progress import Reporter


def examine() -> dict[str, str]:
    """Findings, one line each, in words."""
    flame = find_flame()
    models = [m.name for m in (LANDMARKER, SEGMENTER) if (cache_dir() / m.name).is_file()]
    cuda = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none seen by torch: all runs on the CPU"
    return {
        "unseen": f"{unseen.__version__} on Python {platform.python_version()}, {platform.platform()}",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "kernels": f"numba {numba.__version__}, {numba.get_num_threads()} threads, compiled once and cached",
        "cuda": cuda,
        "gsplat": _package("gsplat", "CUDA rasteriser (optional)"),
        "mediapipe": _package("mediapipe", "finds landmarks and mattes (optional; or give --landmarks and --alpha)"),
        "its models": ", ".join(models) if models else f"not fetched yet (fetched once into {cache_dir()})",
        "FLAME": str(flame) if flame else "not found (the built-in head is used): set UNSEEN_FLAME_PATH",
        "cores": str(os.cpu_count()),
    }


def _package(name: str, purpose: str) -> str:
    return f"installed: {purpose}" if importlib.util.find_spec(name) else f"not installed: {purpose}"


def warm_kernels(reporter: Reporter) -> None:
    """Compile (or load) every kernel by using it once on something small."""
    steps: list[tuple[str, Callable[[], None]]] = [
        ("rasteriser", _warm_rasteriser), ("head and mesh", _warm_head),
    ]  # fmt: skip
    for k, (name, step) in enumerate(steps):
        began = time.perf_counter()
        step()
        reporter.stage("compiling kernels", k + 1, len(steps))
        reporter.note(f"{name}: {time.perf_counter() - began:.1f} s")


def _warm_rasteriser() -> None:
    from unseen.fit.losses import image_loss
    from unseen.render import rasterization

    g = torch.Generator().manual_seed(0)
    n = 64
    splats = Gaussians.from_rgb(
        torch.rand(n, 3, generator=g) - 0.5, torch.full((n, 3), 0.05), torch.randn(n, 4, generator=g),
        torch.full((n,), 0.5), torch.rand(n, 3, generator=g),
    )  # fmt: skip
    camera = Camera.look_at([0, 0, 3], [0, 0, 0], 64, 64, fov_y_rad=0.6)
    means, quats, scales = (t.requires_grad_() for t in (splats.means, splats.quats, splats.scales))
    viewmats, ks = camera.world_to_camera[None], camera.K[None]
    for colours, degree in ((splats.rgb.requires_grad_(), None), (splats.sh.requires_grad_(), 0)):
        image, _, _ = rasterization(
            means, quats, scales, splats.opacities, colours, viewmats, ks, 64, 64, sh_degree=degree
        )
        image_loss(image, torch.zeros_like(image)).backward()


def _warm_head() -> None:
    from unseen.head.binding import BoundSplats
    from unseen.head.procedural import procedural_head
    from unseen.render.mesh import contour, normal_map, rasterize_mesh

    model = procedural_head()
    vertices = model.v_template.clone()
    camera = Camera.look_at([0, 0, 1], [0, 0, 0], 64, 64, fov_y_rad=0.6)
    normal_map(rasterize_mesh(vertices, model.faces, camera), vertices, model.faces)
    contour(vertices, model.faces, camera)
    n = model.num_faces
    vertices.requires_grad_()
    posed = BoundSplats(torch.arange(n), model.faces, len(vertices)).pose(
        torch.zeros(n, 3), torch.ones(n, 4), torch.zeros(n, 3), vertices
    )
    torch.stack([p.sum() for p in posed]).sum().backward()
