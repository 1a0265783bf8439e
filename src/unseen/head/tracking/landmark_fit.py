"""The dense landmark fit: rigid poses in closed form, then everything that 478 points per frame can tell."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import InputError
from unseen.core.rotations import matrix_to_axis_angle
from unseen.head.landmarks import MEDIAPIPE_REGIONS
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.tracking.observations import Observations
from unseen.head.tracking.priors import motion_energy, prior_energy
from unseen.head.tracking.state import Progress, TrackConfig, Unknowns, minimise

LANDMARK_SIGMA = 0.012
"""Expected landmark error, in inter-ocular distances."""

EFFECTIVE_POINTS = 150.0
"""How many independent points 478 correlated ones are worth against the priors."""

DEFAULT_FOCAL = 1.8
"""First guess of the focal length in units of the longer image side (a 31 degree field of view)."""

FOCAL_LOG_SIGMA = 0.15


class LandmarkTerm:
    """Robust distance between the model's landmarks and the detected ones, weighted by `point_weights` and
    `facing_weights`."""

    def __init__(self, model: HeadModel, observations: Observations) -> None:
        self.model = model.landmark_subset("mediapipe478")
        found = observations.found
        points = np.where(found[:, None, None], observations.landmarks_px, 0.0)
        scale = np.where(found, observations.interocular_px, 1.0)
        self.target = torch.from_numpy(points[..., :2].astype(np.float32))
        self.scale = torch.from_numpy(scale.astype(np.float32))[:, None, None] * LANDMARK_SIGMA
        self.base_weight = torch.from_numpy(found.astype(np.float32))[:, None] * point_weights()
        self.weight = self.base_weight

    def update_visibility(self, u: Unknowns) -> None:
        """Recompute the weights from which way the points face in the present fit."""
        with torch.no_grad():
            seen = facing_weights(self.model, self.model.vertices(u.params()), torch.zeros(3))
            self.weight = self.base_weight * seen * seen.mean(-1, keepdim=True)  # a half-hidden face is guessed at

    def __call__(self, u: Unknowns) -> Float[Tensor, ""]:
        """Mean over frames of the energy of one frame."""
        points = self.model.landmarks["mediapipe478"].points(self.model.vertices(u.params()), self.model.faces)
        squared = ((u.project(points) - self.target) / self.scale).square().sum(-1)
        robust = 2 * ((1 + squared / 4).sqrt() - 1) * 2
        return EFFECTIVE_POINTS * 0.5 * (self.weight * robust).sum() / self.weight.sum()


def facing_weights(
    model: HeadModel, vertices: Float[Tensor, "T V 3"], eye: Float[Tensor, "3"]
) -> Float[Tensor, "T 478"]:
    """How far to trust what a detector says of each landmark, 0.03 to 1, by which way the skin there faces: a detector
    guesses what a camera at `eye` (world, metres) does not see."""
    a, b, c = vertices[:, model.faces[model.landmarks["mediapipe478"].face_idx]].unbind(-2)
    normal = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)
    facing = -(normal * torch.nn.functional.normalize(a - eye, dim=-1)).sum(-1)
    return ((facing + 0.15) / 0.4).clamp(0.03, 1.0)


def point_weights() -> Float[Tensor, "478"]:
    """How much each landmark counts: the face's outline less, because detectors let it slide, lips and eye rims more,
    because they carry the expression."""
    weights = torch.ones(478)
    weights[MEDIAPIPE_REGIONS["oval"]] = 0.3
    weights[MEDIAPIPE_REGIONS["lips"]] = 2.0
    for name in ("left_eye", "right_eye"):
        weights[MEDIAPIPE_REGIONS[name]] = 2.0
    return weights


def fit_landmarks(model: HeadModel, u: Unknowns, term: LandmarkTerm, config: TrackConfig, progress: Progress) -> None:
    """Identity, focal length and per-frame motion from landmarks alone, all frames at once."""
    shoulders = "torso" in model.regions
    start = u.log_focal.clone()
    rigid = {"head_rotation": 0.005, "place": 0.003} | ({} if shoulders else {"rotation": 0.005})
    everything = {
        "place": 0.006, "head_rotation": 0.015, "rotation": 0.003, "shape": 0.05, "expr": 0.03, "jaw_pose": 0.015,
        "eyes_pose": 0.015, "eyelids": 0.03, **({} if config.focal_px else {"log_focal": 0.005}),
    }  # fmt: skip

    def loss(step: int) -> Tensor:
        if step % 25 == 0:
            term.update_visibility(u)
        focal = 0.5 * ((u.log_focal - start) / FOCAL_LOG_SIGMA).square()
        return term(u) + prior_energy(u, shoulders) + motion_energy(u, shoulders) + focal

    quarter = max(config.landmark_steps // 8, 1)
    minimise(u, rigid, loss, quarter, "rigid pose", progress)
    minimise(u, everything, loss, config.landmark_steps, "landmarks", progress)


def rigid_start(model: HeadModel, observations: Observations, config: TrackConfig) -> Unknowns:
    """Closed-form pose of each frame: the similarity between the mean head's landmarks and the detected ones, taken as
    three-dimensional points under weak perspective (Umeyama 1991). Frames without a face borrow from their neighbours.

    Raises:
        InputError: the model has no MediaPipe landmarks.
    """
    if "mediapipe478" not in model.landmarks:
        raise InputError(f"head model {model.variant!r} has no MediaPipe landmarks to be tracked by")
    height, width = observations.size
    side = max(height, width)
    focal = config.focal_px or DEFAULT_FOCAL * side
    template = model.landmarks["mediapipe478"].points(model.v_template, model.faces)
    keep = torch.ones(478, dtype=torch.bool)
    keep[MEDIAPIPE_REGIONS["oval"]] = False
    rest = HeadParams.zeros(model, len(observations.images))
    frames = np.flatnonzero(observations.found)
    turned, place = [], []
    neck = model.joint_template[1] if "torso" in model.regions else model.joint_template[0]
    for t in frames:
        seen = torch.from_numpy(observations.landmarks_px[t]) * torch.tensor([1.0, -1.0, -1.0])
        rotation, scale, shift = umeyama(template[keep], seen[keep])
        # the joint that turns stays where it is in the model: the offset goes into the place
        centre = scale * rotation @ neck + shift - scale * neck
        depth = focal / scale
        place.append(
            torch.stack(
                [(centre[0] - width / 2) / focal, (centre[1] + height / 2) / focal, (depth * side / focal).log()]
            )
        )
        turned.append(matrix_to_axis_angle(rotation))
    nearest = np.abs(np.arange(len(observations.images))[:, None] - frames[None]).argmin(1)
    turned_all, place_all = torch.stack(turned)[nearest], torch.stack(place)[nearest]
    if "torso" not in model.regions:  # no shoulders: the root turns, not the neck
        rest = replace(rest, rotation=turned_all)
    return Unknowns(rest, turned_all, place_all, focal, height, width)


def umeyama(
    source: Float[Tensor, "N 3"], target: Float[Tensor, "N 3"]
) -> tuple[Float[Tensor, "3 3"], Float[Tensor, ""], Float[Tensor, "3"]]:
    """Rotation, scale and translation with target ~ scale * R source + t in least squares (Umeyama 1991)."""
    mean_s, mean_t = source.mean(0), target.mean(0)
    s, t = source - mean_s, target - mean_t
    u, d, vt = torch.linalg.svd(t.T @ s)
    sign = torch.ones(3, dtype=source.dtype)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = (u * sign) @ vt
    scale = (d * sign).sum() / s.square().sum()
    return rotation, scale, mean_t - scale * rotation @ mean_s
