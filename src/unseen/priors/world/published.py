"""FlashWorld as published: its checkpoint beside the parts of Wan 2.2 it is used with.

`model.ckpt` is a pickle with the state dicts `transformer` and `recon_decoder`; nothing in it is executed. It is
memory-mapped and cast tensor by tensor onto networks that have no memory of their own before. Of Wan's repository the
autoencoder, the text encoder and the tokenizer are fetched: not the transformer, all of whose weights the checkpoint
brings; and of the autoencoder only the encoder is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike
from unseen.priors.eight_bit import Kind, store_in_eight_bits
from unseen.priors.hub import model_folder
from unseen.priors.unfilled import filled, without_memory
from unseen.priors.weights import open_checkpoint
from unseen.priors.weights.tensors import Entry, Shape, Tensors, renamed
from unseen.priors.world.config import WorldConfig
from unseen.priors.world.decoder import GaussianDecoder
from unseen.priors.world.frames import last_taps
from unseen.priors.world.pipeline import WorldPipeline
from unseen.priors.world.text import published_text_encoder
from unseen.priors.world.transformer import WorldTransformer
from unseen.priors.world.vae import ImageCodec

CHECKPOINT = "model.ckpt"
WAN = "Wan-AI/Wan2.2-TI2V-5B-Diffusers"
WAN_PARTS = ("vae", "text_encoder", "tokenizer")
_VIDEO_ONLY = r"decoder\.|post_quant_conv\.|.*\.time_conv\."
"""Weights of Wan's autoencoder that encoding single frames does not need."""
OUTSIDE_BLOCKS = r"^(?!blocks\.)"
"""Layers of the transformer that keep their weights where those of its blocks are in eight bits."""


def open_published(
    name: PathLike, dtype: torch.dtype = torch.bfloat16, *, weights: Kind | None = None, keep_text: bool = True,
    config: WorldConfig | None = None,
) -> WorldPipeline:  # fmt: skip
    """FlashWorld from its repository, or from a folder with `model.ckpt`; Wan's parts are taken from the same folder
    where they are there.

    Args:
        name: of the repository or folder.
        dtype: of most weights; what it would harm stays in float32.
        weights: keep those of the transformer's blocks in eight bits.
        keep_text: keep the text encoder in memory, or load it for every prompt anew.
        config: its sizes; those of the published model when None.

    Raises:
        InputError: no such repository or file.
        KeyMismatchError: weights that are missing, unused or of another shape, named.
        FormatError: a damaged file, or one that holds more than tensors.
        ResourceError: it is not on this machine and cannot be fetched.
    """
    config = config or WorldConfig.named("flashworld")
    folder = model_folder(name, [CHECKPOINT])
    checkpoint = folder / CHECKPOINT
    if not checkpoint.is_file():
        raise InputError(f"no world model in {folder}: expected {CHECKPOINT}, or a folder that save_pretrained wrote")
    wan = folder
    if not all((folder / part).is_dir() for part in WAN_PARTS):
        wan = model_folder(WAN, [f"{part}/*" for part in WAN_PARTS])
    transformer = open_transformer(checkpoint, config, dtype)
    if weights is not None:
        store_in_eight_bits(transformer.model, weights, keep=OUTSIDE_BLOCKS)
    return WorldPipeline(
        config,
        published_text_encoder(wan, _for_text(dtype), config.text["length"], keep_text),
        open_codec(wan / "vae", config, dtype),
        transformer,
        open_decoder(checkpoint, config, dtype),
    )


def _for_text(dtype: torch.dtype) -> torch.dtype:
    """UMT5 was trained in bf16, and its numbers outgrow fp16."""
    return torch.bfloat16 if dtype == torch.float16 else dtype


def open_transformer(checkpoint: Path, config: WorldConfig, dtype: torch.dtype) -> WorldTransformer:
    """The transformer of a checkpoint; errors as `open_published`."""
    with without_memory():
        network = WorldTransformer(config.transformer, config.features)
    tensors = open_checkpoint(checkpoint, "transformer").tensors
    prefixed = renamed(tensors, lambda name: f"model.{name}")
    return filled(network, prefixed, dtype, f"transformer of {checkpoint}")


def open_decoder(checkpoint: Path, config: WorldConfig, dtype: torch.dtype) -> GaussianDecoder:
    """The decoder of Gaussians of a checkpoint; errors as `open_published`."""
    with without_memory():
        network = GaussianDecoder(config.decoder, config.features, config.points, config.sh_degree)
    tensors = open_checkpoint(checkpoint, "recon_decoder").tensors
    return filled(network, OnFrames(tensors), dtype, f"recon_decoder of {checkpoint}")


def open_codec(path: Path, config: WorldConfig, dtype: torch.dtype) -> ImageCodec:
    """The encoder of Wan's autoencoder, from its folder or file; errors as `open_published`."""
    with without_memory():
        network = ImageCodec(config.vae)
    tensors = renamed(open_checkpoint(path).tensors, lambda name: None if re.match(_VIDEO_ONLY, name) else name)
    own = {"latents_mean", "latents_std"}  # they are the configuration's
    return filled(network, OnFrames(tensors), dtype, f"autoencoder of {path}", own)


@dataclass(frozen=True)
class OnFrames:
    """Weights of a video network as it has them on single frames (see `reduce_to_frames`)."""

    source: Tensors

    @property
    def entries(self) -> Mapping[str, Entry]:
        """Shape and dtype by name."""
        return {name: Entry(_on_frames(entry.shape), entry.dtype) for name, entry in self.source.entries.items()}

    def read(self, name: str) -> Tensor:
        """One tensor."""
        return last_taps(self.source.read(name))


def _on_frames(shape: Shape) -> Shape:
    return shape[:2] + shape[3:] if len(shape) == 5 else shape
