"""Difix as published: diffusers' folders with the autoencoder's adapters unfolded, or the pickle of a training run.

A run's pickle holds the whole U-Net and, of the autoencoder, adapters and skips alone: the rest is SD-Turbo's. Nothing
in it is executed, and no program that a repository brings is run. The text encoder reads one prompt and is let go.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unseen.core.errors import InputError
from unseen.io.atomic import PathLike
from unseen.priors.fixer.difix.config import DifixConfig, sd_turbo
from unseen.priors.fixer.difix.unet import mixing_unet
from unseen.priors.fixer.difix.vae import SKIPS, SkipVAE
from unseen.priors.hub import model_folder
from unseen.priors.loading import as_format_error, read_object
from unseen.priors.unfilled import without_memory
from unseen.priors.weights.checkpoint import open_checkpoint
from unseen.priors.weights.components import Component
from unseen.priors.weights.links import check
from unseen.priors.weights.low_rank import Folded
from unseen.priors.weights.modules import load
from unseen.priors.weights.networks import recognise
from unseen.priors.weights.tensors import Joined, Tensors, renamed, shapes_of
from unseen.priors.weights.torch_files import open_torch_file

PROMPT = "remove degradation"
"""What Difix was trained with, and nothing else."""
SD_TURBO = "stabilityai/sd-turbo"
PICKLE = ".pkl"
_WEIGHTS = "diffusion_pytorch_model.safetensors"
_SHARED = ("tokenizer/*", "text_encoder/config.json", "text_encoder/model.safetensors", "scheduler/*", "*/config.json")
_IN_FOLDER = (*_SHARED, f"vae/{_WEIGHTS}", f"unet/{_WEIGHTS}")
_OF_BASE = (*_SHARED, f"vae/{_WEIGHTS}")
_UNET, _VAE = "state_dict_unet", "state_dict_vae"
_OWN_OF_VAE = ("lora_rank", "gamma", "ignore_skip")
"""What Difix adds to the configuration of AutoencoderKL."""


def open_difix(name: PathLike, base: PathLike | None = None) -> tuple[DifixConfig, Any, SkipVAE, Tensor]:
    """Sizes, U-Net, autoencoder and states of the prompt of a published model; arguments and errors as
    `Difix.from_pretrained`."""
    path = Path(name)
    unet: Tensors
    own: Tensors
    if path.suffix == PICKLE:
        if not path.is_file():
            raise InputError(f"no model at {path}: expected a {PICKLE} of Difix's training, a folder or a repository")
        folder = model_folder(SD_TURBO if base is None else base, list(_OF_BASE))
        unet, vae = open_torch_file(path, _UNET), open_torch_file(path, _VAE)
        own = Joined([open_checkpoint(folder / "vae").tensors, vae])
        return _opened(folder, unet, own, str(path))
    folder = model_folder(name, list(_IN_FOLDER))
    unet, own = (open_checkpoint(_part(folder, part)).tensors for part in ("unet", "vae"))
    return _opened(folder, unet, own, str(folder))


def _opened(folder: Path, unet: Tensors, vae: Tensors, what: str) -> tuple[DifixConfig, Any, SkipVAE, Tensor]:
    given = read_object(_part(folder, "vae") / "config.json", "the configuration of an autoencoder")
    gain = 0.0 if given.get("ignore_skip") else float(given.get("gamma", 1.0))
    config = _read_config(folder, {k: v for k, v in given.items() if k not in _OWN_OF_VAE})
    with _as_ours(folder), without_memory():
        networks = mixing_unet(config.unet), SkipVAE(config.vae)
    _fill(networks[0], unet, f"the U-Net of {what}")
    _fill(networks[1], _in_diffusers(vae, what), f"the autoencoder of {what}")
    for skip in networks[1].skips():
        skip.weight.data.mul_(gain)
    with _as_ours(folder):
        prompt = prompt_states(folder, PROMPT)
    return replace(config, tokens=prompt.shape[1]), *networks, prompt


def _read_config(folder: Path, vae: dict[str, Any]) -> DifixConfig:
    unet = read_object(_part(folder, "unet") / "config.json", "the configuration of a U-Net")
    scheduler = read_object(_part(folder, "scheduler") / "scheduler_config.json", "the configuration of a scheduler")
    known = sd_turbo().scheduler
    return DifixConfig(
        unet={k: v for k, v in unet.items() if not k.startswith("_")},
        vae={k: v for k, v in vae.items() if not k.startswith("_")},
        scheduler={k: scheduler.get(k, default) for k, default in known.items()},
    )


def _in_diffusers(tensors: Tensors, what: str) -> Tensors:
    """The autoencoder's weights, adapters folded in, as diffusers names them today."""
    folded = Folded(tensors, f"the autoencoder of {what}")
    plain = renamed(folded, lambda name: None if name.startswith(SKIPS) else name)
    skips = renamed(folded, lambda name: name if name.startswith(SKIPS) else None)
    return Joined([Component(*recognise(shapes_of(plain), "vae"), plain).in_diffusers(), skips])


def _fill(network: nn.Module, tensors: Tensors, what: str) -> None:
    check(shapes_of(tensors), {name: tuple(t.shape) for name, t in network.state_dict().items()}, what)
    load(network, tensors)
    network.requires_grad_(False).eval()


def prompt_states(folder: Path, prompt: str) -> Float[Tensor, "1 T D"]:
    """A prompt, by the text encoder and tokenizer of a folder."""
    from transformers import CLIPTextModel, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(_part(folder, "tokenizer"))
    encoder = CLIPTextModel.from_pretrained(_part(folder, "text_encoder")).float().eval()
    length = tokenizer.model_max_length
    ids = tokenizer(prompt, padding="max_length", truncation=True, max_length=length, return_tensors="pt").input_ids
    with torch.no_grad():
        states: Tensor = encoder(ids).last_hidden_state
    return states


def _part(folder: Path, name: str) -> Path:
    if not (folder / name).is_dir():
        raise InputError(f"no {name} in {folder}: expected unet, vae, scheduler, tokenizer and text_encoder")
    return folder / name


@contextmanager
def _as_ours(folder: Path) -> Iterator[None]:
    """What diffusers and transformers say of a missing or damaged part, as one of our errors."""
    try:
        with as_format_error(folder):
            yield
    except OSError as error:
        raise InputError(f"cannot read the model in {folder}: {error}") from error
