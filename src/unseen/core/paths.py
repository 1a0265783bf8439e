"""Camera paths: the list of cameras that films a scene.

Azimuth and elevation are measured at the target. With the default `up` (0, 1, 0), azimuth 0 looks at the target from
+Z (at a head: from the front) and grows toward +X; for another `up` the whole frame turns about x with it, so that a
y-down scene is seen from -Z and a z-up scene from -Y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera, stack_cameras
from unseen.core.errors import InputError
from unseen.core.path_files import from_file
from unseen.core.rotations import axis_angle_to_matrix, matrix_to_axis_angle

__all__ = ["dolly", "from_file", "orbit", "pan", "spiral", "spline", "turntable", "walk"]

Vector = Sequence[float] | Tensor

UP: tuple[float, float, float] = (0.0, 1.0, 0.0)
FOV_Y_RAD = math.radians(30)


def orbit(
    num_frames: int,
    *,
    radius_m: float,
    target: Vector = (0.0, 0.0, 0.0),
    elevation_rad: float = 0.0,
    start_azimuth_rad: float = -math.pi / 2,
    end_azimuth_rad: float = math.pi / 2,
    fov_y_rad: float = FOV_Y_RAD,
    width: int = 512,
    height: int = 512,
    up: Vector = UP,
) -> list[Camera]:
    """Arc around `target` at constant speed, both ends included; by default from one profile to the other.

    Args:
        num_frames: number of cameras, at least 1.
        radius_m: distance from the target, in world units.
        target: point looked at.
        elevation_rad: angle above the horizontal plane of the target, inside (-pi/2, pi/2).
        start_azimuth_rad, end_azimuth_rad: see the module's description.
        fov_y_rad: vertical field of view.
        width, height: image size in pixels.
        up: direction that points up in the image.

    Raises:
        InputError: no frame, no distance, or an elevation at a pole.
    """
    fractions = torch.linspace(0, 1, num_frames) if num_frames > 1 else torch.full((max(num_frames, 0),), 0.5)
    azimuths = start_azimuth_rad + (end_azimuth_rad - start_azimuth_rad) * fractions
    return [
        _on_sphere(float(a), elevation_rad, radius_m, target, fov_y_rad, width, height, up)
        for a in _some(azimuths, num_frames)
    ]


def turntable(
    num_frames: int,
    *,
    radius_m: float,
    target: Vector = (0.0, 0.0, 0.0),
    elevation_rad: float = 0.0,
    fov_y_rad: float = FOV_Y_RAD,
    width: int = 512,
    height: int = 512,
    up: Vector = UP,
) -> list[Camera]:
    """One full turn that starts and ends in front and loops without a jump; arguments and errors as `orbit`."""
    azimuths = torch.arange(num_frames) * (2 * math.pi / max(num_frames, 1))
    return [
        _on_sphere(float(a), elevation_rad, radius_m, target, fov_y_rad, width, height, up)
        for a in _some(azimuths, num_frames)
    ]


def dolly(
    num_frames: int,
    *,
    start: Vector,
    end: Vector,
    target: Vector = (0.0, 0.0, 0.0),
    fov_y_rad: float = FOV_Y_RAD,
    width: int = 512,
    height: int = 512,
    up: Vector = UP,
) -> list[Camera]:
    """Straight move from `start` to `end`, slow at both ends, always looking at `target`.

    Args:
        num_frames: number of cameras, at least 1.
        start, end: first and last position, in world units.
        target, fov_y_rad, width, height, up: as in `orbit`.

    Raises:
        InputError: no frame, or the path runs through the target.
    """
    start, end = (torch.as_tensor(point, dtype=torch.float32) for point in (start, end))
    eased = [0.5 - 0.5 * math.cos(math.pi * i / max(num_frames - 1, 1)) for i in range(num_frames)]
    eyes = [start + s * (end - start) for s in _some(eased, num_frames)]
    return [_looking(eye, target, width, height, fov_y_rad, up) for eye in eyes]


def spiral(
    num_frames: int,
    *,
    camera: Camera,
    focus_m: float,
    right_m: float,
    up_m: float,
    forward_m: float = 0.0,
    turns: float = 2.0,
) -> list[Camera]:
    """Swings around one viewpoint with the gaze fixed on a point ahead: shows depth where only a front was seen.

    The offset from the viewpoint at phase p is (right_m cos p, up_m sin p, forward_m sin(p / 2)) in the axes of
    `camera`; the path loops when `turns` is even.

    Args:
        num_frames: number of cameras, at least 1.
        camera: viewpoint, intrinsics and image size.
        focus_m: distance ahead of `camera` of the point looked at, in world units.
        right_m, up_m, forward_m: amplitudes in world units.
        turns: circles in the whole path.

    Raises:
        InputError: no frame, or `focus_m` is not positive.
    """
    if focus_m <= 0:
        raise InputError(f"spiral looks at a point {focus_m} units ahead: expected a positive distance")
    axes = camera.camera_to_world[:3, :3]
    target = camera.center + focus_m * axes[:, 2]
    cameras = []
    for phase in _some([2 * math.pi * turns * i / max(num_frames, 1) for i in range(num_frames)], num_frames):
        offset = axes.new_tensor(
            [right_m * math.cos(phase), -up_m * math.sin(phase), forward_m * math.sin(phase / 2)]
        )  # the y axis of a camera points down
        view = _looking(camera.center + axes @ offset, target, camera.width, camera.height, 1.0, -axes[:, 1])
        cameras.append(replace(camera, world_to_camera=view.world_to_camera.to(camera.world_to_camera)))
    return cameras


def pan(num_frames: int, *, camera: Camera, start_rad: float, end_rad: float) -> list[Camera]:
    """Turn on the spot at constant speed, both ends included: positive angles look to the right of `camera`.

    Args:
        num_frames: number of cameras, at least 1.
        camera: viewpoint, intrinsics and image size; its up is the axis of the turn.
        start_rad, end_rad: first and last angle.

    Raises:
        InputError: no frame.
    """
    cameras = []
    for i in _some(range(num_frames), num_frames):
        angle = start_rad + (end_rad - start_rad) * (i / (num_frames - 1) if num_frames > 1 else 0.5)
        turn = torch.eye(4, dtype=camera.world_to_camera.dtype)
        turn[:3, :3] = axis_angle_to_matrix(turn.new_tensor([0.0, -angle, 0.0]))
        cameras.append(replace(camera, world_to_camera=turn @ camera.world_to_camera))
    return cameras


def walk(num_frames: int, *, camera: Camera, distance_m: float, sway_m: float = 0.0) -> list[Camera]:
    """Walk ahead at constant speed, in a gentle S of `sway_m` to both sides, always looking where the way leads.

    Args:
        num_frames: number of cameras, at least 1.
        camera: where the walk starts, intrinsics and image size; it looks along its way.
        distance_m: how far ahead it ends, in world units.
        sway_m: amplitude of the S, in world units; the ends lie straight ahead.

    Raises:
        InputError: no frame, or no distance.
    """
    if not distance_m > 0:
        raise InputError(f"a walk of {distance_m} units: expected a positive distance")
    cameras = []
    for i in _some(range(num_frames), num_frames):
        s = i / max(num_frames - 1, 1)
        swing = 0.5 - 0.5 * math.cos(2 * math.pi * s)  # at rest at both ends
        side = sway_m * swing * math.sin(2 * math.pi * s)
        slope = sway_m * math.pi * math.sin(2 * math.pi * s) * math.sin(2 * math.pi * s)
        slope += sway_m * swing * 2 * math.pi * math.cos(2 * math.pi * s)
        step = torch.eye(4, dtype=camera.world_to_camera.dtype)
        turn = axis_angle_to_matrix(step.new_tensor([0.0, -math.atan2(slope, distance_m), 0.0]))
        step[:3, :3], step[:3, 3] = turn, -turn @ step.new_tensor([side, 0.0, distance_m * s])
        cameras.append(replace(camera, world_to_camera=step @ camera.world_to_camera))
    return cameras


def spline(key_cameras: Sequence[Camera], num_frames: int, *, closed: bool = False) -> list[Camera]:
    """Smooth path through key cameras: Catmull-Rom positions, spherical interpolation of rotations, linear intrinsics.

    The same time passes between any two keys. `closed` leads from the last key back to the first and loops.

    Raises:
        InputError: no frame, or no key camera.
        ShapeError: the key cameras differ in image size.
    """
    if not key_cameras:
        raise InputError("spline needs at least one key camera, got none")
    viewmats, intrinsics = stack_cameras(key_cameras)
    count, spans = len(key_cameras), len(key_cameras) - (not closed)
    centers = torch.stack([camera.center for camera in key_cameras])
    steps = max(num_frames if closed else num_frames - 1, 1)
    cameras = []
    for i in _some(range(num_frames), num_frames):
        span, t = divmod(i * spans / steps, 1.0) if spans else (0, 0.0)
        a, b = int(span) % count, (int(span) + 1) % count if t else int(span) % count
        before, after = ((a - 1) % count, (b + 1) % count) if closed else (max(a - 1, 0), min(b + 1, count - 1))
        center = _catmull_rom(centers[before], centers[a], centers[b], centers[after], t)
        matrix = _turned(viewmats[a], viewmats[b], t, center)
        k = torch.lerp(intrinsics[a], intrinsics[b], t)
        cameras.append(replace(key_cameras[0], world_to_camera=matrix, K=k))
    return cameras


def between(start: Camera, end: Camera, share: float) -> Camera:
    """The camera a share of the way from one to another, straight and turning evenly, with the lens of the first."""
    center = torch.lerp(start.center, end.center, share)
    return replace(start, world_to_camera=_turned(start.world_to_camera, end.world_to_camera, share, center))


def _turned(
    start: Float[Tensor, "4 4"], end: Float[Tensor, "4 4"], share: float, center: Float[Tensor, "3"]
) -> Float[Tensor, "4 4"]:
    """Pose at a place, its rotation a share of the way between two others'."""
    turn = matrix_to_axis_angle(end[:3, :3] @ start[:3, :3].T)
    matrix = torch.eye(4, dtype=start.dtype)
    matrix[:3, :3] = axis_angle_to_matrix(share * turn) @ start[:3, :3]
    matrix[:3, 3] = -matrix[:3, :3] @ center
    return matrix


