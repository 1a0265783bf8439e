"""Settings of the avatar job."""

from __future__ import annotations

from dataclasses import dataclass, field

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
    checkpoint_every: int = 500
    """Iterations between checkpoints."""
