"""A second, static camera of a take whose head is known: where it stood, its focal length, and when it began.

The head's landmarks are known in three dimensions in every frame; what the second camera's video shows of them is
explained by one pose and one focal length for all frames (a perspective-n-point problem with some 478 T points). It
starts from a weak-perspective camera in closed form, refined by Levenberg-Marquardt under a loss that lets go of
outliers (Cauchy's) whose scale shrinks (graduated non-convexity, Blake and Zisserman 1987). Which landmarks
the camera can see follows from the model posed before it; both are found in turn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.core.rotations import axis_angle_to_matrix
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.posing import posed_vertices
from unseen.head.tracking.landmark_fit import (
    EFFECTIVE_POINTS,
    FOCAL_LOG_SIGMA,
    LANDMARK_SIGMA,
    facing_weights,
    point_weights,
)
from unseen.head.tracking.observations import OUTER_EYE_CORNERS, Observations
from unseen.render.mesh import rasterize_mesh, visible_points

MIN_FRAMES = 3
"""Frames with a face, and with a known head, that a camera can be found from."""

VISIBLE_TOLERANCE_M = 0.004
"""A landmark this far behind the posed model's surface still counts as visible."""

MAX_FRAMES = 48
"""Frames, spread over the video, that the camera is found from."""

OFFSET_GAIN = 0.02
"""Share of the energy that another offset must save to be believed."""

_ROUNDS = 3  # of camera and visibility in turn
_OUTLIER = 2.0  # standard deviations at which the loss lets go
_COARSE_TO_FINE = (8.0, 4.0, 2.0, 1.0)  # factors of the landmark error
_NEAR_M = 0.05  # points are never nearer to a camera


@dataclass(frozen=True)
class StaticCameraConfig:
    """What is known of the second camera."""

    focal_px: float
    """Its focal length in pixels of the frames: exact, or the first guess."""
    free_focal: bool = True
    """Estimate the focal length; the guess then holds it with a standard deviation of 15 %."""
    rate: float = 1.0
    """Frames of the head's motion per frame of the camera's video."""
    offset: float | None = 0.0
    """Frame of the motion that the video's first frame shows; None: found, within `max_offset` of 0."""
    max_offset: int = 25
    """How far to look for it, in frames of the motion."""


@dataclass(frozen=True)
class StaticCamera:
    """A camera that explains the landmarks.

    Attributes:
        camera: in the head's world; principal point at the image's centre.
        offset: frame of the head's motion that the video's first frame shows.
        offset_gain: share of the energy that another offset than 0 saves; 0 when none was looked for or believed.
        landmark_error_percent: median distance of the visible landmarks, in percent of the eyes' outer distance.
        times: fractional frame of the motion that each frame of the video shows, [S]; some may lie outside it.
        inside: frames of the video whose time the motion covers, [S].
    """

    camera: Camera
    offset: float
    offset_gain: float
    landmark_error_percent: float
    times: Float[np.ndarray, "S"]
    inside: Bool[np.ndarray, "S"]


def find_static_camera(
    model: HeadModel, params: HeadParams, observations: Observations, config: StaticCameraConfig
) -> StaticCamera:
    """Find the camera that filmed a head whose motion is known.

    Args:
        model: with MediaPipe's landmarks.
        params: the head's motion, T frames.
        observations: the camera's video, S frames; only its landmarks and size are looked at.
        config: what is known beforehand.

    Raises:
        InputError: the model has no MediaPipe landmarks, or video and motion share fewer than `MIN_FRAMES` frames with
            a face.
    """
    if "mediapipe478" not in model.landmarks:
        raise InputError(f"head model {model.variant!r} has no MediaPipe landmarks to find a camera by")
    view = _View.of(model, params, observations, config)
    pose, error = view.refined(view.weak_perspective(config.offset or 0.0), offset_free=False)
    gain = 0.0
    if config.offset is None:
        offset, gain = _best_offset(view, pose)
        if offset:
            pose, error = view.refined(replace(pose, offset=offset), offset_free=True)
    times = pose.offset + config.rate * np.arange(len(observations.images))
    inside = _inside(torch.from_numpy(times), len(params)).numpy()
    return StaticCamera(view.camera(pose), pose.offset, gain, 100 * error, times, inside)


