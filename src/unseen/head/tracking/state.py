"""The unknowns of a track, its settings, and the camera model they share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.rotations import axis_angle_to_matrix, matrix_to_axis_angle
from unseen.head.params import HeadParams

Progress = Callable[[str, int, int], None]
"""Called with a stage's name, the step done and the number of steps."""


@dataclass(frozen=True)
class TrackConfig:
    """Settings of the tracker."""

    focal_px: float | None = None
    """Focal length in pixels when known; estimated otherwise."""
    landmark_steps: int = 400
    """Optimiser steps of the dense landmark fit."""
    contour_rounds: int = 6
    """Rounds of silhouette matching; 0 leaves the matte unused."""
    contour_steps: int = 30
    """Optimiser steps in each round."""
    contour_frames: int = 24
    """Frames, spread over the head's turn, whose silhouettes are matched."""
    photometric_steps: int = 60
    """Optimiser steps per pyramid level; 0 leaves the colours unused."""
    identity_offset: bool = True
    """Fit a per-vertex offset of the template besides the shape coefficients."""


@dataclass(frozen=True)
class Track:
    """A tracked head: one identity, T frames, one static camera.

    Attributes:
        params: the head's parameters; the head sits near the world's origin.
        camera: the camera of all frames.
        fps: frames per second.
    """

    params: HeadParams
    camera: Camera
    fps: float

    def centred(self) -> Track:
        """The same track with the head's mean position at the origin (head and camera move together)."""
        mean = self.params.translation.mean(0)
        matrix = self.camera.world_to_camera.clone()
        matrix[:3, 3] += matrix[:3, :3] @ mean
        params = replace(self.params, translation=self.params.translation - mean)
        return replace(self, params=params, camera=replace(self.camera, world_to_camera=matrix))


VARIABLES = (
    "log_focal", "place", "shape", "expr", "rotation", "head_rotation", "jaw_pose", "eyes_pose", "eyelids",
    "static_offset",
)  # fmt: skip


class Unknowns:
    """The tracker's variables in a form that optimises well.

    The camera sits at the origin, x right, y up, looking along -z. The head's position is held as where it appears and
    how large (`place`: x/depth, y/depth, log(depth/focal)), so that focal length and size do not fight each other. The
    head's turn is held in the world (`head_rotation`), not relative to the shoulders, so that shoulders can be fitted
    without turning the head.
    """

    def __init__(
        self, params: HeadParams, head_rotation: Float[Tensor, "T 3"], place: Float[Tensor, "T 3"], focal: float,
        height: int, width: int,
    ) -> None:  # fmt: skip
        self.height, self.width = height, width
        self.side = float(max(height, width))
        self.log_focal = torch.tensor(focal / self.side).log()
        self.place = place
        self.shape = params.shape
        self.expr = params.expr
        self.rotation = params.rotation
        self.head_rotation = head_rotation
        self.jaw_pose = params.jaw_pose
        self.eyes_pose = params.eyes_pose
        self.eyelids = params.eyelids
        self.static_offset = params.static_offset
        self.offset_coefficients = params.expr.new_zeros(0, 3)

    @property
    def focal(self) -> Float[Tensor, ""]:
        """Focal length in pixels."""
        return self.log_focal.exp() * self.side

    @property
    def neck_pose(self) -> Float[Tensor, "T 3"]:
        """The head's turn against the shoulders, axis-angle."""
        shoulders, head = axis_angle_to_matrix(self.rotation), axis_angle_to_matrix(self.head_rotation)
        return matrix_to_axis_angle(shoulders.transpose(-1, -2) @ head)

    @property
    def translation(self) -> Float[Tensor, "T 3"]:
        """Head position in the camera's axes (x right, y up, z backward), metres."""
        depth = self.place[:, 2].exp() * self.log_focal.exp()
        return torch.stack([self.place[:, 0] * depth, self.place[:, 1] * depth, -depth], -1)

    def params(self, frames: Tensor | slice = slice(None)) -> HeadParams:
        """Head parameters of some frames, connected to the variables."""
        return HeadParams(
            shape=self.shape,
            expr=self.expr[frames],
            rotation=self.rotation[frames],
            neck_pose=self.neck_pose[frames],
            jaw_pose=self.jaw_pose[frames],
            eyes_pose=self.eyes_pose[frames],
            translation=self.translation[frames],
            eyelids=self.eyelids[frames],
            static_offset=self.static_offset,
        )

    def project(self, points: Float[Tensor, "*batch 3"]) -> Float[Tensor, "*batch 2"]:
        """Pixel coordinates of points in the camera's axes."""
        depth = (-points[..., 2]).clamp_min(1e-3)
        x = self.width / 2 + self.focal * points[..., 0] / depth
        y = self.height / 2 - self.focal * points[..., 1] / depth
        return torch.stack([x, y], -1)

    def camera(self) -> Camera:
        """The camera as the rest of the package knows it: OpenCV axes."""
        return Camera.from_parts(
            torch.diag(torch.tensor([1.0, -1.0, -1.0])), torch.zeros(3), float(self.focal), self.width, self.height
        )

    def state(self) -> dict[str, Tensor]:
        """Values of all variables."""
        return {name: getattr(self, name).detach() for name in VARIABLES if getattr(self, name) is not None}

    def load(self, state: dict[str, Tensor]) -> None:
        """Inverse of `state`."""
        for name, value in state.items():
            setattr(self, name, value.clone())

    def track(self, fps: float) -> Track:
        """The finished track, centred."""
        return Track(self.params().detach(), self.camera(), fps).centred()


def minimise(
    variables: Unknowns,
    rates: dict[str, float],
    loss: Callable[[int], Tensor],
    steps: int,
    stage: str,
    progress: Progress,
    final_rate: float = 0.1,
) -> None:
    """Adam on the named variables, rates falling as a cosine to `final_rate` of their start."""
    groups = []
    for name, rate in rates.items():
        leaf = getattr(variables, name).detach().clone().requires_grad_()
        setattr(variables, name, leaf)
        groups.append({"params": [leaf], "lr": rate})
    optimiser = torch.optim.Adam(groups, betas=(0.9, 0.99))
    fall = lambda k: final_rate + (1 - final_rate) * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * k / steps))))  # noqa: E731
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, fall)
    for step in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss(step).backward()
        optimiser.step()
        schedule.step()
        progress(stage, step + 1, steps)
    for name in rates:
        setattr(variables, name, getattr(variables, name).detach())
