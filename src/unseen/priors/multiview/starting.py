"""Starting from published weights: Stable Diffusion 2.1, MVDream or ImageDream, in any layout they come in."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor, nn

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike
from unseen.priors.multiview.pipeline import MultiViewDiffusion
from unseen.priors.weights import KeyMismatchError, open_checkpoint, take_apart

CONV_IN = "conv_in.weight"
_LEFT_OUT = {"unet": r"class_embedding\..*", "image_encoder": r"visual_projection\..*"}
"""Weights GAF has no use for: its views are steered by normals, and its image tokens are not pooled."""


def start_from(model: MultiViewDiffusion, source: PathLike) -> dict[str, list[str]]:
    """Give a model's networks the weights a checkpoint holds of them, whatever its layout.

    Where normals join the latents, the first convolution's further input channels start at zero. A camera embedding
    that the model does not have is left out; the image tokens' keys and values keep their own start where the
    checkpoint has none.

    Args:
        model: changed in place.
        source: a file, an index of shards, or a folder (see `open_checkpoint`).

    Returns:
        Names of the weights that keep their own start, by network; networks the checkpoint lacks are not in it.

    Raises:
        InputError: no networks of this kind there.
        KeyMismatchError: a weight that is missing, unused or of another shape, named.
        FormatError: a damaged file.
    """
    parts = take_apart(open_checkpoint(Path(source)).tensors)
    targets: dict[str, nn.Module] = {
        "unet": model.unet.model, "vae": model.vae, "image_encoder": model.image_encoder, "resampler": model.resampler,
    }  # fmt: skip
    known = {name: found for name, found in parts.components.items() if name in targets}
    if not known:
        raise InputError(f"{source} holds {', '.join(parts.components) or 'no network'}: expected {', '.join(targets)}")
    own: dict[str, list[str]] = {}
    for name, component in known.items():
        given = component.in_diffusers()
        skipped = _LEFT_OUT.get(name, "")
        wanted = targets[name].state_dict()
        names = {n: _own_name(n, wanted) for n in given.entries}
        state = {names[n]: given.read(n) for n in names if names[n] in wanted or not re.fullmatch(skipped, names[n])}
        own[name] = _load(targets[name], state, f"{name} of {source}")
    return own


def _own_name(name: str, wanted: dict[str, Tensor]) -> str:
    """transformers writes a CLIP tower with a prefix that the module itself does not have."""
    bare = name.removeprefix("vision_model.")
    return bare if name not in wanted and bare in wanted else name


def _load(network: nn.Module, given: dict[str, Tensor], what: str) -> list[str]:
    wanted = network.state_dict()
    first = wanted.get(CONV_IN)
    if first is not None and CONV_IN in given and given[CONV_IN].shape[1] < first.shape[1]:
        padded = torch.zeros_like(first)
        padded[:, : given[CONV_IN].shape[1]] = given[CONV_IN]
        given[CONV_IN] = padded
    own = [n for n in wanted if n not in given and "_ip." in n]
    missing = [n for n in wanted if n not in given and n not in own]
    unused = [n for n in given if n not in wanted]
    odd = {
        n: (tuple(given[n].shape), tuple(wanted[n].shape))
        for n in given
        if n in wanted and given[n].shape != wanted[n].shape
    }
    if missing or unused or odd:
        raise KeyMismatchError(what, missing, unused, odd)
    network.load_state_dict({n: t.to(wanted[n].dtype) for n, t in given.items()}, strict=False)
    return own
