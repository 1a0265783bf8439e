"""Trainable splats: leaf tensors with their optimiser and statistics, whose rows can be selected and duplicated."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from unseen.core.gaussians import Gaussians
from unseen.fit.adam import SelectiveAdam

NAMES = ("means", "quats", "log_scales", "logit_opacities", "sh")
HIGHER_BANDS = 1 / 20
"""Learning rate of the SH bands above 0, as a share of that of band 0 (Kerbl et al. 2023)."""
_MOMENTS = ("exp_avg", "exp_avg_sq")


class SplatOptimizer:
    """Splats as leaf tensors (`NAMES`; `sh` holds all bands, [N, K, 3]) with Adam.

    Args:
        splats: where to start.
        rates: learning rate per tensor name; names left out are not trained.
        attached: tensors with one row per splat that follow it, e.g. the triangle it is bound to.
    """

    def __init__(
        self, splats: Gaussians, rates: Mapping[str, float], attached: Mapping[str, Tensor] | None = None
    ) -> None:
        self.rates, self.attached = dict(rates), dict(attached or {})
        self.tensors = {name: getattr(splats, name).detach().clone().contiguous() for name in NAMES}
        for name in rates:
            self.tensors[name].requires_grad_()
        columns = torch.full(self.tensors["sh"].shape[1:], HIGHER_BANDS)
        columns[:1] = 1.0
        groups = [
            {
                "params": [self.tensors[name]],
                "lr": rate,
                "name": name,
                "columns": columns if name == "sh" and len(columns) > 1 else None,
            }
            for name, rate in rates.items()
        ]
        self.adam = SelectiveAdam(groups)
        self.reset_statistics()

    def __len__(self) -> int:
        return len(self.tensors["means"])

    @property
    def device(self) -> torch.device:
        """Where the splats are."""
        return self.tensors["means"].device

    @property
    def opacities(self) -> Float[Tensor, "N"]:
        """Opacities in (0, 1), without gradients."""
        return self.tensors["logit_opacities"].detach().sigmoid()

    def gaussians(self) -> Gaussians:
        """A detached copy of the splats."""
        t = {name: tensor.detach().clone() for name, tensor in self.tensors.items()}
        sh = t.pop("sh")
        return Gaussians(**t, sh0=sh[:, 0], shN=sh[:, 1:])

    def step(self, factors: Mapping[str, float], per_splat: Mapping[str, Float[Tensor, "N"]] | None = None) -> None:
        """One Adam step: rates are multiplied by `factors`, steps splat by splat by `per_splat`, where given."""
        for group in self.adam.param_groups:
            group["lr"] = self.rates[group["name"]] * factors.get(group["name"], 1.0)
        self.adam.step(factors=per_splat)
        self.adam.zero_grad(set_to_none=True)

    def reset_statistics(self) -> None:
        """Forget the accumulated screen-space gradients."""
        self.gradient_sum = torch.zeros(len(self), device=self.device)
        self.gradient_count = torch.zeros(len(self), device=self.device)

    def accumulate(
        self, means2d_grad: Float[Tensor, "N 2"], visible: Bool[Tensor, "N"], width: int, height: int
    ) -> None:
        """Note one view's screen-space gradients (pixels), converted to normalised device coordinates."""
        scale = means2d_grad.new_tensor([width / 2, height / 2])
        self.gradient_sum += (means2d_grad * scale).norm(dim=-1) * visible
        self.gradient_count += visible

    def mean_gradient(self) -> Float[Tensor, "N"]:
        """Mean of the accumulated gradients over the views that saw the splat."""
        return self.gradient_sum / self.gradient_count.clamp_min(1)

    def reindex(self, rows: Int[Tensor, "M"], fresh: Bool[Tensor, "M"], changes: Mapping[str, Tensor]) -> None:
        """Replace the splats by `rows` of themselves; `changes` overrides whole tensors, `fresh` rows start without
        momentum."""
        for group in self.adam.param_groups:
            old = group["params"][0]
            new = changes.get(group["name"], old.detach()[rows]).detach().clone().requires_grad_()
            state = self.adam.state.pop(old, None)
            if state:
                keep = (~fresh).to(new.dtype).reshape(-1, *[1] * (new.ndim - 1))
                moments = {k: state[k][rows] * keep for k in _MOMENTS}
                self.adam.state[new] = {"step": state["step"], **moments}
            group["params"], self.tensors[group["name"]] = [new], new
        for name in set(NAMES) - set(self.rates):
            self.tensors[name] = changes.get(name, self.tensors[name][rows])
        self.attached = {name: tensor[rows] for name, tensor in self.attached.items()}
        self.reset_statistics()

    @torch.no_grad()
    def overwrite(self, name: str, values: Tensor, forget: Bool[Tensor, "N"] | None = None) -> None:
        """Set a tensor's values; the momentum of the `forget` rows (all of them when None) starts again."""
        tensor = self.tensors[name]
        tensor.copy_(values)
        for key in _MOMENTS:
            if key in self.adam.state.get(tensor, {}):
                moment = self.adam.state[tensor][key]
                if forget is None:
                    moment.zero_()
                else:
                    moment[forget] = 0

    def state(self) -> dict[str, Tensor]:
        """Everything needed to continue bit-exact."""
        out = {f"splats.{name}": t for name, t in self.tensors.items()}
        out |= {f"attached.{name}": t for name, t in self.attached.items()}
        out |= {"statistics.sum": self.gradient_sum, "statistics.count": self.gradient_count}
        for group in self.adam.param_groups:
            for key, value in self.adam.state.get(group["params"][0], {}).items():
                out[f"adam.{group['name']}.{key}"] = value
        return out

    @classmethod
    def restore(cls, state: Mapping[str, Tensor], rates: Mapping[str, float]) -> SplatOptimizer:
        """Inverse of `state`."""
        parts = {name: state[f"splats.{name}"] for name in NAMES}
        sh = parts.pop("sh")
        attached = {k.removeprefix("attached."): t for k, t in state.items() if k.startswith("attached.")}
        self = cls(Gaussians(**parts, sh0=sh[:, 0], shN=sh[:, 1:]), rates, attached)
        self.gradient_sum, self.gradient_count = state["statistics.sum"], state["statistics.count"]
        for group in self.adam.param_groups:
            found = {k: state[n].clone() for k in ("step", *_MOMENTS) if (n := f"adam.{group['name']}.{k}") in state}
            if found:
                found["step"] = found["step"].cpu()
                self.adam.state[group["params"][0]] = found
        return self
