"""Taking a checkpoint apart: which tensors belong to which network, which are no weights, which nobody knows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from unseen.priors.weights.links import KeyMap, KeyMismatchError, Remapped
from unseen.priors.weights.networks import NETWORKS, Layout, Network, recognise
from unseen.priors.weights.tensors import Renamed, Tensors, renamed, shapes_of

_UNET = "model.diffusion_model."
_PREFIXES = {
    f"{_UNET}image_embed.": "resampler",
    _UNET: "unet",
    "first_stage_model.": "vae",  # Stable Diffusion and MVDream
    "vae_model.": "vae",  # ImageDream
    "cond_stage_model.model.visual.": "image_encoder",
    "clip_model.model.visual.": "image_encoder",
    "embedder.model.visual.": "image_encoder",
    "visual.": "image_encoder",
    **{f"{name}/": name for name in NETWORKS},
}
_WRAPPERS = ("module.", "_orig_mod.")  # of data-parallel and compiled networks

_ASIDE = {
    "noise schedule": r"(log_one_minus_|sqrt_(one_minus_|recipm?1?_)?)?alphas_cumprod(_prev)?|betas|posterior_.*|logvar"
    r"|lvlb_weights|scale_factor|model_ema\.(decay|num_updates)",
    "moving average": r"model_ema\..*",
    "training loss of the autoencoder": r"first_stage_model\.loss\..*",
    "text encoder": r"(cond_stage_model|clip_model|embedder)\.(?!model\.visual\.).*|text_encoder(_2)?/.*",
    "safety checker": r"safety_checker/.*",
    "position numbers": r"(.*\.)?position_ids",
}
_TEXT_TOWER = (
    r"(transformer\.resblocks|token_embedding|ln_final)\..*|text_projection|logit_scale|attn_mask|positional_embedding"
)


@dataclass(frozen=True)
class Component:
    """One network of a checkpoint, its tensors under the names of its layout."""

    network: Network
    layout: Layout
    tensors: Tensors

    @cached_property
    def shape(self) -> Any:
        """The network's sizes; raises InputError if the tensors do not tell."""
        return self.layout.read(shapes_of(self.tensors))

    @cached_property
    def key_map(self) -> KeyMap:
        """From its layout to diffusers'."""
        return self.layout.map(self.shape)

    def in_diffusers(self) -> Remapped:
        """Its tensors in diffusers' layout.

        Raises:
            KeyMismatchError: a tensor is missing, unused or misshapen.
        """
        return Remapped(self.tensors, self.key_map, f"the {self.network.title} ({self.layout.name} layout)")


@dataclass
class Parts:
    """A checkpoint taken apart.

    Attributes:
        components: by the network's name.
        aside: names of what is known and not converted, by what it is.
        unknown: names of what fits nothing.
    """

    components: dict[str, Component] = field(default_factory=dict)
    aside: dict[str, list[str]] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def check_all_known(self) -> None:
        """Raises KeyMismatchError if anything fits nothing."""
        if self.unknown:
            raise KeyMismatchError("the checkpoint", [], self.unknown, {})


def take_apart(tensors: Tensors) -> Parts:
    """Sort the tensors of a checkpoint by network.

    A checkpoint of several networks tells them by prefix or folder, one of a single network by its names. OxiGAF's
    other spellings (underscores or slashes for dots) are read as dots.

    Raises:
        InputError: a network is in no layout known here.
    """
    tensors = _plain(tensors)
    parts = Parts()
    owned: dict[str, dict[str, str]] = {}
    openclip = any(name.startswith("visual.") for name in tensors.entries)
    for name in tensors.entries:
        reason = _aside(name, openclip)
        prefix = next((p for p in _PREFIXES if name.startswith(p)), None)
        if reason:
            parts.aside.setdefault(reason, []).append(name)
        elif prefix:
            owned.setdefault(_PREFIXES[prefix], {})[name.removeprefix(prefix)] = name
        else:
            parts.unknown.append(name)
    if not owned and parts.unknown:
        bare = Renamed(tensors, {name: name for name in parts.unknown})
        parts.components, parts.unknown = _single(bare), []
        return parts
    for network, names in owned.items():
        found = Renamed(tensors, names)
        parts.components[network] = Component(*recognise(shapes_of(found), network), found)
    return parts


def _single(tensors: Tensors) -> dict[str, Component]:
    """The one network of a file without prefixes; a U-Net may carry its resampler."""
    network, layout = recognise(shapes_of(tensors))
    own = renamed(tensors, lambda name: None if name.startswith("image_embed.") else name)
    components = {network.name: Component(network, layout, own)}
    inner = renamed(tensors, lambda n: n.removeprefix("image_embed.") if n.startswith("image_embed.") else None)
    if inner.names:
        components["resampler"] = Component(*recognise(shapes_of(inner), "resampler"), inner)
    return components


def _aside(name: str, openclip: bool) -> str | None:
    """Why a tensor is no network's to convert, or None."""
    if openclip and re.fullmatch(_TEXT_TOWER, name):
        return "text encoder"
    return next((reason for reason, pattern in _ASIDE.items() if re.fullmatch(pattern, name)), None)


def _plain(tensors: Tensors) -> Tensors:
    """`tensors` without a wrapper's prefix, and with dots between the parts of names."""
    names = list(tensors.entries)
    for wrapper in _WRAPPERS:
        if names and all(name.startswith(wrapper) for name in names):
            return _plain(Renamed(tensors, {name.removeprefix(wrapper): name for name in names}))
    spelled = next((spelling for spelling in SPELLINGS.values() if spelling.used_in(names)), None)
    return renamed(tensors, spelled.read) if spelled else tensors


@dataclass(frozen=True)
class Spelling:
    """Another sign between the parts of a name than a dot."""

    sign: str

    def write(self, name: str) -> str:
        """From dots."""
        return (name.replace("_", "__") if self.sign == "_" else name).replace(".", self.sign)

    def read(self, name: str) -> str:
        """To dots."""
        if self.sign != "_":
            return name.replace(self.sign, ".")
        return ".".join(part.replace("\0", "_") for part in name.replace("__", "\0").split("_"))

    def used_in(self, names: Iterable[str]) -> bool:
        """Whether names are spelled so: with the sign, and nowhere with a dot."""
        names = list(names)
        return not any("." in name for name in names) and sum(self.sign in name for name in names) > len(names) / 2


SPELLINGS = {"slash": Spelling("/"), "underscore": Spelling("_")}
"""Of OxiGAF's converter (its `LayerMapping`)."""
