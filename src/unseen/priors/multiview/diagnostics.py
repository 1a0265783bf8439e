"""Looking into the networks while they run: where a NaN comes from, what attention attends to, how a picture forms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from unseen.core.errors import InputError, NonFiniteError
from unseen.io.atomic import PathLike, make_folder
from unseen.io.images import write_image
from unseen.priors.multiview.attention import FrameAttention, ImageTokenAttention

# ---- NaN and infinity


class LayerNonFiniteError(NonFiniteError):
    """A layer gave NaN or infinity.

    Attributes:
        layer: its name, that of the network first.
        inputs, outputs: least and greatest finite value; None when there is none.
    """

    def __init__(self, layer: str, kind: str, inputs: list[Tensor], outputs: list[Tensor], weights: list[Tensor]):
        self.layer, self.inputs, self.outputs = layer, _range(inputs), _range(outputs)
        wrong = sum(int((~t.isfinite()).sum()) for t in outputs)
        total = sum(t.numel() for t in outputs)
        cause = "reduce the guidance or compute in bf16 or float32: the layer overflows"
        if not _finite(inputs):
            cause = "its input holds such values already: look at what the network is fed"
        elif not _finite(weights):
            cause = "its weights hold such values: load or train them anew"
        super().__init__(
            f"layer {layer} ({kind}, {outputs[0].dtype}) gave {wrong} NaN or infinite values of {total}; "
            f"finite inputs lie in {_words(self.inputs)}, finite outputs in {_words(self.outputs)}; {cause}"
        )


@contextmanager
def nonfinite_guard(networks: Mapping[str, nn.Module]) -> Iterator[None]:
    """While the block runs, the first layer whose output holds NaN or infinity raises LayerNonFiniteError.

    The innermost layer is named. Reads every output: slow on a GPU, and not for compiled networks.

    Args:
        networks: by name.
    """

    def check(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], keywords: dict[str, Any], result: Any) -> None:
            outputs = list(_tensors(result))
            if not _finite(outputs):
                inputs = [*_tensors(args), *_tensors(keywords)]
                weights = [p.detach() for p in module.parameters()]
                raise LayerNonFiniteError(name, type(module).__name__, inputs, outputs, weights)

        return hook

    handles = [
        module.register_forward_hook(check(".".join(filter(None, (name, path)))), with_kwargs=True)
        for name, network in networks.items()
        for path, module in network.named_modules()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> Iterator[Tensor]:
    """All floating-point tensors in nested containers (outputs of diffusers are mappings)."""
    if isinstance(value, Tensor):
        if value.is_floating_point():
            yield value.detach()
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, (tuple, list)):
        for part in value:
            yield from _tensors(part)


def _finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(t.isfinite().all()) for t in tensors)


def _range(tensors: Iterable[Tensor]) -> tuple[float, float] | None:
    parts = [finite for t in tensors if (finite := t[t.isfinite()]).numel()]
    return (min(float(p.min()) for p in parts), max(float(p.max()) for p in parts)) if parts else None


def _words(bounds: tuple[float, float] | None) -> str:
    return "nothing" if bounds is None else f"[{bounds[0]:.4g}, {bounds[1]:.4g}]"


# ---- attention


class AttentionMaps:
    """Attention probabilities of layers, mean over samples, heads and calls. A `Recorder` of attention processors.

    Args:
        layers: regular expression searched in the names of layers; others are passed over.
        side: long rows of queries and keys are averaged down to at most this many of each, to bound memory.

    Attributes:
        maps: by layer, [queries, keys], float32 on the CPU. Entries of a row are means over keys, so they sum to the
            number of keys here over the number attended.
    """

    def __init__(self, layers: str = "", side: int = 512) -> None:
        self.layers, self.side = re.compile(layers), side
        self.maps: dict[str, Tensor] = {}
        self._calls: dict[str, int] = {}

    @torch.no_grad()
    def __call__(self, name: str, query: Float[Tensor, "N H Q D"], key: Float[Tensor, "N H K D"]) -> None:
        """Take in what a layer attends with."""
        if not self.layers.search(name):
            return
        rows = [self._row_block(part, key) for part in query.split(self._stride(query.shape[2]), dim=2)]
        new = torch.cat(rows, 0).cpu()
        calls = self._calls.get(name, 0)
        if calls and self.maps[name].shape != new.shape:
            raise InputError(
                f"layer {name} attended {tuple(new.shape)} after {tuple(self.maps[name].shape)}: "
                "record runs of one size apart"
            )
        self.maps[name] = new if not calls else self.maps[name] + (new - self.maps[name]) / (calls + 1)
        self._calls[name] = calls + 1

    def _stride(self, count: int) -> int:
        return -(-count // self.side)

    def _row_block(self, query: Tensor, key: Tensor) -> Float[Tensor, "1 k"]:
        """One row: queries that fall together, keys averaged."""
        scores = query.float() @ key.float().mT / query.shape[-1] ** 0.5
        row = scores.softmax(-1).mean((0, 1, 2))[None, None]
        return F.avg_pool1d(row, self._stride(key.shape[2]), ceil_mode=True)[0]

    def save(self, folder: PathLike) -> list[str]:
        """Write a grey PNG per layer: queries down, keys across, its greatest value white. Returns the names."""
        place = make_folder(folder)
        for name, values in self.maps.items():
            write_image(place / f"{name}.png", values / values.max().clamp_min(1e-12))
        return [f"{name}.png" for name in self.maps]


@contextmanager
def recording(network: nn.Module, recorder: Callable[[str, Tensor, Tensor], None]) -> Iterator[None]:
    """Have the attention processors of a multi-view network tell `recorder` while the block runs.

    Raises:
        InputError: the network has none of this package's processors.
    """
    processors: list[Any] = [
        layer.processor
        for layer in network.modules()
        if isinstance(getattr(layer, "processor", None), (FrameAttention, ImageTokenAttention))
    ]
    if not processors:
        raise InputError(f"{type(network).__name__} has no attention that can be recorded: expected a MultiViewUNet")
    for processor in processors:
        processor.recorder = recorder
    try:
        yield
    finally:
        for processor in processors:
            processor.recorder = None


# ---- denoising


class DenoisingStrip:
    """How views form: what the clean views were believed to be at some steps. An `on_step` of samplers.

    Args:
        decode: from latents [V, 4, h, w] to images [V, S, S, 3] in [0, 1].
        columns: steps shown, evenly chosen, the last among them.
    """

    def __init__(self, decode: Callable[[Tensor], Tensor], columns: int = 8) -> None:
        if columns < 1:
            raise InputError(f"a strip of {columns} columns asked for, expected at least 1")
        self.decode, self.columns = decode, columns
        self.previews: list[Float[Tensor, "V S S 3"]] = []

    def __call__(self, step: int, total: int, latents: Float[Tensor, "V 4 h w"]) -> None:
        """Take in a step, counted from 0, of `total`."""
        shown = min(self.columns, total)
        if step in {total - 1 - total * k // shown for k in range(shown)}:
            self.previews.append(self.decode(latents).detach().float().cpu())

    def image(self) -> Float[Tensor, "H W 3"]:
        """Views down, steps across.

        Raises:
            InputError: no step was taken in.
        """
        if not self.previews:
            raise InputError("no denoising step was recorded: pass the strip to a sampler as on_step")
        return torch.cat([step.flatten(0, 1) for step in self.previews], 1)

    def save(self, path: PathLike) -> None:
        """Write the strip as a picture.

        Raises:
            InputError: no step was taken in, or an unknown kind of picture.
            ResourceError: the file cannot be written.
        """
        write_image(path, self.image())