@dataclass(frozen=True)
class _Pose:
    """Unknowns: world to camera about the head's middle, log focal length in pixels, offset in frames."""

    rotation: Float[Tensor, "3 3"]
    translation: Float[Tensor, "3"]
    log_focal: float
    offset: float

    def moved(self, step: Float[Tensor, "8"]) -> _Pose:
        """After a step of rotation, translation, log focal length and offset."""
        turned = axis_angle_to_matrix(step[:3]) @ self.rotation
        log_focal, offset = self.log_focal + float(step[6]), self.offset + float(step[7])
        return _Pose(turned, self.translation + step[3:6], log_focal, offset)


@dataclass(frozen=True)
class _View:
    """The problem: N frames of detected landmarks and T frames of a head.

    Attributes:
        model, vertices: the posed head, [T, V, 3].
        points, middle: its landmarks about their mean, [T, 478, 3], and that mean, [3]; float64.
        frames: the chosen frames of the video, [N].
        target: detected landmarks in pixels, [N, 478, 2].
        weights: of the landmarks, [N, 478].
        height, width: of the frames.
        config: what is known.
    """

    model: HeadModel
    vertices: Float[Tensor, "T V 3"]
    points: Float[Tensor, "T 478 3"]
    middle: Float[Tensor, "3"]
    frames: Int[Tensor, "N"]
    target: Float[Tensor, "N 478 2"]
    weights: Float[Tensor, "N 478"]
    height: int
    width: int
    config: StaticCameraConfig

    @classmethod
    def of(cls, model: HeadModel, params: HeadParams, observations: Observations, config: StaticCameraConfig) -> _View:
        vertices = posed_vertices(model, params)
        points = model.landmarks["mediapipe478"].points(vertices, model.faces).double()
        middle = points.mean((0, 1))
        frames = _frames_to_use(observations.found, len(params), config)
        target = torch.from_numpy(observations.landmarks_px[frames, :, :2]).double()
        weights = point_weights().double().expand(len(frames), -1)
        height, width = observations.size
        return cls(
            model, vertices, points - middle, middle, torch.from_numpy(frames), target, weights, height, width, config
        )

    @property
    def centre(self) -> Float[Tensor, "2"]:
        """Principal point."""
        return torch.tensor([self.width / 2, self.height / 2], dtype=torch.float64)

    def times(self, offset: float) -> Float[Tensor, "N"]:
        """Frame of the motion that each chosen frame of the video shows."""
        return offset + self.config.rate * self.frames.double()

    def inside(self, offset: float) -> Bool[Tensor, "N"]:
        """Whether the motion covers each chosen frame."""
        return _inside(self.times(offset), len(self.points))

    def at(self, offset: float) -> tuple[Float[Tensor, "N 478 3"], Float[Tensor, "N 478 3"]]:
        """Landmarks at the video's times, linear between frames, and their change per frame."""
        times = self.times(offset).clamp(0, len(self.points) - 1)
        low = times.floor().long().clamp_max(max(len(self.points) - 2, 0))
        start = self.points[low]
        slope = self.points[(low + 1).clamp_max(len(self.points) - 1)] - start
        return start + (times - low)[:, None, None] * slope, slope

    def camera(self, pose: _Pose) -> Camera:
        """The pose as the rest of the package knows it."""
        shift = pose.translation - pose.rotation @ self.middle
        focal = float(np.exp(pose.log_focal))
        return Camera.from_parts(pose.rotation.float(), shift.float(), focal, self.width, self.height)

    def weak_perspective(self, offset: float) -> _Pose:
        """The scaled orthographic camera with the least mean absolute distance, by iterated least squares."""
        points, _ = self.at(offset)
        x, u, base = points.flatten(0, 1), (self.target - self.centre).flatten(0, 1), self.weights.flatten()
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        weight = base
        for _ in range(30):
            wx = weight[:, None] * x
            affine = torch.linalg.solve(wx.T @ x, wx.T @ u).T
            distance = (x @ affine.T - u).norm(dim=-1)
            weight = base / distance.clamp_min(1e-3 * self.width)
        left, scales, right = torch.linalg.svd(affine[:, :3], full_matrices=False)
        rows = left @ right
        rotation = torch.cat([rows, torch.linalg.cross(rows[0], rows[1])[None]])
        depth = self.config.focal_px / float(scales.mean())
        across = affine[:, 3] * depth / self.config.focal_px
        translation = torch.cat([across, across.new_tensor([depth])])
        return _Pose(rotation, translation, float(np.log(self.config.focal_px)), offset)

    def visibility(self, pose: _Pose) -> Float[Tensor, "N 478"]:
        """Weights of the landmarks by what the posed model shows to the camera: none for hidden ones, little for those
        that face away."""
        camera = self.camera(pose)
        frames = self.times(pose.offset).round().long().clamp(0, len(self.points) - 1)
        marks = (self.points + self.middle).float()
        seen = torch.zeros(len(self.points), self.points.shape[1])
        for t in frames.unique().tolist():
            buffers = rasterize_mesh(self.vertices[t], self.model.faces, camera)
            seen[t] = visible_points(marks[t], buffers, camera, VISIBLE_TOLERANCE_M).float()
        return (seen * facing_weights(self.model, self.vertices, camera.center))[frames].double()

    def refined(self, pose: _Pose, offset_free: bool) -> tuple[_Pose, float]:
        """Camera and visibility in turn, coarse to fine; also the median landmark error as `_landmark_error` has it."""
        free = [True] * 6 + [self.config.free_focal, offset_free]
        weights = self.weights  # what the first, rough camera sees is not to be trusted yet
        for k in range(_ROUNDS):
            for factor in _COARSE_TO_FINE if k < 2 else _COARSE_TO_FINE[-1:]:
                pose, _ = _descend(self, pose, weights, free, factor * _landmark_sigma(self, pose, weights))
            seen = self.weights * self.visibility(pose)
            weights = seen if seen.any() else self.weights  # a camera that sees no face is wrong: all points again
        pose, _ = _descend(self, pose, weights, free, _landmark_sigma(self, pose, weights))
        return pose, _landmark_error(self, pose, weights)[1]


