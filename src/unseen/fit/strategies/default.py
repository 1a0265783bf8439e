"""The strategy of 3D Gaussian splatting (Kerbl et al. 2023, section 5), with gsplat's constants: what has large
screen-space gradients is cloned or split, what is faint or huge is pruned, opacities are reset now and then."""

from __future__ import annotations

import torch
from jaxtyping import Bool
from torch import Tensor

from unseen.fit.config import FitConfig
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.growth import refine

EVERY = 100
RESET_EVERY = 3000
MIN_OPACITY = 0.005
MAX_EXTENT = 0.1
"""Splats larger than this share of it, or of their distance, are pruned, once opacities have been reset."""
INIT_OPACITY, INIT_SIZE = 0.1, 1.0


class DefaultStrategy:
    """Keeps no state but the splats' statistics.

    Args:
        config: settings of the fit.
        extent: radius of the cameras, in the fit's world.
    """

    def __init__(self, config: FitConfig, extent: float) -> None:
        self.config, self.extent = config, extent

    def needs_statistics(self, step: int) -> bool:
        """Whether screen-space gradients still matter."""
        return step < self.config.refine_stop

    def after_step(self, splats: SplatOptimizer, step: int, rate: float, generator: torch.Generator) -> None:
        """Act on the splats once `step` steps are done; `rate` is that of positions."""
        if step >= self.config.refine_stop:
            return
        if step >= self.config.refine_start and step % EVERY == 0:
            refine(splats, self._kept(splats, step), self.config, self.extent, generator)
        if step % RESET_EVERY == 0:
            limit = torch.logit(torch.tensor(2 * MIN_OPACITY)).item()
            splats.overwrite("logit_opacities", splats.tensors["logit_opacities"].detach().clamp_max(limit))

    def _kept(self, splats: SplatOptimizer, step: int) -> Bool[Tensor, "N"]:
        """What is neither faint nor, once opacities have been reset, huge."""
        keep = splats.opacities >= MIN_OPACITY
        if step > RESET_EVERY:
            largest = splats.tensors["log_scales"].detach().amax(-1).exp()
            distances = splats.tensors["means"].detach().norm(dim=1)  # of the origin, amid the cameras
            keep &= largest <= MAX_EXTENT * distances.clamp_min(self.extent)
        return keep
