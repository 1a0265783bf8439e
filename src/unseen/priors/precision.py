"""Networks in bf16 or fp16, with what would suffer kept in float32."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from unseen.core.errors import InputError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_dtype(name: str) -> torch.dtype:
    """Turn `fp32`, `bf16` or `fp16` into a dtype.

    Raises:
        InputError: another name.
    """
    if name not in DTYPES:
        raise InputError(f"unknown precision {name!r}: expected {', '.join(DTYPES)}")
    return DTYPES[name]


def apply_precision(pipeline: Any, dtype: torch.dtype) -> None:
    """Cast the networks of a pipeline to `dtype`, in place, but for what is sensitive.

    In float32 stay: the softmax of attention (SDPA sums in float32 whatever it is fed; diffusers' other processors
    are told to), the time and camera embeddings of U-Nets from the sinusoids on, the VAE's last layer, whose output is
    then float32: bf16 would leave 8 bits for an image. So do weights whose names a module's `FLOAT32`, a regular
    expression, is found in; such modules see to their inputs. May be called again with another dtype.

    Args:
        pipeline: has networks (nn.Module) as attributes; a network does too.
        dtype: of parameters and, but for the exceptions, of what the networks compute.
    """
    for network in [pipeline] if isinstance(pipeline, nn.Module) else _networks_of(pipeline):
        wide = _sensitive_to_precision(network, dtype)
        kept = _named_in_float32(network)
        weights = [{k: v.clone() for k, v in part.module.state_dict().items()} for part in wide]
        network.to(dtype)
        for owner, name, exact_values in kept:
            _put(owner, name, exact_values)
        for part, exact in zip(wide, weights, strict=True):
            part.module.float().load_state_dict(exact)  # as they were, not as the cast has rounded them
            if part.output is not None:
                _in_float32(part.module, part.output, part.source)
        layers: list[Any] = [m for m in network.modules() if hasattr(m, "upcast_softmax")]
        for layer in layers:
            layer.upcast_softmax = True


@dataclass(frozen=True)
class _Wide:
    """A module that stays in float32: what it gives (None: as it comes), and what its input comes from."""

    module: nn.Module
    output: torch.dtype | None
    source: nn.Module | None = None


def _sensitive_to_precision(network: nn.Module, dtype: torch.dtype) -> list[_Wide]:
    found = []
    for name, module in network.named_modules():
        parts: Any = module
        if hasattr(module, "time_proj") and hasattr(module, "time_embedding"):
            found.append(_Wide(parts.time_proj, None))  # Fourier features have weights
            found.append(_Wide(parts.time_embedding, dtype, parts.time_proj))
            if parts.class_embedding is not None:
                found.append(_Wide(parts.class_embedding, dtype))  # that of the camera
        elif name == "decoder.conv_out" or name.endswith(".decoder.conv_out"):
            found.append(_Wide(module, torch.float32))
    return found


def _named_in_float32(network: nn.Module) -> list[tuple[nn.Module, str, Tensor]]:
    """Weights and buffers that modules keep by name: whose they are, their name there, their values."""
    found = []
    for module in network.modules():
        kept = getattr(module, "FLOAT32", "")
        named = [*module.named_parameters(), *module.named_buffers()] if kept else []
        for path, tensor in named:
            if tensor.is_floating_point() and re.search(kept, path):
                owner, _, name = path.rpartition(".")
                found.append((module.get_submodule(owner), name, tensor.data.float()))
    return found


def _put(owner: nn.Module, name: str, values: Tensor) -> None:
    """Give a weight or a buffer of a module these values and their precision."""
    if name in owner._parameters:
        getattr(owner, name).data = values
    else:
        setattr(owner, name, values)


def _networks_of(pipeline: Any) -> list[nn.Module]:
    return [value for value in vars(pipeline).values() if isinstance(value, nn.Module)]


def _in_float32(module: nn.Module, output: torch.dtype, source: nn.Module | None) -> None:
    """Have `module` compute in float32 and give `output`; `source`'s float32 output comes to it as it was, not as
    rounded by the caller in between."""
    for handle in getattr(module, "float32_hooks", ()):
        handle.remove()
    exact: list[Tensor] = []

    def remember(_: nn.Module, args: Any, result: Tensor) -> None:
        exact[:] = [result]

    def widen(_: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        if exact and args[0].shape == exact[0].shape:
            args = (exact.pop(), *args[1:])
        return tuple(a.float() if isinstance(a, Tensor) and a.is_floating_point() else a for a in args)

    def narrow(_: nn.Module, args: Any, result: Tensor) -> Tensor:
        return result.to(output)

    handles = [module.register_forward_pre_hook(widen), module.register_forward_hook(narrow)]
    if source is not None:
        handles.append(source.register_forward_hook(remember))
    module.float32_hooks = handles  # type: ignore[assignment]
