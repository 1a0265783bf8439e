"""What the avatar job leaves behind to look at and to use elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.paths import turntable
from unseen.head.avatar import Avatar
from unseen.head.params import HeadParams
from unseen.head.posing import posed_vertices
from unseen.head.sliders import sample_sliders
from unseen.head.tracking import Observations
from unseen.io.atomic import make_folder
from unseen.io.ply import save_ply
from unseen.io.video import VideoWriter
from unseen.jobs.avatar.evaluation import on_white
from unseen.render.scene import render_gaussians
from unseen.viewer.static import AnimatedSplats, write_viewer

Progress = Callable[[int, int], None]

TURNTABLE_FRAMES = 75


def write_turntable(path: Path, avatar: Avatar, progress: Progress) -> None:
    """Video of the avatar at rest from all sides, on white."""
    splats = avatar.posed(avatar.neutral_params())
    cameras = turntable_cameras(avatar, TURNTABLE_FRAMES)
    with VideoWriter(path, fps=25) as video:
        for k, camera in enumerate(cameras):
            video.write(render_gaussians(splats, camera))
            progress(k + 1, len(cameras))


def turntable_cameras(avatar: Avatar, num_frames: int) -> list[Camera]:
    """Cameras round the head at the distance and focal length of the video's camera."""
    camera = avatar.camera
    target = head_centre(avatar)
    radius = float((camera.center - target).norm())
    fov_y = 2 * float(torch.atan(0.5 * camera.height / camera.K[1, 1]))
    return turntable(
        num_frames, radius_m=radius, target=target.tolist(), fov_y_rad=fov_y, width=camera.width, height=camera.height
    )


def head_centre(avatar: Avatar) -> Float[Tensor, "3"]:
    """Centre of the resting head's bounding box, or of the face region where the model names one."""
    vertices = avatar.model.vertices(avatar.neutral_params())[0]
    region = avatar.model.regions.get("face")
    part = vertices if region is None else vertices[region]
    return (part.amin(0) + part.amax(0)) / 2 * torch.tensor([1.0, 1.0, 0.0]) + vertices.mean(0) * torch.tensor(
        [0, 0, 1.0]
    )


def write_comparison(
    path: Path, avatar: Avatar, observations: Observations, held_out: np.ndarray, progress: Progress
) -> None:
    """Video: input | render | absolute error (times 4), on white. Held-out frames carry an orange bar below."""
    held = set(held_out.tolist())
    with VideoWriter(path, fps=avatar.fps) as video:
        for t in range(len(observations.images)):
            render = render_gaussians(avatar.posed(avatar.params[t]), avatar.camera)
            row = comparison_row(on_white(observations, t), render)
            if t in held:
                row[-4:] = torch.tensor([1.0, 0.55, 0.0])
            video.write(row)
            progress(t + 1, len(observations.images))


def comparison_row(target: Float[Tensor, "H W 3"], render: Float[Tensor, "H W 3"]) -> Float[Tensor, "H 3W 3"]:
    """Input | render | absolute error times 4, white where there is none."""
    return torch.cat([target, render, 1 - (4 * (render - target).abs()).clamp(0, 1)], 1)


def write_motion(path: Path, avatar: Avatar, motion: HeadParams, fps: float, progress: Progress) -> None:
    """Video of the avatar in motion, seen by its own camera, on white."""
    with VideoWriter(path, fps=fps) as video:
        for t in range(len(motion)):
            video.write(render_gaussians(avatar.posed(motion[t]), avatar.camera))
            progress(t + 1, len(motion))


def write_page(path: Path, avatar: Avatar, title: str) -> None:
    """viewer.html: the avatar in motion, with sliders for expression and pose, in one file that opens offline."""
    vertices = posed_vertices(avatar.model, avatar.params)
    sliders = sample_sliders(avatar.model, avatar.params)
    rig = AnimatedSplats(avatar.local, avatar.binding, avatar.model.faces, vertices, avatar.fps, sliders)
    write_viewer(path, rig=rig, title=title, camera=avatar.camera)


def write_frames(folder: Path, avatar: Avatar, progress: Progress) -> None:
    """One posed .ply in the world per frame of the motion: `frames/00000.ply` and so on."""
    make_folder(folder)
    for t in range(len(avatar.params)):
        with torch.no_grad():
            save_ply(folder / f"{t:05d}.ply", avatar.posed(avatar.params[t]))
        progress(t + 1, len(avatar.params))
