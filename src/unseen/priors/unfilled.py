"""Large networks built without memory, and filled tensor by tensor: from a checkpoint, strictly, or with noise."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from unseen.priors.weights.links import check
from unseen.priors.weights.tensors import Tensors, shapes_of

_NOISE = 0.02


@contextmanager
def without_memory() -> Iterator[None]:
    """Networks built in the block have parameters without memory (on the meta device); buffers are as ever."""
    from accelerate import init_empty_weights

    with init_empty_weights(include_buffers=False):
        yield


def filled(network: Any, tensors: Tensors, dtype: torch.dtype, what: str, own: Collection[str] = ()) -> Any:
    """The network with a checkpoint's weights, each cast as it is read; for inference.

    Args:
        network: built `without_memory`; weights whose names its `FLOAT32`, a regular expression, is found in stay in
            float32.
        tensors: of the checkpoint: no more and no less than the network has.
        dtype: of the other weights; integers stay as they are.
        what: names the network in errors.
        own: names of buffers that are not the checkpoint's to fill.

    Raises:
        KeyMismatchError: weights that are missing, unused or of another shape, named.
    """
    wanted = {name: tuple(t.shape) for name, t in network.state_dict().items() if name not in own}
    check(shapes_of(tensors), wanted, what)
    for name in wanted:
        values = tensors.read(name)
        kept = _precision(network, name, dtype) if values.is_floating_point() else values.dtype
        values = values.to(kept, copy=True)
        _put(network, name, values.contiguous())
    return network.requires_grad_(False).eval()


def fill_randomly(network: Any, dtype: torch.dtype) -> None:
    """Give a network built `without_memory` small random weights, in the precisions it would be loaded in: to measure
    with."""
    for name, parameter in network.named_parameters():
        values = torch.empty(parameter.shape, dtype=_precision(network, name, dtype))
        _put(network, name, values.uniform_(-_NOISE, _NOISE))
    network.requires_grad_(False).eval()


def _precision(network: Any, name: str, dtype: torch.dtype) -> torch.dtype:
    return torch.float32 if re.search(network.FLOAT32, name) else dtype


def _put(network: nn.Module, name: str, values: Tensor) -> None:
    owner, _, last = name.rpartition(".")
    module = network.get_submodule(owner)
    setattr(module, last, nn.Parameter(values, requires_grad=False) if last in module._parameters else values)
