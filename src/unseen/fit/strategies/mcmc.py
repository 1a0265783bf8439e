"""Splats as samples (3D Gaussian Splatting as Markov Chain Monte Carlo, Kheradmand et al. 2024).

Faint ones move to where opaque ones are instead of being pruned, and noise keeps positions exploring. For fits of
thousands of steps instead of tens of thousands some things are not the paper's: what grows, up to a cap, is what has
large screen-space gradients, as in the default strategy, not whatever is opaque; noise and penalties end with growth;
and penalties are a thirtieth.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.rotations import quaternion_to_matrix
from unseen.fit.config import FitConfig
from unseen.fit.splats import SplatOptimizer
from unseen.fit.strategies.growth import refine

EVERY = 100
MIN_OPACITY = 0.005
NOISE = 5e5
"""Noise per learning rate of positions."""
SHARPNESS, SOLID = 100.0, 0.995
"""Noise fades where 1 - opacity falls below SOLID, this sharply."""
MAX_COPIES = 51
INIT_OPACITY, INIT_SIZE = 0.5, 0.3
PENALTIES = {"opacity_penalty": 0.0003, "scale_penalty": 0.0003}
"""Settings this strategy is meant to run with."""


class McmcStrategy:
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
            relocate(splats, generator)
            refine(splats, torch.ones_like(splats.opacities, dtype=torch.bool), self.config, self.extent, generator)
        add_noise(splats, NOISE * rate, generator)


def relocate(splats: SplatOptimizer, generator: torch.Generator) -> int:
    """Move faint splats onto others drawn by opacity, which share their opacity and extent; how many moved."""
    opacities = splats.opacities.cpu()
    dead = torch.nonzero(opacities <= MIN_OPACITY)[:, 0]
    alive = torch.nonzero(opacities > MIN_OPACITY)[:, 0]
    if not len(dead) or not len(alive):
        return 0
    chosen = alive[_draw(opacities[alive], len(dead), generator)]
    share = _shared(splats, chosen)
    forget = torch.zeros(len(splats), dtype=torch.bool, device=splats.device)
    forget[torch.cat([chosen, dead]).to(splats.device)] = True
    for name, tensor in splats.tensors.items():
        values = share.get(name, tensor.detach()).clone()
        values[dead] = values[chosen]
        splats.overwrite(name, values, forget)
    return len(dead)


def _draw(weights: Float[Tensor, "N"], count: int, generator: torch.Generator) -> Int[Tensor, "M"]:
    """Indices with probability proportional to the weights, with replacement; any number of weights."""
    sums = weights.double().cumsum(0)
    uniform = torch.rand(count, generator=generator, dtype=torch.float64) * sums[-1]
    return torch.searchsorted(sums, uniform).clamp_max(len(weights) - 1)


def _shared(splats: SplatOptimizer, chosen: Int[Tensor, "M"]) -> dict[str, Tensor]:
    """Opacities and extents of all splats, when the `chosen` become as many more as they are named."""
    copies = torch.bincount(chosen, minlength=len(splats)) + 1
    opacities, log_scales = share_out(splats.opacities.cpu(), copies)
    log_scales = splats.tensors["log_scales"].detach() + log_scales.to(splats.device)[:, None]
    many = (copies > 1).to(splats.device)
    limited = opacities.to(splats.device).clamp(MIN_OPACITY, 1 - 1e-7)
    logits = torch.where(many, torch.logit(limited), splats.tensors["logit_opacities"].detach())
    return {"logit_opacities": logits, "log_scales": log_scales}


def share_out(opacities: Float[Tensor, "N"], copies: Int[Tensor, "N"]) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"]]:
    """Opacity of each of so many copies, and the logarithm of the factor of their extents, such that together they
    look as the one did (equation 9 of the paper, its double sum summed over i)."""
    n = copies.clamp(1, MAX_COPIES)
    o = opacities.double()
    each = 1 - (1 - o) ** (1 / n)
    total = torch.zeros_like(o)
    for k in range(1, int(n.max()) + 1):
        binomial = torch.exp(torch.lgamma(n + 1.0) - math.lgamma(k + 1) - torch.lgamma((n - k + 1.0).clamp_min(1)))
        term = binomial * (-1) ** (k - 1) * each**k / math.sqrt(k)
        total += torch.where(n >= k, term, 0.0)
    return each.float(), torch.where(n > 1, (o / total).log(), 0.0).float()


@torch.no_grad()
def add_noise(splats: SplatOptimizer, strength: float, generator: torch.Generator) -> None:
    """Move splats at random within their own shape, the more the fainter they are."""
    t = splats.tensors
    gate = torch.sigmoid(-SHARPNESS * (splats.opacities - (1 - SOLID)))
    noise = torch.randn(len(splats), 3, generator=generator).to(splats.device)
    axes = quaternion_to_matrix(normalize(t["quats"], dim=-1))
    along = torch.einsum("nij,ni->nj", axes, noise) * (2 * t["log_scales"]).exp()
    t["means"] += strength * gate[:, None] * torch.einsum("nij,nj->ni", axes, along)
