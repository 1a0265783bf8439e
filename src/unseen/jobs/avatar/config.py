"""Settings of the avatar job."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from unseen.fit.strategies.bound import DensifyConfig


@dataclass(frozen=True)
class MotionRates:
    """Learning rates at which the tracked motion is fine-tuned with the splats; 0 leaves a parameter as tracked.

    They are larger than GAF's (1e-6 m, 1e-5 rad, 1e-3), because a frame is visited some thirty times in a fit of
    minutes, not thousands of times in one of hours.
    """

    translation: float = 4e-4
    rotation: float = 1e-3
    neck_pose: float = 2e-3
    jaw_pose: float = 2e-3
    eyes_pose: float = 4e-3
    expr: float = 1e-2
    eyelids: float = 1e-2


@dataclass(frozen=True)
class PriorConfig:
    """How a prior shows the fit what no frame shows (GAF, section 4.2; its figures where it gives any)."""

    method: Literal["pseudo", "sds"] = "pseudo"
    """pseudo: views the prior makes are fixed targets for a while; sds: score distillation, the alternative GAF
    rejects."""
    views: int = 1
    """Pseudo views per optimiser step, beside its real frame."""
    share: float = 1.0
    """Share of the steps that see pseudo views at all."""
    weight: float = 1.0
    """Weight of the loss on them."""
    speed: float = 8.0
    """How much faster splats of unseen triangles move while the prior is heard: they begin on the mesh, and hair lies
    centimetres outside it, many triangle sizes."""
    start: float = 0.2
    """Share of the steps after which the prior is first asked: the evidence comes first."""
    group: int = 4
    """Views made together."""
    first_groups: int = 4
    """Groups made at the start."""
    every: int = 250
    """Steps between two later groups."""
    capacity: int = 32
    """Views kept; the oldest go."""
    t_range: tuple[float, float] = (0.02, 0.98)
    """Share of the noise schedule from which a render is denoised."""
    annealed: bool = True
    """From much noise to little in the course of the fit; drawn evenly when not."""
    stride: int = 50
    """Timesteps of the schedule per denoising step; GAF takes 20."""
    guidance: float = 2.0
    """Scale of classifier-free guidance."""
    upsample: bool = True
    """Use the prior's latent upsampler: pictures of twice the size."""
    references: int = 1
    """Fitted frames the prior is shown."""
    reach_deg: tuple[float, float] = (60.0, 180.0)
    """Yaw from the face's direction up to which views go, in the first group and later."""
    widened: int = 3
    """Groups after which they reach all the way."""
    pitch_deg: tuple[float, float] = (-10.0, 20.0)
    """Of the views; positive looks down."""

    def begin(self, iterations: int) -> int:
        """The first step with the prior, of so many."""
        return round(self.start * iterations)


@dataclass(frozen=True)
class AvatarConfig:
    """Settings of the avatar fit (GAF, arXiv 2412.10209, sections 4.3 and 4.4; GaussianAvatars where GAF is silent)."""

    iterations: int = 4000
    """Optimiser steps, one frame each."""
    ssim_weight: float = 0.2
    """Weight of 1 - SSIM; the L1 term gets the rest."""
    means_rate: float = 5e-3
    """Learning rate of local positions, in triangle sizes; falls to a hundredth."""
    scales_rate: float = 1.7e-2
    """Learning rate of log scales."""
    quats_rate: float = 1e-3
    """Learning rate of rotations."""
    opacities_rate: float = 5e-2
    """Learning rate of logit opacities."""
    sh0_rate: float = 5e-3
    """Learning rate of colours."""
    position_weight: float = 0.01
    """Weight of the penalty on local positions beyond `position_free` triangle sizes."""
    position_free: float = 1.0
    """Distance from the triangle's centre, in its size, that costs nothing."""
    scale_weight: float = 1.0
    """Weight of the penalty on local scales beyond `scale_free`."""
    scale_free: float = 0.6
    """Extent, in the triangle's size, that costs nothing."""
    motion: MotionRates = field(default_factory=MotionRates)
    """Fine-tuning of the tracked motion."""
    motion_start: int = 300
    """Iteration at which fine-tuning of the motion starts."""
    densify: DensifyConfig = field(default_factory=DensifyConfig)
    """Adding and removing splats."""
    prior: PriorConfig = field(default_factory=PriorConfig)
    """What the prior does, where there is one."""
    checkpoint_every: int = 500
    """Iterations between checkpoints."""
