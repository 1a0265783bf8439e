"""Rendering of Gaussians along a camera path."""

from __future__ import annotations

from dataclasses import dataclass
from math import tan
from pathlib import Path
from typing import Any

from unseen.core import paths
from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.gaussians import Gaussians
from unseen.io.atomic import make_folder
from unseen.io.images import write_image
from unseen.io.scene import load_gaussians
from unseen.io.video import VideoWriter
from unseen.jobs.progress import Reporter
from unseen.render.scene import render_gaussians

PATHS = ("orbit", "turntable", "dolly", "spiral")


@dataclass(frozen=True)
class PathRequest:
    """A camera path round a scene. `kind` is one of `PATHS` or a JSON file; `radius_m` None fits the scene."""

    kind: str
    num_frames: int
    width: int
    height: int
    radius_m: float | None
    elevation_rad: float
    fov_y_rad: float


def run_render(
    source: Path, out: Path, request: PathRequest, fps: float, background: float, reporter: Reporter
) -> dict[str, Any]:
    """Render to a video, or to one picture when `out` is a .png or .jpg.

    Raises:
        InputError: no Gaussians at `source`, or an unknown path.
    """
    splats = load_gaussians(source / "avatar.ply" if source.is_dir() else source)
    cameras = camera_path(splats, request)
    make_folder(out.parent)
    if out.suffix.lower() in (".png", ".jpg", ".jpeg"):
        write_image(out, render_gaussians(splats, cameras[0], background))
        return {"frames": 1, "splats": len(splats), "out": str(out)}
    with VideoWriter(out, fps=fps) as video:
        for k, camera in enumerate(cameras):
            video.write(render_gaussians(splats, camera, background))
            reporter.stage("rendering", k + 1, len(cameras))
    return {"frames": len(cameras), "splats": len(splats), "out": str(out)}


def camera_path(splats: Gaussians, request: PathRequest) -> list[Camera]:
    """Cameras of the request, aimed at the middle of the splats (medians and quantiles: strays do not count)."""
    if request.kind not in PATHS:
        if not Path(request.kind).is_file():
            raise InputError(f"unknown camera path {request.kind!r}: expected {', '.join(PATHS)} or a JSON file")
        return paths.from_file(request.kind, width=request.width, height=request.height)
    means = splats.means
    low, high = means.quantile(0.02, 0), means.quantile(0.98, 0)
    target = ((low + high) / 2).tolist()
    extent = float((high - low).norm()) / 2
    radius = request.radius_m or 1.25 * extent / tan(request.fov_y_rad / 2) / min(1.0, request.width / request.height)
    view: dict[str, Any] = {
        "target": target, "fov_y_rad": request.fov_y_rad, "width": request.width, "height": request.height,
    }  # fmt: skip
    if request.kind == "dolly":
        start, end = ([target[0], target[1], target[2] + f * radius] for f in (1.4, 0.8))
        return paths.dolly(request.num_frames, start=start, end=end, **view)
    if request.kind == "spiral":
        camera = paths.turntable(1, radius_m=radius, elevation_rad=request.elevation_rad, **view)[0]
        return paths.spiral(
            request.num_frames, camera=camera, focus_m=radius, right_m=0.25 * radius, up_m=0.15 * radius
        )
    function = paths.orbit if request.kind == "orbit" else paths.turntable
    return function(request.num_frames, radius_m=radius, elevation_rad=request.elevation_rad, **view)
