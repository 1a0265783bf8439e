"""Settings of a fit of splats to photos. Defaults are those of gsplat's trainer, schedules relative to the length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

StrategyName = Literal["default", "mcmc"]
Compensation = Literal["none", "exposure", "bilateral"]
Initialisation = Literal["points", "random"]


@dataclass(frozen=True)
class FitConfig:
    """Settings of `SceneTrainer`. Lengths are in the fit's world, whose cameras lie within 1 of the origin."""

    steps: int = 7000
    """Optimiser steps."""
    batch: int = 1
    """Photos per step; their losses are averaged."""
    strategy: StrategyName = "default"
    """How splats are added and removed: by screen-space gradients, or by relocation and noise (MCMC)."""
    max_splats: int = 150_000
    """No splats are added beyond this number."""
    init: Initialisation = "points"
    """Start from the photos' points, or from random ones; random when there are no points."""
    init_random: int = 20_000
    """Number of random splats to start from."""
    init_extent: float = 2.0
    """Half the side of the cube of random splats."""
    far_splats: int = 6000
    """Splats added far behind everything where photos look, for what has no points: the sky, the view from a window."""
    sh_degree: int = 3
    """Highest band of view-dependent colour."""
    sh_start: int = 0
    """Band in use from the first step on; the others join one by one."""
    ssim_weight: float = 0.2
    """Weight of 1 - SSIM; the L1 term gets the rest."""
    means_rate: float = 1.6e-4
    """Learning rate of positions, times the scene's extent; falls exponentially to a hundredth."""
    scales_rate: float = 5e-3
    """Learning rate of log scales."""
    quats_rate: float = 1e-3
    """Learning rate of rotations."""
    opacities_rate: float = 5e-2
    """Learning rate of logit opacities."""
    sh_rate: float = 2.5e-3
    """Learning rate of band 0 of the colours; a twentieth for the others."""
    final_rate: float = 1.0
    """Share of all these rates but that of positions that is left in the end; they fall exponentially."""
    coarse: float = 0.1
    """Share of the steps, from the start, that see photos at half size."""
    antialiased: bool = False
    """Scale opacities so that small splats do not grow on screen (Mip-Splatting)."""
    random_background: bool = False
    """Draw a background colour every step, so that nothing can hide in it; black otherwise."""
    opacity_penalty: float = 0.0
    """Weight of the mean opacity, until `refine_stop`."""
    scale_penalty: float = 0.0
    """Weight of the mean extent, until `refine_stop`."""
    depth_weight: float = 0.0
    """Weight of the L1 difference of 1 / depth, where photos have depth."""
    compensation: Compensation = "none"
    """Per photo, what its camera did to colours: an affine map, or a bilateral grid of them."""
    selective: bool = False
    """Leave alone the splats a step did not see."""
    absgrad: bool = False
    """Densify by absolute gradients (AbsGS), with a threshold four times as high."""
    gradient_threshold: float = 2e-4
    """Mean screen-space gradient (in normalised device coordinates) above which a splat is cloned or split."""
    checkpoint_every: int = 1000
    """Steps between checkpoints."""

    @property
    def sh_every(self) -> int:
        """Steps after which the next SH band joins."""
        return min(1000, max(self.steps // 7, 1))

    @property
    def refine_start(self) -> int:
        """First step that may add or remove splats."""
        return min(500, self.steps // 7)

    @property
    def refine_stop(self) -> int:
        """Step from which their number stays."""
        return self.steps // 2
