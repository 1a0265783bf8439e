"""What the tracker believes before it looks: penalties on parameters and their change over time, in units of sigma."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.head.tracking.state import Unknowns

SIGMA: dict[str, float | Tensor] = {
    "shape": 1.0,
    "expr": 0.35,
    "neck_pose": 0.8,
    "rotation": 0.3,
    "jaw_pose": torch.tensor([0.25, 0.05, 0.05]),
    "eyes_pose": 0.3,
    "eyelids": 0.7,
}
"""Expected spread of each parameter; radians for rotations."""

ACCELERATION_SIGMA: dict[str, float | Tensor] = {
    "head_rotation": 0.012,
    "rotation": 0.008,
    "jaw_pose": 0.03,
    "expr": 0.08,
    "eyelids": 0.25,
    "eyes_pose": 0.1,
}
"""Expected second difference from frame to frame."""

TORSO_STEP_M, TORSO_STEP_RAD = 0.003, 0.012
"""Expected movement of shoulders from frame to frame: they are slower than the head."""


def prior_energy(u: Unknowns, shoulders: bool) -> Float[Tensor, ""]:
    """Half the mean squared deviation of parameters from rest, per frame. `shoulders`: the model has a torso that the
    root joint carries, so the root should stay while the neck turns; without one the neck should stay."""
    total = 0.5 * (u.shape / SIGMA["shape"]).square().sum() * (2.0 / max(len(u.expr), 8))
    for name in ("expr", "jaw_pose", "eyes_pose", "eyelids"):
        total = total + 0.5 * (getattr(u, name) / SIGMA[name]).square().sum(-1).mean()
    stiff, loose = ("rotation", "neck_pose") if shoulders else ("neck_pose", "rotation")
    total = total + 0.5 * (getattr(u, stiff) / SIGMA["rotation"]).square().sum(-1).mean()
    if shoulders:
        total = total + 0.5 * (getattr(u, loose) / SIGMA["neck_pose"]).square().sum(-1).mean()
    eyes = u.eyes_pose.unflatten(-1, (2, 3))
    vergence = (eyes[:, 0] - eyes[:, 1]) / 0.05  # both eyes look the same way, and never roll
    total = total + 0.5 * vergence.square().sum(-1).mean() + 0.5 * (eyes[..., 2] / 0.02).square().sum(-1).mean()
    inward = (-u.jaw_pose[:, 0]).clamp_min(0) / 0.03 + (u.eyelids.clamp(max=0).sum(-1) / 0.05)
    return total + 0.5 * inward.square().mean()


def motion_energy(u: Unknowns, shoulders: bool) -> Float[Tensor, ""]:
    """Half the mean squared second difference of the motion, and the first difference of the shoulders."""
    total = u.place.new_zeros(())
    if len(u.expr) >= 3:
        for name, sigma in ACCELERATION_SIGMA.items():
            value = getattr(u, name)
            second = (value[2:] - 2 * value[1:-1] + value[:-2]) / sigma
            total = total + 0.5 * second.square().sum(-1).mean()
    step = u.translation.diff(dim=0) / TORSO_STEP_M
    if shoulders:
        turn = u.rotation.diff(dim=0) / TORSO_STEP_RAD
        return total + 0.5 * _robust(step).mean() + 0.5 * _robust(turn).mean()
    second = u.translation[2:] - 2 * u.translation[1:-1] + u.translation[:-2]
    return total + 0.5 * (second / 0.004).square().sum(-1).mean()


def _robust(residual: Float[Tensor, "T 3"], scale: float = 3.0) -> Float[Tensor, "T"]:
    """Quadratic near zero, linear beyond `scale` sigma: a person who does move is followed."""
    squared = residual.square().sum(-1)
    return 2 * scale * ((squared + scale**2).sqrt() - scale)
