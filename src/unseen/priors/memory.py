"""Less memory for the same result: the VAE image by image or in tiles, idle networks elsewhere."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from unseen.core.errors import MissingDependencyError


def slice_vae(vae: Any, *, slicing: bool, tiling: bool) -> None:
    """Let diffusers' AutoencoderKL work image by image (`slicing`: same result) and on large images in overlapping
    tiles (`tiling`: seams are blended, colours may drift a little from tile to tile)."""
    (vae.enable_slicing if slicing else vae.disable_slicing)()
    (vae.enable_tiling if tiling else vae.disable_tiling)()


@contextmanager
def offloaded(
    components: Mapping[str, nn.Module], device: torch.device | str, home: torch.device | str = "cpu"
) -> Iterator[Offloading]:
    """Keep `components` at `home`; the one that computes is on `device`, and stays until another one has to.

    Inputs must be on `device`. Within the block weights are where they are; after it all are at `home`.

    Args:
        components: by name; no two share weights.
        device: where to compute.
        home: where idle ones wait.
    """
    offloading = Offloading(components, torch.device(device), torch.device(home))
    try:
        yield offloading
    finally:
        offloading.close()


class Offloading:
    """What `offloaded` yields. `resident` names the component on the computing device, None before the first call;
    `moves` counts transfers to it."""

    def __init__(self, components: Mapping[str, nn.Module], device: torch.device, home: torch.device) -> None:
        self.components, self.device, self.home = dict(components), device, home
        self.resident: str | None = None
        self.moves = 0
        self.handles = []
        for name, component in self.components.items():
            component.to(home)
            # children too: an autoencoder is used through encode() and decode(), which call those
            for module in (component, *component.children()):
                self.handles.append(module.register_forward_pre_hook(self._hook(name)))

    def fetch(self, name: str) -> nn.Module:
        """Bring a component to the computing device, send home the one that was there, and return it.

        Modules called as such come by themselves; this is for weights read in another way.
        """
        if self.resident != name:
            if self.resident is not None:
                self.components[self.resident].to(self.home)
            self.components[name].to(self.device)
            self.resident = name
            self.moves += 1
        return self.components[name]

    def close(self) -> None:
        """Send the last one home and let modules be called as before."""
        for handle in self.handles:
            handle.remove()
        if self.resident is not None:
            self.components[self.resident].to(self.home)
            self.resident = None

    def _hook(self, name: str) -> Any:
        def come(module: nn.Module, args: Any) -> None:
            self.fetch(name)

        return come


def compile_forward(network: nn.Module, *, mode: str | None = None) -> None:
    """Have torch compile the network's forward at its first call; names and weights stay.

    Compiled again for each new shape. Takes minutes for the full-size U-Net. Hooks of the network itself run outside of
    what is compiled; those of layers inside break it into pieces.

    Args:
        network: compiled in place.
        mode: of torch.compile, such as "max-autotune"; None is its default.

    Raises:
        MissingDependencyError: torch has no compiler to generate code with on the network's device.
    """
    kind = next((p.device.type for p in network.parameters()), "cpu")
    if kind == "cpu" and not any(shutil.which(c) for c in (os.environ.get("CXX", "g++"), "g++", "clang++")):
        raise MissingDependencyError("torch.compile needs a C++ compiler on the CPU: install g++, or do not compile")
    if kind == "cuda" and importlib.util.find_spec("triton") is None:
        raise MissingDependencyError("torch.compile needs triton on CUDA: pip install triton, or do not compile")
    network.forward = torch.compile(network.forward, mode=mode)  # type: ignore[method-assign]
