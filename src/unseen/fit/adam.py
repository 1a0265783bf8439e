"""Adam for splats: one fused pass over a tensor, with step sizes that may differ from splat to splat."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import ShapeError
from unseen.render.cpu.runtime import run
from unseen.render.cpu.simd import (
    WIDTH,
    fma,
    inner,
    kernel,
    load,
    load1,
    select,
    splat,
    sqrt,
    store1,
    take_ticket,
)

_SPAN = 256
"""Rows per work item, a multiple of the vector width."""
_F = np.float32


class SelectiveAdam(torch.optim.Optimizer):
    """Adam (Kingma and Ba 2015, algorithm 1) that leaves alone the rows it is told to.

    A row is an index of a tensor's first axis: a splat. `step` takes a factor >= 0 per row; rows of factor 0 keep their
    values and moments, as in torch's SparseAdam, the others' steps are multiplied by it. With splats that were not
    seen left out, a step costs what is seen, and what is not seen does not drift on old momentum.

    Float32 CPU tensors take a compiled kernel, everything else plain torch. State and its names are those of
    `torch.optim.Adam`.

    Args:
        params: tensors, or groups with an own `lr`; a group's optional `name` is how `step` refers to it, its optional
            `columns`, shaped like a row, multiplies the step of each of a row's numbers.
        lr: step size.
        betas: decay of the two moments.
        eps: added to the root of the second moment.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-15,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "name": "", "columns": None})

    @torch.no_grad()
    def step(  # type: ignore[override]
        self, closure: Callable[[], Any] | None = None, factors: Mapping[str, Float[Tensor, "N"]] | None = None
    ) -> None:
        """Update every tensor that has a gradient.

        Args:
            closure: not supported.
            factors: per group name a factor per row; a group left out moves as a whole.

        Raises:
            ShapeError: a factor per row is missing or one too many.
        """
        if closure is not None:
            raise ValueError("SelectiveAdam takes no closure")
        for group in self.param_groups:
            factor = (factors or {}).get(group["name"])
            for tensor in group["params"]:
                if tensor.grad is not None:
                    self._update(tensor, tensor.grad, group, factor)

    def _update(self, tensor: Tensor, grad: Tensor, group: dict[str, Any], factor: Tensor | None) -> None:
        if factor is not None and factor.shape != tensor.shape[:1]:
            raise ShapeError(f"factors have shape {tuple(factor.shape)}, expected one per row of {tuple(tensor.shape)}")
        state = self.state[tensor]
        if not state:
            state["step"] = torch.tensor(0.0)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(tensor), torch.zeros_like(tensor)
        state["step"] += 1
        t, (beta1, beta2) = float(state["step"]), group["betas"]
        rate, correction = group["lr"] / (1 - beta1**t), (1 - beta2**t) ** -0.5
        moments = state["exp_avg"], state["exp_avg_sq"]
        tensors = (tensor, grad.contiguous(), *moments)
        if all(x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous() for x in tensors):
            flat = [x.detach().reshape(-1).numpy() for x in tensors]
            rows, columns = (
                np.zeros(0, np.float32) if x is None else x.detach().float().reshape(-1).numpy()
                for x in (factor, group["columns"])
            )
            width = tensor[0].numel() if len(tensor) else 1
            run(
                _adam,
                *flat,
                rows,
                columns,
                width,
                float(beta1),
                float(beta2),
                float(rate),
                float(correction),
                group["eps"],
            )
        else:
            rate = rate if group["columns"] is None else rate * group["columns"].to(tensor)
            _adam_in_torch(*tensors, factor, beta1, beta2, rate, correction, group["eps"])


def _adam_in_torch(tensor, grad, mean, square, factor, beta1, beta2, rate, correction, eps) -> None:
    """The kernel's update in plain torch."""
    new_mean, new_square = mean.lerp(grad, 1 - beta1), square.lerp(grad * grad, 1 - beta2)
    step = rate * new_mean / (new_square.sqrt() * correction + eps)
    if factor is None:
        tensor -= step
        mean.copy_(new_mean)
        square.copy_(new_square)
        return
    share = factor.to(tensor).reshape(-1, *[1] * (tensor.ndim - 1))
    tensor -= share * step
    mean.copy_(torch.where(share > 0, new_mean, mean))
    square.copy_(torch.where(share > 0, new_square, square))


@inner
def _moved(value, grad, mean, square, factor, b1, b2, rate, correction, eps):
    """New value and moments of 16 numbers; those of factor 0 stay."""
    moves = factor > splat(_F(0))
    new_mean = fma(splat(_F(1) - b1), grad - mean, mean)
    new_square = fma(splat(_F(1) - b2), grad * grad - square, square)
    step = splat(rate) * factor * new_mean / fma(sqrt(new_square), splat(correction), splat(eps))
    return select(moves, value - step, value), select(moves, new_mean, mean), select(moves, new_square, square)


@kernel
def _adam(counter, values, grads, means, squares, factors, columns, width, beta1, beta2, rate, correction, eps):
    """One step of a flat tensor whose rows have `width` numbers; no `factors` and no `columns` stand for ones. A work
    item is a span of rows."""
    rows = values.shape[0] // width
    b1, b2, rate, correction, eps = _F(beta1), _F(beta2), _F(rate), _F(correction), _F(eps)
    spread = np.ones(max(WIDTH * WIDTH, width + WIDTH), np.float32)
    spread_for = _F(0)
    by_row = columns.shape[0] > 0 or width > WIDTH
    while True:
        start = take_ticket(counter) * _SPAN
        if start >= rows:
            break
        stop = min(start + _SPAN, rows)
        if factors.shape[0] == 0 and columns.shape[0] == 0:
            _range(values, grads, means, squares, start * width, stop * width, spread, 0, b1, b2, rate, correction, eps)
        elif by_row:
            for row in range(start, stop):
                factor = factors[row] if factors.shape[0] > 0 else _F(1)
                if factor > 0:
                    if factor != spread_for:
                        for j in range(width):
                            spread[j] = factor * columns[j] if columns.shape[0] > 0 else factor
                        spread_for = factor
                    at = row * width
                    _range(values, grads, means, squares, at, at + width, spread, WIDTH, b1, b2, rate, correction, eps)
        else:
            for row in range(start, stop, WIDTH):
                last = min(row + WIDTH, stop)
                if _spread(factors, row, last, width, spread):
                    _range(
                        values, grads, means, squares, row * width, last * width, spread, WIDTH, b1, b2, rate,
                        correction, eps,
                    )  # fmt: skip


@inner
def _spread(factors, row, last, width, spread):
    """Repeat the factors of up to 16 rows for each of their numbers; whether any is not 0."""
    some = False
    for i in range(last - row):
        factor = factors[row + i]
        some |= factor > 0
        for j in range(width):
            spread[i * width + j] = factor
    return some


@inner
def _range(values, grads, means, squares, start, stop, spread, advance, b1, b2, rate, correction, eps):
    """Update numbers `start` to `stop`; their factors are in `spread`, `advance` further for every 16."""
    place = 0
    for at in range(start, stop, WIDTH):
        count = min(WIDTH, stop - at)
        value, grad, mean, square = (
            load1(values, at, count)[0], load1(grads, at, count)[0], load1(means, at, count)[0],
            load1(squares, at, count)[0],
        )  # fmt: skip
        new = _moved(value, grad, mean, square, load(spread, place), b1, b2, rate, correction, eps)
        store1(values, at, count, (new[0],))
        store1(means, at, count, (new[1],))
        store1(squares, at, count, (new[2],))
        place += advance
