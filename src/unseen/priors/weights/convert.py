"""Converting weights: from whatever layout and container they are in, to another, in the memory of one tensor."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from unseen.core.errors import InputError
from unseen.io.atomic import write_json
from unseen.io.reading import parse_json_object, read_bytes
from unseen.priors.weights.checkpoint import Checkpoint, open_checkpoint
from unseen.priors.weights.components import SPELLINGS, Component, Parts, take_apart
from unseen.priors.weights.custom import apply_mapping
from unseen.priors.weights.links import Remapped
from unseen.priors.weights.networks import NETWORKS
from unseen.priors.weights.tensors import DTYPES, Cast, Joined, Tensors, renamed
from unseen.priors.weights.writing import DEFAULT_SHARD_BYTES, Progress, write_weights

AS_IT_IS = "same"
_SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Target:
    """A layout of whole checkpoints.

    Attributes:
        layouts: the layout each network has in it; a network without one has no place in it.
        prefixes: where all networks lie in one file, what their names begin with; empty for a folder per network.
    """

    layouts: Mapping[str, str]
    prefixes: Mapping[str, str] = field(default_factory=dict)


_LDM = {"unet": "ldm", "resampler": "ldm", "vae": "ldm", "image_encoder": "openclip"}
_OXIGAF = {"unet": "oxigaf", "vae": "oxigaf", "image_encoder": "oxigaf"}
_DIFFUSION_MODEL = {"unet": "model.diffusion_model.", "resampler": "model.diffusion_model.image_embed."}
TARGETS: dict[str, Target] = {
    "diffusers": Target(dict.fromkeys(NETWORKS, "diffusers")),
    "ldm": Target(
        _LDM, {**_DIFFUSION_MODEL, "vae": "first_stage_model.", "image_encoder": "cond_stage_model.model.visual."}
    ),
    "imagedream": Target(_LDM, {**_DIFFUSION_MODEL, "vae": "vae_model.", "image_encoder": "clip_model.model.visual."}),
    "openclip": Target({"image_encoder": "openclip"}, {"image_encoder": "visual."}),
    "oxigaf": Target(_OXIGAF),
    **{f"oxigaf-{spelling}": Target(_OXIGAF) for spelling in SPELLINGS},
}
"""By the names `--to` takes."""


@dataclass(frozen=True)
class ConvertRequest:
    """What to convert.

    Attributes:
        source: as `open_checkpoint` takes it.
        target: a folder, which gets one folder per network, or one .safetensors file.
        to: a name of `TARGETS`, or "same" to keep names and folding.
        networks: names of those to convert; all that are there if empty.
        dtype: a name of `DTYPES`; None keeps each tensor's.
        mapping: JSON file of names (see `apply_mapping`), instead of `to`.
        drop: regular expressions of whole names to leave out.
        entry: part of a torch file that holds the weights.
    """

    source: Path
    target: Path
    to: str = "diffusers"
    networks: tuple[str, ...] = ()
    dtype: str | None = None
    max_shard_bytes: int = DEFAULT_SHARD_BYTES
    mapping: Path | None = None
    drop: tuple[str, ...] = ()
    entry: str | None = None


def run_convert(request: ConvertRequest, progress: Progress | None = None) -> dict[str, Any]:
    """Convert, strictly: every tensor of the networks is used and none is missing, or nothing is written.

    Returns what was written: `files`, `networks` {name: {from, tensors, parameters}}, `bytes`, `aside` {what: tensors
    that are no network's here}, `dropped`.

    Raises:
        InputError: nothing to convert there, a network without a place in the target, or a target that is the source.
        KeyMismatchError: tensors are missing, unused or misshapen.
        FormatError: a damaged file, or one that holds more than tensors; nothing has been executed.
        NonFiniteError: a value is too large for fp16.
        ResourceError: the machine refuses the write.
    """
    checkpoint = open_checkpoint(request.source, request.entry)
    kept = _without(checkpoint.tensors, request.drop)
    dropped = len(checkpoint.tensors.entries) - len(kept.entries)
    if request.mapping or request.to == AS_IT_IS:
        named = apply_mapping(kept, request.mapping) if request.mapping else kept
        files = _write(request, checkpoint, {_file_target(request): named}, progress)
        return {**_summary(files, {}, Parts()), "tensors": len(named.entries), "dropped": dropped}
    parts = take_apart(kept)
    parts.check_all_known()
    chosen = _chosen(parts, request)
    outputs = {name: _in_layout(part, request.to) for name, part in chosen.items()}
    files = _write(request, checkpoint, _placed(outputs, request), progress)
    if request.to == "diffusers" and request.target.suffix != _SUFFIX:
        files += [_write_config(part, checkpoint, request.target) for part in chosen.values()]
    return {**_summary(files, chosen, parts), "dropped": dropped}


def _without(tensors: Tensors, drop: tuple[str, ...]) -> Tensors:
    """All but the tensors whose whole name matches."""
    try:
        patterns = [re.compile(pattern) for pattern in drop]
    except re.error as error:
        raise InputError(f"{error.pattern!r} is no regular expression: {error}") from None
    for pattern in patterns:
        if not any(pattern.fullmatch(name) for name in tensors.entries):
            raise InputError(f"no tensor matches {pattern.pattern!r}, which was to be dropped")
    return renamed(tensors, lambda n: None if any(p.fullmatch(n) for p in patterns) else n) if patterns else tensors


def _chosen(parts: Parts, request: ConvertRequest) -> dict[str, Component]:
    """The networks to convert."""
    if request.to not in TARGETS:
        raise InputError(f"unknown layout {request.to!r}: expected {AS_IT_IS}, {', '.join(TARGETS)}")
    absent = [name for name in request.networks if name not in parts.components]
    if absent or not parts.components:
        there = ", ".join(parts.components) or "no network known here"
        raise InputError(f"{request.source} holds {there}: there is no {', '.join(absent) or 'weight to convert'}")
    chosen = {name: part for name, part in parts.components.items() if not request.networks or name in request.networks}
    homeless = [name for name in chosen if name not in TARGETS[request.to].layouts]
    if homeless:
        raise InputError(
            f"the {request.to} layout has no place for {', '.join(homeless)}: choose other networks or another layout"
        )
    return chosen


def _in_layout(part: Component, to: str) -> Tensors:
    """A network's tensors in a target's layout."""
    layout = part.network.layout(TARGETS[to].layouts[part.network.name])
    common = part.in_diffusers()
    if layout.name == "diffusers":
        return common
    title = f"the {part.network.title} on its way to the {layout.name} layout"
    found: Tensors = Remapped(common, layout.map(part.shape).reversed(), title)
    spelling = SPELLINGS.get(to.removeprefix("oxigaf-"))
    return renamed(found, spelling.write) if spelling else found


def _placed(outputs: dict[str, Tensors], request: ConvertRequest) -> dict[Path, Tensors]:
    """The file each network, or all of them together, go to."""
    prefixes = TARGETS[request.to].prefixes
    if prefixes:
        return {_file_target(request): Joined(_prefixed(part, prefixes[name]) for name, part in outputs.items())}
    if request.target.suffix == _SUFFIX:
        if len(outputs) > 1:
            raise InputError(f"{request.target} would hold {', '.join(outputs)}: name a folder, or one (--network)")
        return {request.target: next(iter(outputs.values()))}
    return {request.target / name / NETWORKS[name].file: part for name, part in outputs.items()}


def _prefixed(tensors: Tensors, prefix: str) -> Tensors:
    return renamed(tensors, lambda name: prefix + name)


def _file_target(request: ConvertRequest) -> Path:
    if request.target.suffix != _SUFFIX:
        raise InputError(f"{request.target}: expected a {_SUFFIX} file to write all weights to")
    return request.target


def _write(
    request: ConvertRequest, checkpoint: Checkpoint, outputs: dict[Path, Tensors], progress: Progress | None
) -> list[Path]:
    """Write every output in the precision asked for."""
    if request.dtype is not None and request.dtype not in DTYPES:
        raise InputError(f"unknown precision {request.dtype!r}: expected {', '.join(DTYPES)}")
    sources = {file.resolve() for file in checkpoint.files}
    files: list[Path] = []
    for path, tensors in outputs.items():
        if any(source.parent == path.resolve().parent and source.name.startswith(path.stem) for source in sources):
            raise InputError(f"{path} would replace what it is made from: write elsewhere")
        cast = Cast(tensors, DTYPES[request.dtype]) if request.dtype else tensors
        files += write_weights(path, cast, request.max_shard_bytes, progress)
    return files


def _write_config(part: Component, checkpoint: Checkpoint, folder: Path) -> Path:
    """The network's `config.json`: the source's own where it has one in this layout, else from the tensors' shapes."""
    own = checkpoint.configs.get(part.network.name) or checkpoint.configs.get("")
    known = part.layout.name.startswith("diffusers") and own is not None
    config = parse_json_object(own, read_bytes(own), "configuration") if known and own else part.shape.config()
    path = folder / part.network.name / "config.json"
    write_json(path, config)
    return path


def _summary(files: list[Path], chosen: dict[str, Component], parts: Parts) -> dict[str, Any]:
    networks = {}
    for name, part in chosen.items():
        count = sum(entry.count for entry in part.tensors.entries.values())
        networks[name] = {"from": part.layout.name, "tensors": len(part.tensors.entries), "parameters": count}
    return {
        "files": [str(file) for file in files],
        "bytes": sum(file.stat().st_size for file in files),
        "networks": networks,
        "aside": {reason: len(names) for reason, names in parts.aside.items()},
    }