def _catmull_rom(
    p0: Float[Tensor, "3"], p1: Float[Tensor, "3"], p2: Float[Tensor, "3"], p3: Float[Tensor, "3"], t: float
) -> Float[Tensor, "3"]:
    """Uniform Catmull-Rom spline: p1 at t = 0, p2 at t = 1, tangents (p2 - p0) / 2 and (p3 - p1) / 2."""
    m1, m2 = (p2 - p0) / 2, (p3 - p1) / 2
    t2, t3 = t * t, t * t * t
    return (2 * t3 - 3 * t2 + 1) * p1 + (t3 - 2 * t2 + t) * m1 + (3 * t2 - 2 * t3) * p2 + (t3 - t2) * m2


def _on_sphere(
    azimuth: float, elevation: float, radius: float, target: Vector, fov_y: float, width: int, height: int, up: Vector
) -> Camera:
    if not radius > 0 or abs(elevation) >= math.pi / 2:
        raise InputError(f"radius {radius} and elevation {elevation} rad: expected radius > 0, |elevation| < pi / 2")
    upward = torch.nn.functional.normalize(torch.as_tensor(up, dtype=torch.float32), dim=0)
    front = torch.linalg.cross(torch.tensor([1.0, 0.0, 0.0]), upward)
    front = torch.tensor([0.0, 0.0, 1.0]) if front.norm() < 1e-6 else torch.nn.functional.normalize(front, dim=0)
    side = torch.linalg.cross(upward, front)
    level = math.cos(azimuth) * front + math.sin(azimuth) * side
    direction = math.cos(elevation) * level + math.sin(elevation) * upward
    eye = torch.as_tensor(target, dtype=torch.float32) + radius * direction
    return _looking(eye, target, width, height, fov_y, up)


def _looking(eye: Tensor, target: Vector, width: int, height: int, fov_y_rad: float, up: Vector) -> Camera:
    if torch.equal(eye, torch.as_tensor(target, dtype=eye.dtype)):
        raise InputError(f"the camera path runs through its target {eye.tolist()}: nothing to look at")
    return Camera.look_at(eye, target, width, height, fov_y_rad=fov_y_rad, up=up)


def _some(items, num_frames: int):
    """The items, once it is sure that there are any."""
    if num_frames < 1:
        raise InputError(f"a camera path of {num_frames} frames: expected at least 1")
    return items
