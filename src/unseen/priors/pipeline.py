"""What the pipelines of priors share: networks by name, moved and cast together, kept in folders as diffusers does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

import torch
from torch import nn

from unseen.io.atomic import PathLike, make_folder, write_bytes, write_json
from unseen.priors.architecture import Architecture
from unseen.priors.loading import INDEX, load_strictly
from unseen.priors.memory import Offloading, offloaded
from unseen.priors.precision import apply_precision

WEIGHTS = "diffusion_pytorch_model.safetensors"
P = TypeVar("P", bound="Pipeline")
K = TypeVar("K", bound="KeptPipeline")


class Pipeline(ABC):
    """Networks that work together.

    Attributes:
        device: where they compute; inputs are brought there.
    """

    device: torch.device = torch.device("cpu")

    @abstractmethod
    def modules(self) -> dict[str, nn.Module]:
        """The networks by the names of their folders."""

    def travelling(self) -> dict[str, nn.Module]:
        """Those that go where the pipeline computes."""
        return self.modules()

    def to(self: P, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> P:
        """Move or cast all networks, in place; what lower precision would harm stays in float32."""
        for module in self.modules().values():
            if dtype is not None:
                apply_precision(module, dtype)
        for module in self.travelling().values():
            if device is not None:
                module.to(device)
        self.device = self.device if device is None else torch.device(device)
        return self

    @contextmanager
    def offloaded(self, device: torch.device | str) -> Iterator[Offloading]:
        """Within the block compute on `device`, where only the network at work is; the others wait where they are."""
        home = self.device
        self.device = torch.device(device)
        try:
            with offloaded(self.travelling(), device, home) as offloading:
                yield offloading
        finally:
            self.device = home


class KeptPipeline(Pipeline):
    """One that is kept in folders of our own.

    Attributes:
        kind: what its folders say they hold.
        config: what it is made of.
    """

    kind: ClassVar[str]
    config: Architecture

    def components(self) -> dict[str, nn.Module]:
        """Those that folders hold in this class's own way."""
        return self.modules()

    def unused(self, part: str) -> tuple[str, ...]:
        """Beginnings of the names of a network's weights that are not kept in folders."""
        return ()

    def save_pretrained(self, folder: PathLike, dtype: torch.dtype | None = None) -> None:
        """Write a folder that `from_pretrained` reads: a sub-folder per network, laid out as diffusers does.

        Args:
            folder: made if absent.
            dtype: weights are kept in it; their own when None.

        Raises:
            ResourceError: the machine refuses a write.
        """
        place = make_folder(folder)
        for part, module in self.components().items():
            save_weights(place / part, module, dtype, self.unused(part))
        write_json(place / INDEX, {"_class_name": self.kind, **self.config.as_dict()})

    def fill(self: K, folder: Path) -> K:
        """Take the weights of a folder that `save_pretrained` wrote; the networks are for use then, not for training.

        Raises:
            InputError: weights are not there.
            FormatError: a damaged file, or weights that do not fit, named.
        """
        for part, module in self.components().items():
            load_strictly(module, folder / part / WEIGHTS)
            module.requires_grad_(False).eval()
        return self


def save_weights(folder: Path, module: nn.Module, dtype: torch.dtype | None, unused: tuple[str, ...] = ()) -> None:
    """Write a network's weights into a folder of its own.

    Args:
        folder: made if absent.
        module: the network.
        dtype: weights are kept in it; their own when None.
        unused: beginnings of names that are left out.

    Raises:
        ResourceError: the machine refuses the write.
    """
    from safetensors.torch import save

    own = {k: v for k, v in module.state_dict().items() if not k.startswith(unused)}
    state = {k: v.detach().cpu().to(dtype).contiguous() for k, v in own.items()}
    write_bytes(make_folder(folder) / WEIGHTS, save(state))