def _inside(times: Float[Tensor, "N"], num_frames: int) -> Bool[Tensor, "N"]:
    """Whether a motion of so many frames covers each time, to a thousandth of a frame."""
    return (times > -1e-3) & (times < num_frames - 1 + 1e-3)


def _frames_to_use(found: Bool[np.ndarray, "S"], num_frames: int, config: StaticCameraConfig) -> Int[np.ndarray, "N"]:
    """At most `MAX_FRAMES` frames with a face that the motion covers, spread evenly."""
    times = (config.offset or 0.0) + config.rate * np.arange(len(found))
    inside = _inside(torch.from_numpy(times), num_frames).numpy()
    usable = np.flatnonzero(inside & found)
    if len(usable) < MIN_FRAMES:
        raise InputError(
            f"the view and the head's motion share {inside.sum()} frames, {len(usable)} of them with a face: at least "
            f"{MIN_FRAMES} are needed to find the camera; give a video of the same take"
        )
    return usable[np.linspace(0, len(usable) - 1, min(MAX_FRAMES, len(usable))).round().astype(int)]


def _descend(
    view: _View, pose: _Pose, weights: Float[Tensor, "N 478"], free: list[bool], sigma: Float[Tensor, "N 1"],
    steps: int = 20,
) -> tuple[_Pose, float]:  # fmt: skip
    """Levenberg-Marquardt on the free unknowns; returns the pose and its energy."""
    weights = weights * view.inside(pose.offset)[:, None]
    chosen = torch.tensor(free).nonzero()[:, 0]
    energy, gradient, hessian = _normal_equations(view, pose, weights, sigma)
    damping = 1e-4
    for _ in range(steps):
        inner = hessian[chosen][:, chosen]
        step = torch.zeros(8, dtype=torch.float64)
        step[chosen] = torch.linalg.solve(inner + damping * inner.diagonal().diag(), -gradient[chosen])
        candidate = pose.moved(step)
        found = _normal_equations(view, candidate, weights, sigma)
        if found[0] < energy:
            gained, pose, damping = energy - found[0], candidate, max(damping / 5, 1e-9)
            energy, gradient, hessian = found
            if gained < 1e-7 * energy:
                break
        elif damping > 1e6:
            break
        else:
            damping *= 8
    return pose, energy


