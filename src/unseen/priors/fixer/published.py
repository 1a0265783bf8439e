"""VARSR and GS-VAR as published: torch files, one that holds both networks, or one for each.

Every file keeps its networks under `trainer`: the transformer as `var_wo_ddp`, the VQ-VAE as `vae_local`. GS-VAR's
second stage leaves both in one file; its first stage does too, but with a bridge that has not been trained, which is
left out here; VARSR has two files and no bridge. Where the transformer was tuned by low-rank updates alone (LoRA), they
are added to the weights of a file named before. Files are memory-mapped, nothing in them is executed, and weights are
cast one by one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from unseen.core.errors import FormatError, InputError
from unseen.priors.fixer.config import FixerConfig
from unseen.priors.fixer.pipeline import FixerPipeline
from unseen.priors.fixer.transformer import FixerTransformer
from unseen.priors.fixer.vqvae import BRIDGE, VQVAE
from unseen.priors.unfilled import filled, without_memory
from unseen.priors.weights.tensors import Entry, InMemory, Tensors
from unseen.priors.weights.torch_files import load_plain

TRAINER, TRANSFORMER, CODEC = "trainer", "var_wo_ddp", "vae_local"
FIRST_STAGE = "var_opt"
"""The optimiser's state of GS-VAR's first stage, which does not train the bridge."""
MASK = "attn_bias_for_masking"
"""VARSR keeps its attention mask among its weights; here it follows from the scales."""
LORA = re.compile(r"(.*)\.lora_([AB])")
LORA_SCALE = 2.0
"""alpha / rank: 32 / 16."""
LORA_PARTS = {2: (0, 2), 3: (0, 1, 2)}
"""Which of queries, keys and values are tuned, by their number: "qv" or all."""
SUFFIX = "*.pth"


@dataclass
class Found:
    """What files hold.

    Attributes:
        transformer, codec, lora: tensors by their published names.
        bridge: whether that of the codec has been trained.
        patch_nums: sides of the token maps, where a file says so.
    """

    transformer: dict[str, Tensor] = field(default_factory=dict)
    codec: dict[str, Tensor] = field(default_factory=dict)
    lora: dict[str, Tensor] = field(default_factory=dict)
    bridge: bool = False
    patch_nums: tuple[int, ...] | None = None


def open_published(
    names: str, dtype: torch.dtype = torch.bfloat16, *, config: FixerConfig | None = None
) -> FixerPipeline:
    """VARSR or GS-VAR from its files.

    Args:
        names: a file, several of them separated by commas, the later ones replacing what the former hold, or a folder
            with .pth files.
        dtype: of most of the transformer's weights; what it would harm stays in float32.
        config: its sizes; those of the published models when None.

    Raises:
        InputError: no such file, a network that none of them holds, or one trained for other scales.
        KeyMismatchError: weights that are missing, unused or of another shape, named.
        FormatError: a damaged file, or one that holds more than tensors and plain values.
    """
    config = config or FixerConfig.named("varsr")
    found = Found()
    for path in _files(names):
        _take(found, path)
    if found.patch_nums not in (None, config.patch_nums):
        raise InputError(f"{names} was trained for scales {found.patch_nums}: expected {config.patch_nums}")
    for what, tensors in {TRANSFORMER: found.transformer, CODEC: found.codec}.items():
        if not tensors:
            raise InputError(f"none of {names} holds {TRAINER}/{what}: name the files of both, separated by a comma")
    config = replace(config, vqvae=config.vqvae | {"bridge": found.bridge})
    return FixerPipeline(config, _codec(found, config, names), _transformer(found, config, dtype, names))


def _files(names: str) -> Sequence[Path]:
    folder = Path(names)
    if folder.is_dir():
        files = sorted(folder.glob(SUFFIX))
        if not files:
            raise InputError(f"no {SUFFIX} in {folder}: expected the files of VARSR or GS-VAR")
        return files
    return [Path(name.strip()) for name in names.split(",")]


def _take(found: Found, path: Path) -> None:
    """Add what one file holds; raises FormatError if it is none of these."""
    trainer = load_plain(path).get(TRAINER)
    if not isinstance(trainer, Mapping) or not any(isinstance(trainer.get(k), Mapping) for k in (TRANSFORMER, CODEC)):
        raise FormatError(
            f"{path} is no file of VARSR or GS-VAR: expected {TRAINER}/{TRANSFORMER} or {TRAINER}/{CODEC}"
        )
    for name, tensor in _tensors(trainer, TRANSFORMER, path).items():
        place = found.lora if LORA.fullmatch(name) else found.transformer
        if name != MASK:
            place[name] = tensor
    codec = _tensors(trainer, CODEC, path)
    has_bridge = any(BRIDGE in name for name in codec)
    if has_bridge and FIRST_STAGE in trainer:  # never trained: noise
        codec, has_bridge = {name: t for name, t in codec.items() if BRIDGE not in name}, False
    if codec:
        found.codec, found.bridge = codec, has_bridge
    settings = trainer.get("config")
    if isinstance(settings, Mapping) and settings.get("patch_nums") is not None:
        found.patch_nums = tuple(settings["patch_nums"])


def _tensors(trainer: Mapping[str, Any], name: str, path: Path) -> dict[str, Tensor]:
    part = trainer.get(name) or {}
    others = [str(k) for k, v in part.items() if not isinstance(v, Tensor)]
    if others:
        raise FormatError(
            f"{path} holds {others[0]} under {TRAINER}/{name}, which is no tensor: save the tensors alone"
        )
    return dict(part)


def _codec(found: Found, config: FixerConfig, names: str) -> VQVAE:
    with without_memory():
        network = VQVAE(config)
    codec: VQVAE = filled(network, InMemory(found.codec), torch.float32, f"{CODEC} of {names}")
    return codec


def _transformer(found: Found, config: FixerConfig, dtype: torch.dtype, names: str) -> FixerTransformer:
    with without_memory():
        network = FixerTransformer(config)
    tensors: Tensors = InMemory(found.transformer)
    if found.lora:
        tensors = Tuned(tensors, InMemory(found.lora))
    transformer: FixerTransformer = filled(network, tensors, dtype, f"{TRANSFORMER} of {names}")
    return transformer


@dataclass(frozen=True)
class Tuned:
    """Weights with low-rank updates added as they are read.

    Attributes:
        source: the weights.
        updates: `NAME.lora_A` and `NAME.lora_B` for the weight `NAME.weight`; of several matrices stacked in one, some
            are tuned.

    Raises:
        InputError: updates of weights that are not there.
    """

    source: Tensors
    updates: Tensors

    def __post_init__(self) -> None:
        layers = {match[1] for name in self.updates.entries if (match := LORA.fullmatch(name))}
        without = sorted(layer for layer in layers if f"{layer}.weight" not in self.source.entries)
        if without:
            raise InputError(
                f"low-rank updates of {len(without)} layers, {without[0]} first, whose weights are not there: name the "
                "file they were made for before that of the updates, separated by a comma"
            )

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Shape and dtype by name."""
        return self.source.entries

    def read(self, name: str) -> Tensor:
        """One tensor."""
        weight, layer = self.source.read(name), name.removesuffix(".weight")
        if f"{layer}.lora_A" not in self.updates.entries:
            return weight
        down, up = (self.updates.read(f"{layer}.lora_{side}").float() for side in "AB")
        tuned = weight.float().clone()
        for rows, update in _rows(down, up, weight.shape):
            tuned[rows] += LORA_SCALE * update
        return tuned


def _rows(down: Tensor, up: Tensor, shape: Sequence[int]) -> list[tuple[slice, Tensor]]:
    """Rows of a weight and what is added to them, from the update's two factors."""
    rank = up.shape[1]
    parts = len(down) // max(rank, 1)
    if parts == 1 and len(up) == shape[0]:
        return [(slice(None), up @ down)]
    third = shape[0] // 3
    if parts not in LORA_PARTS or len(up) != parts * third or len(down) != parts * rank:
        raise FormatError(
            f"a low-rank update of {list(up.shape)} by {list(down.shape)} does not fit a weight of {list(shape)}"
        )
    factors = zip(LORA_PARTS[parts], up.split(third), down.split(rank), strict=True)
    return [(slice(at * third, (at + 1) * third), u @ d) for at, u, d in factors]
