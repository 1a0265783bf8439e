"""Trainable splats bound to triangles: parameters, their optimiser, and densification in local space.

Densification follows 3D Gaussian splatting (Kerbl et al. 2023, section 5) as GaussianAvatars applies it: children
inherit the parent triangle, and the last splat of a triangle is never pruned: what is rarely seen stays alive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.gaussians import Gaussians
from unseen.core.rotations import quaternion_to_matrix
from unseen.fit.adam import SelectiveAdam

NAMES = ("means", "quats", "log_scales", "logit_opacities", "sh0", "shN")


@dataclass(frozen=True)
class DensifyConfig:
    """When and how splats are added and removed."""

    every: int = 300
    """Iterations between two densifications."""
    start: int = 500
    """First iteration that may densify."""
    stop: int = 5000
    """Last iteration that may densify."""
    gradient_threshold: float = 2e-4
    """Mean screen-space gradient (in normalised device coordinates) above which a splat is cloned or split."""
    split_extent: float = 0.01
    """Splats larger than this share of the scene's extent are split, smaller ones cloned."""
    min_opacity: float = 0.005
    """Splats fainter than this are pruned."""
    max_splats: int = 60_000
    """No splats are added beyond this number."""


class SplatOptimizer:
    """Splats as leaf tensors with Adam, whose rows can be selected and duplicated.

    Args:
        local: splats in triangle space.
        binding: parent triangle of each, [N].
        rates: learning rate per tensor name; names left out are not trained.
    """

    def __init__(self, local: Gaussians, binding: Int[Tensor, "N"], rates: dict[str, float]) -> None:
        self.binding, self.rates = binding, dict(rates)
        self.tensors = {
            name: getattr(local, name).detach().clone(memory_format=torch.contiguous_format) for name in NAMES
        }
        for name in rates:
            self.tensors[name].requires_grad_()
        groups = [{"params": [self.tensors[name]], "lr": rate, "name": name} for name, rate in rates.items()]
        self.adam = SelectiveAdam(groups)
        self.reset_statistics()

    def __len__(self) -> int:
        return len(self.binding)

    def gaussians(self) -> Gaussians:
        """A detached copy of the splats."""
        return Gaussians(**{name: t.detach().clone() for name, t in self.tensors.items()})

    def step(self, factors: dict[str, float], trust: dict[str, Float[Tensor, "F"]]) -> None:
        """One Adam step, rates multiplied by `factors` and, splat by splat, by `trust` of its triangle, where given.

        Adam makes every gradient a step of the same length, however faint. Splats behind others get faint gradients all
        the time; without `trust` what no camera saw would drift.
        """
        for group in self.adam.param_groups:
            group["lr"] = self.rates[group["name"]] * factors.get(group["name"], 1.0)
        self.adam.step(factors={name: share[self.binding] for name, share in trust.items()})
        self.adam.zero_grad(set_to_none=True)

    def reset_statistics(self) -> None:
        """Forget the accumulated screen-space gradients."""
        self.gradient_sum = torch.zeros(len(self.binding), device=self.binding.device)
        self.gradient_count = torch.zeros(len(self.binding), device=self.binding.device)

    def accumulate(
        self, means2d_grad: Float[Tensor, "N 2"], visible: Bool[Tensor, "N"], width: int, height: int
    ) -> None:
        """Note one view's screen-space gradients (pixels), converted to normalised device coordinates."""
        scale = means2d_grad.new_tensor([width / 2, height / 2])
        norm = (means2d_grad * scale).norm(dim=-1)
        self.gradient_sum += torch.where(visible, norm, 0)
        self.gradient_count += visible

    def reindex(self, rows: Int[Tensor, "M"], fresh: Bool[Tensor, "M"], changes: dict[str, Tensor]) -> None:
        """Replace the splats by `rows` of themselves; `changes` overrides whole tensors, `fresh` rows start without
        momentum."""
        for group in self.adam.param_groups:
            old = group["params"][0]
            new = changes.get(group["name"], old.detach()[rows]).detach().clone().requires_grad_()
            state = self.adam.state.pop(old, None)
            if state:
                keep = (~fresh).to(new.dtype).reshape(-1, *[1] * (new.ndim - 1))
                moments = {k: state[k][rows] * keep for k in ("exp_avg", "exp_avg_sq")}
                self.adam.state[new] = {"step": state["step"], **moments}
            group["params"], self.tensors[group["name"]] = [new], new
        for name in set(NAMES) - set(self.rates):
            self.tensors[name] = changes.get(name, self.tensors[name][rows])
        self.binding = self.binding[rows]
        self.reset_statistics()

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue bit-exact."""
        out = {f"splats.{name}": t for name, t in self.tensors.items()} | {"splats.binding": self.binding}
        out |= {"splats.gradient_sum": self.gradient_sum, "splats.gradient_count": self.gradient_count}
        for group in self.adam.param_groups:
            for key, value in self.adam.state.get(group["params"][0], {}).items():
                out[f"adam.{group['name']}.{key}"] = value
        return out

    @classmethod
    def restore(cls, state: dict[str, Tensor], rates: dict[str, float]) -> SplatOptimizer:
        """Inverse of `state`."""
        self = cls(Gaussians(**{n: state[f"splats.{n}"] for n in NAMES}), state["splats.binding"], rates)
        self.gradient_sum, self.gradient_count = state["splats.gradient_sum"], state["splats.gradient_count"]
        for group in self.adam.param_groups:
            keys = ("step", "exp_avg", "exp_avg_sq")
            found = {k: state[n].clone() for k in keys if (n := f"adam.{group['name']}.{k}") in state}
            if found:
                self.adam.state[group["params"][0]] = found
        return self


def densify(
    splats: SplatOptimizer,
    face_size: Float[Tensor, "F"],
    extent: float,
    config: DensifyConfig,
    generator: torch.Generator,
) -> tuple[int, int]:
    """Clone, split and prune by the accumulated statistics; returns how many were added and removed.

    Args:
        face_size: k of each triangle in metres: local lengths times k are metres.
        extent: radius of the scene in metres, from the mesh (a static camera says nothing about it).
    """
    size = face_size[splats.binding]
    mean_gradient = splats.gradient_sum / splats.gradient_count.clamp_min(1)
    hot = mean_gradient > config.gradient_threshold
    room = config.max_splats - len(splats)
    if hot.sum() > room:
        hot = torch.zeros_like(hot).index_fill_(0, mean_gradient.topk(max(room, 0)).indices, True) & hot
    largest = splats.tensors["log_scales"].detach().amax(-1).exp() * size
    split = hot & (largest > config.split_extent * extent)
    clone = hot & ~split
    faint = splats.tensors["logit_opacities"].detach().sigmoid() < config.min_opacity
    keep = _keep_one_per_face(splats.binding, ~faint, len(face_size)) | hot
    rows = torch.cat([torch.nonzero(keep & ~split)[:, 0], torch.nonzero(clone)[:, 0], _twice(split)])
    first_new = int((keep & ~split).sum())
    first_child = first_new + int(clone.sum())
    place = torch.arange(len(rows), device=rows.device)
    fresh, children = place >= first_new, place >= first_child
    changes = {}
    if children.any():
        means, log_scales = (splats.tensors[n].detach()[rows].clone() for n in ("means", "log_scales"))
        noise = torch.randn(int(children.sum()), 3, generator=generator).to(means) * log_scales[children].exp()
        turn = quaternion_to_matrix(normalize(splats.tensors["quats"].detach()[rows[children]], dim=-1))
        means[children] += (turn @ noise[..., None])[..., 0]
        log_scales[children] -= math.log(1.6)
        changes = {"means": means, "log_scales": log_scales}
    before = len(splats)
    splats.reindex(rows, fresh, changes)
    return int(clone.sum() + split.sum()), before - int(keep.sum())


def _twice(mask: Bool[Tensor, "N"]) -> Int[Tensor, "2M"]:
    return torch.nonzero(mask)[:, 0].repeat(2)


def _keep_one_per_face(binding: Int[Tensor, "N"], keep: Bool[Tensor, "N"], num_faces: int) -> Bool[Tensor, "N"]:
    """`keep`, plus the first splat of every triangle that would otherwise lose its last one."""
    survivors = torch.bincount(binding[keep], minlength=num_faces)
    orphan = torch.nonzero(survivors[binding] == 0)[:, 0]
    first = binding.new_full((num_faces,), len(binding)).scatter_reduce_(0, binding[orphan], orphan, "amin")
    out = keep.clone()
    out[first[first < len(binding)]] = True
    return out