def _normal_equations(
    view: _View, pose: _Pose, weights: Float[Tensor, "N 478"], sigma: Float[Tensor, "N 1"]
) -> tuple[float, Float[Tensor, "8"], Float[Tensor, "8 8"]]:
    """Energy, gradient and Gauss-Newton matrix in the order of `_Pose.moved`'s step."""
    residual, jacobian = _reprojection(view, pose)
    squared = (residual / sigma[..., None]).square().sum(-1)
    share = EFFECTIVE_POINTS * weights / weights.sum()
    energy = 0.5 * (share * _OUTLIER**2 * (squared / _OUTLIER**2).log1p()).sum()
    per_point = (share / (1 + squared / _OUTLIER**2) / sigma.square())[..., None, None]
    weighted = (per_point * jacobian).flatten(0, 2)
    gradient, hessian = weighted.T @ residual.flatten(), weighted.T @ jacobian.flatten(0, 2)
    off = (pose.log_focal - np.log(view.config.focal_px)) / FOCAL_LOG_SIGMA
    gradient[6] += off / FOCAL_LOG_SIGMA
    hessian[6, 6] += FOCAL_LOG_SIGMA**-2
    return float(energy + 0.5 * off**2), gradient, hessian


def _reprojection(view: _View, pose: _Pose) -> tuple[Float[Tensor, "N 478 2"], Float[Tensor, "N 478 2 8"]]:
    """Distances of the projected landmarks from the detected ones in pixels, and their derivatives."""
    points, slope = view.at(pose.offset)
    turned = points @ pose.rotation.T
    local = turned + pose.translation
    focal, depth = np.exp(pose.log_focal), local[..., 2:].clamp_min(_NEAR_M)
    image = focal * local[..., :2] / depth
    by_place = torch.cat([torch.eye(2).to(local).expand(*depth.shape[:-1], 2, 2), -image[..., None] / focal], -1)
    by_place = by_place * (focal / depth)[..., None]
    by_turn = torch.linalg.cross(turned[..., None, :].expand_as(by_place), by_place)
    by_time = (by_place * (slope @ pose.rotation.T)[..., None, :]).sum(-1, keepdim=True)
    return image + view.centre - view.target, torch.cat([by_turn, by_place, image[..., None], by_time], -1)


def _landmark_error(view: _View, pose: _Pose, weights: Float[Tensor, "N 478"]) -> tuple[Float[Tensor, "N 1"], float]:
    """Distance of the outer eye corners in pixels per frame, depth included, and the weighted median distance of the
    landmarks as a share of it."""
    residual, _ = _reprojection(view, pose)
    points, _ = view.at(pose.offset)
    right, left = (points[:, i] for i in OUTER_EYE_CORNERS)
    depth = (points.mean(1) @ pose.rotation.T + pose.translation)[:, 2:].clamp_min(_NEAR_M)
    interocular = (right - left).norm(dim=-1, keepdim=True) * np.exp(pose.log_focal) / depth
    shares, order = (residual.norm(dim=-1) / interocular).flatten().sort()
    below = weights.flatten()[order].cumsum(0)
    return interocular, float(shares[torch.searchsorted(below, 0.5 * below[-1])])


def _landmark_sigma(view: _View, pose: _Pose, weights: Float[Tensor, "N 478"]) -> Float[Tensor, "N 1"]:
    """Standard deviation of the landmarks in pixels per frame: the detector's, or what the median distance says where
    that is more."""
    interocular, median = _landmark_error(view, pose, weights)
    return interocular * max(LANDMARK_SIGMA, median / 1.18)  # 1.18 sigma: median length of a normal vector in the plane


def _best_offset(view: _View, pose: _Pose) -> tuple[float, float]:
    """Whole offset of the least energy, each with its own camera, all judged on the same frames, and the share it saves
    against 0; 0 and 0 where it saves too little to be believed."""
    reach = min(view.config.max_offset, max((len(view.points) - 1) // 4, 1))
    common = view.inside(-reach) & view.inside(reach)
    if common.sum() < MIN_FRAMES:
        return 0.0, 0.0
    weights = view.weights * view.visibility(pose) * common[:, None]
    sigma = _landmark_sigma(view, pose, weights)  # the same for all: energies in other units would not compare
    free = [True] * 6 + [False, False]
    energies = {
        k: _descend(view, replace(pose, offset=float(k)), weights, free, sigma, 6)[1] for k in range(-reach, reach + 1)
    }
    best = min(energies, key=lambda k: (energies[k], abs(k)))
    gain = 1 - energies[best] / energies[0]
    return (float(best), gain) if gain > OFFSET_GAIN else (0.0, 0.0)
