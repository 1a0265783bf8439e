"""Merging near Gaussians into one with the same mass, mean and covariance, until few enough are left."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.spatial import cKDTree
from torch import Tensor

from unseen.core.gaussians import Gaussians
from unseen.core.rotations import matrix_to_quaternion, quaternion_to_matrix

NEIGHBOURS = 4
"""Candidates for a partner."""
COLOUR_WEIGHT = 16.0
"""How much a squared difference of colour counts beside one of position in standard deviations."""
MAX_OPACITY = 0.99
LEAST_LOSS = 1e-9
LEAST_SCALE = 1e-4
"""Of a merged Gaussian's axes, as a share of its largest: moments of flat Gaussians are rounded."""
_CHUNK = 1 << 18


def merged(gaussians: Gaussians, budget: int, centre: Float[Tensor, "3"], radius: float) -> Gaussians:
    """At most `budget` Gaussians that look alike.

    In rounds, each Gaussian picks the neighbour whose merging would change pictures least; pairs that picked each other
    merge, the cheapest first. Near is meant as seen from the cameras: of two pairs equally far apart the more distant
    pair is nearer. The moments of a pair are kept: mean and covariance of the mixture weighted by mass (opacity times
    the area of the two largest axes), the mass itself, and the mean of the colours' coefficients.

    Args:
        gaussians: float32, on the CPU.
        budget: how many may remain, at least 1.
        centre: middle of the cameras that look at them.
        radius: of the cameras around it; nearer than that, distances count as they are.
    """
    g = gaussians
    while len(g) > budget:
        g = _round(g, budget, centre, max(radius, 1e-6))
    return g


def _round(g: Gaussians, budget: int, centre: Float[Tensor, "3"], radius: float) -> Gaussians:
    """One round of pairs; at least one pair merges."""
    seen = _as_seen(g.means - centre, radius)
    count = min(NEIGHBOURS + 1, len(g))
    near = np.empty((len(g), count), np.int32)
    tree = cKDTree(seen.numpy(), compact_nodes=False, balanced_tree=False)
    for start in range(0, len(g), _CHUNK):
        near[start : start + _CHUNK] = tree.query(seen[start : start + _CHUNK].numpy(), k=count, workers=-1)[1]
    partner, loss = _best_partners(g, torch.from_numpy(near), centre, radius)
    own = torch.arange(len(g))
    mutual = (partner[partner] == own) & (own < partner)
    first = own[mutual]
    if not len(first):  # can only be where coordinates coincide: take the cheapest pick
        first = loss.argmin()[None]
    order = loss[first].argsort(stable=True)[: len(g) - budget]
    first = first[order]
    second = partner[first]
    stay = torch.ones(len(g), dtype=torch.bool)
    stay[first] = stay[second] = False
    return Gaussians.cat([g.select(stay), merged_pairs(g.select(first), g.select(second))])


def _as_seen(offsets: Float[Tensor, "N 3"], radius: float) -> Float[Tensor, "N 4"]:
    """Coordinates whose distances are angles and relative depths far from the cameras, and lengths over `radius` among
    them: p / sqrt(p^2 + r^2) and log sqrt(p^2 + r^2)."""
    length = (offsets.square().sum(1, keepdim=True) + radius * radius).sqrt()
    return torch.cat([offsets / length, length.log()], 1)


def _best_partners(
    g: Gaussians, near: Int[Tensor, "N K"], centre: Float[Tensor, "3"], radius: float
) -> tuple[Int[Tensor, "N"], Float[Tensor, "N"]]:
    """Of every Gaussian's neighbours the one whose merging costs least, and what it costs.

    The cost of a pair is the harmonic mean of its masses as seen (per squared distance), times the squared distance of
    means in standard deviations plus that of colours.
    """
    away = (g.means - centre).square().sum(1) + radius * radius
    mass, size, rgb = _mass(g) / away, g.scales.square().amax(1), g.rgb
    partner, loss = torch.empty(len(g), dtype=torch.long), torch.empty(len(g))
    for start in range(0, len(g), _CHUNK):
        own = torch.arange(start, min(start + _CHUNK, len(g)))[:, None]
        other = near[start : start + _CHUNK].long()
        weight = mass[own] * mass[other] / (mass[own] + mass[other]).clamp_min(1e-30)
        apart = (g.means[own] - g.means[other]).square().sum(-1) / (size[own] + size[other]).clamp_min(1e-30)
        cost = weight * (apart + COLOUR_WEIGHT * (rgb[own] - rgb[other]).square().sum(-1)) + LEAST_LOSS * weight
        best = cost.masked_fill(other == own, torch.inf).min(1)
        loss[start : start + _CHUNK] = best.values
        partner[start : start + _CHUNK] = other.gather(1, best.indices[:, None])[:, 0]
    return partner, loss


def _mass(g: Gaussians) -> Float[Tensor, "N"]:
    """Opacity times the area of the two largest axes: what a Gaussian covers, seen face on."""
    return g.opacities * g.log_scales.topk(2, 1).values.sum(1).exp()


def merged_pairs(a: Gaussians, b: Gaussians) -> Gaussians:
    """Each Gaussian of `a` and the one of `b` beside it as one, moments matched."""
    parts = [_merged_chunk(a.select(s), b.select(s)) for s in torch.arange(len(a)).split(_CHUNK)]
    return Gaussians.cat(parts) if parts else a


def _merged_chunk(a: Gaussians, b: Gaussians) -> Gaussians:
    masses = torch.stack([_mass(a), _mass(b)]).double()
    share = masses[0] / masses.sum(0).clamp_min(1e-300)
    share = torch.where(masses.sum(0) > 0, share, 0.5)[:, None]
    means = share * a.means + (1 - share) * b.means
    apart = (a.means - b.means).double()[..., None]
    spread = (share * (1 - share))[..., None] * (apart @ apart.transpose(1, 2))
    covariance = share[..., None] * _covariance(a) + (1 - share)[..., None] * _covariance(b) + spread
    values, axes = torch.linalg.eigh(covariance)
    values = values.clamp_min(0).sqrt()
    values = torch.maximum(values, LEAST_SCALE * values.amax(1, keepdim=True)).clamp_min(1e-20)
    axes = axes * torch.linalg.det(axes)[:, None, None]  # -1 or 1: a rotation of three axes, all turned or none
    area = values[:, 1] * values[:, 2]
    opacities = (masses.sum(0) / area).clamp(1e-6, MAX_OPACITY)
    share = share.to(a.sh0)
    return Gaussians(
        means.to(a.means), matrix_to_quaternion(axes).to(a.quats), values.log().to(a.log_scales),
        torch.logit(opacities).to(a.logit_opacities), share * a.sh0 + (1 - share) * b.sh0,
        share[..., None] * a.shN + (1 - share[..., None]) * b.shN,
    )  # fmt: skip


def _covariance(g: Gaussians) -> Float[Tensor, "N 3 3"]:
    """R S^2 R^T, float64."""
    turn = quaternion_to_matrix(g.quats.double()) * g.scales.double()[:, None, :]
    return turn @ turn.transpose(1, 2)
