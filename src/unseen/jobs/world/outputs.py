"""The files of a world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.flashworld_cameras import camera_to_flashworld
from unseen.core.gaussians import Gaussians
from unseen.io.atomic import make_folder, write_json
from unseen.io.axes import Axes
from unseen.io.images import write_depth, write_image
from unseen.io.scene import save_gaussians
from unseen.io.video import VideoWriter
from unseen.jobs.preview import PREVIEW
from unseen.jobs.progress import Reporter
from unseen.jobs.world.paths import along, near_plane
from unseen.render.scene import view_gaussians
from unseen.viewer.static import write_viewer

REQUEST, SUMMARY, FAILURE = "request.json", "world.json", "error.json"
SCENE_FILES = ("scene.ply", "scene.spz", "video.mp4", "viewer.html")
FOLDERS = ("views", "depth")
MAX_FRAMES = 100_000


@dataclass(frozen=True)
class Exports:
    """Which of the larger files are written.

    Attributes:
        ply, spz, video, html: scene.ply, scene.spz, video.mp4, viewer.html.
        fps: of the video.
        seconds: its length; None for a second between two views, as FlashWorld films.
    """

    ply: bool = True
    spz: bool = True
    video: bool = True
    html: bool = True
    fps: float = 15.0
    seconds: float | None = None

    def frames(self, views: int) -> int:
        """Of the video.

        Raises:
            InputError: no rate, no length, or more than 100,000 of them.
        """
        if not self.fps > 0 or (self.seconds is not None and not self.seconds > 0):
            raise InputError(f"a video of {self.seconds} s at {self.fps} frames per second: expected more than 0")
        count = round((views - 1 if self.seconds is None else self.seconds) * self.fps) + 1
        if count > MAX_FRAMES:
            raise InputError(f"a video of {count} frames: expected at most {MAX_FRAMES}")
        return count


def clear(out: Path) -> None:
    """Remove the results of an earlier run, its summary first: from then on the folder holds no finished world. What a
    killed run had begun to write goes too. A folder without a request of ours is otherwise left alone."""
    for file in (unfinished for folder in (".", *FOLDERS) for unfinished in (out / folder).glob(".*.part.*")):
        file.unlink(missing_ok=True)
    if not (out / REQUEST).is_file():
        return
    for name in (SUMMARY, FAILURE, PREVIEW, *SCENE_FILES):
        (out / name).unlink(missing_ok=True)
    for folder in FOLDERS:
        for file in (out / folder).glob("[0-9][0-9][0-9]*.png"):
            file.unlink()


def write_world(
    out: Path, gaussians: Gaussians, cameras: Sequence[Camera], first: Camera, exports: Exports, reporter: Reporter
) -> None:
    """Write the scene, its views, depth and cameras; request and summary are written elsewhere.

    views/000.png and so on on white; depth/000.png, 16 bits, z depth in steps of the `depth_unit` in cameras.json,
    0 where nothing is.

    Args:
        out: folder.
        gaussians: in the caller's frame, on the CPU.
        cameras: the path.
        first: what the page shows first.
        exports: which files.
        reporter: told of progress.

    Raises:
        InputError: there is nothing to show.
        ResourceError: the machine refuses a write.
    """
    if not len(gaussians):
        raise InputError("the world has no Gaussian left: lower --least-opacity, or give other steps or another seed")
    if exports.ply:
        save_gaussians(out / "scene.ply", gaussians)
    if exports.spz:
        save_gaussians(out / "scene.spz", gaussians, axes_of(cameras))
    if exports.html:
        write_viewer(out / "viewer.html", gaussians, title=out.name or "world", camera=first)
    _write_views(out, gaussians, cameras, reporter)
    if exports.video:
        _write_video(out / "video.mp4", gaussians, cameras, exports, reporter)


def axes_of(cameras: Sequence[Camera]) -> Axes:
    """Whether the caller's world has y up or y down, by the mean up of the cameras."""
    up = -torch.stack([camera.world_to_camera[1, :3] for camera in cameras]).mean(0)
    return "RUB" if float(up[1]) > 0 else "RDF"


def _write_views(out: Path, gaussians: Gaussians, cameras: Sequence[Camera], reporter: Reporter) -> None:
    near, depths = near_plane(cameras), []
    for name in FOLDERS:
        make_folder(out / name)
    for k, camera in enumerate(cameras):
        view = view_gaussians(gaussians, camera, near_plane=near)
        write_image(out / "views" / f"{k:03d}.png", view.image)
        depths.append(view.depth)
        reporter.stage("writing views", k + 1, len(cameras))
    unit = max(float(torch.stack(depths).max()), 1e-30) / 0xFFFF
    for k, depth in enumerate(depths):
        write_depth(out / "depth" / f"{k:03d}.png", depth, unit)
    size = [len(cameras), cameras[0].height, cameras[0].width]
    listed = [camera_to_flashworld(camera) for camera in cameras]
    write_json(out / "cameras.json", {"resolution": size, "depth_unit": unit, "cameras": listed})


def _write_video(
    path: Path, gaussians: Gaussians, cameras: Sequence[Camera], exports: Exports, reporter: Reporter
) -> None:
    near, frames = near_plane(cameras), along(cameras, exports.frames(len(cameras)))
    with VideoWriter(path, fps=exports.fps) as video:
        for k, camera in enumerate(frames):
            video.write(view_gaussians(gaussians, camera, near_plane=near).image)
            reporter.stage("filming", k + 1, len(frames))
