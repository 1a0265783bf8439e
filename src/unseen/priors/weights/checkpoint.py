"""Opening weights of any container: one file, a sharded set, a folder of one network, a folder of several."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from unseen.core.errors import FormatError, InputError
from unseen.io.reading import parse_json_object, read_bytes
from unseen.io.tensors import opened_safetensors
from unseen.priors.weights.tensors import Entry, Joined, Tensors, renamed
from unseen.priors.weights.torch_files import open_torch_file

TORCH_SUFFIXES = (".ckpt", ".pt", ".pth", ".bin")
INDEX_SUFFIX = ".index.json"
_BLOCK_BYTES = 1 << 22
_STEMS = ("diffusion_pytorch_model", "model", "pytorch_model")
_SAFETENSORS_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip


@dataclass(frozen=True)
class Checkpoint:
    """Weights on the disk.

    Attributes:
        tensors: all of them; in a folder of several networks each name is `network/name`.
        files: where they are, in the order read.
        configs: `config.json` of a network by its folder's name, "" for a folder of one network.
    """

    tensors: Tensors
    files: tuple[Path, ...]
    configs: dict[str, Path]


class SafetensorsFile:
    """One .safetensors file, memory-mapped.

    Raises:
        InputError: no such file.
        FormatError: damaged, or with a type of number torch has none for.
    """

    def __init__(self, path: Path) -> None:
        self.entries: dict[str, Entry] = {}
        with ExitStack() as stack:
            self.file = stack.enter_context(opened_safetensors(path))
            for name in self.file.keys():  # noqa: SIM118 - not a dict
                header = self.file.get_slice(name)
                if header.get_dtype() not in _SAFETENSORS_DTYPES:
                    raise FormatError(f"{path}: {name} is of type {header.get_dtype()}, which is not read here")
                self.entries[name] = Entry(tuple(header.get_shape()), _SAFETENSORS_DTYPES[header.get_dtype()])
            self.closing = stack.pop_all()  # open as long as this object lives

    def read(self, name: str) -> Tensor:
        """One tensor."""
        return self.file.get_tensor(name)


def open_checkpoint(path: Path, entry: str | None = None) -> Checkpoint:
    """Open weights without reading them.

    `path` is a .safetensors or torch file, a `*.index.json` of shards, or a folder as diffusers and transformers write
    them. `entry` is for torch files with several sets of weights (see `open_torch_file`).

    Raises:
        InputError: nothing there, or a folder without weights or with several candidates.
        FormatError: a damaged file, or one that holds more than tensors.
    """
    path = Path(path)
    if not path.is_dir():
        tensors, files = _open_file(path, entry)
        beside = path.with_name("config.json")
        return Checkpoint(tensors, files, {"": beside} if beside.is_file() else {})
    folders = {folder.name: folder for folder in sorted(path.iterdir()) if folder.is_dir() and _candidates(folder)}
    if _candidates(path) or not folders:
        return open_checkpoint(_weights_file(path), entry)
    parts = {name: open_checkpoint(_weights_file(folder), entry) for name, folder in folders.items()}
    tensors = Joined(renamed(part.tensors, _under(name)) for name, part in parts.items())
    files = tuple(file for part in parts.values() for file in part.files)
    return Checkpoint(tensors, files, {name: part.configs[""] for name, part in parts.items() if part.configs})


def sha256(path: Path) -> str:
    """Checksum of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _under(folder: str) -> Callable[[str], str]:
    return lambda name: f"{folder}/{name}"


def _open_file(path: Path, entry: str | None) -> tuple[Tensors, tuple[Path, ...]]:
    if path.name.endswith(INDEX_SUFFIX):
        return _open_shards(path)
    if path.suffix == ".safetensors":
        return SafetensorsFile(path), (path,)
    if path.suffix in TORCH_SUFFIXES:
        return open_torch_file(path, entry), (path,)
    raise InputError(
        f"{path} is not a checkpoint: expected .safetensors, {', '.join(TORCH_SUFFIXES)}, an {INDEX_SUFFIX} or a folder"
    )


def _open_shards(index: Path) -> tuple[Tensors, tuple[Path, ...]]:
    """The shards an index names, if they hold exactly what it says."""
    placed = parse_json_object(index, read_bytes(index), "index").get("weight_map")
    if not isinstance(placed, dict) or not all(isinstance(name, str) for name in placed.values()):
        raise FormatError(f"{index} is damaged: it has no weight_map from tensors to files")
    names = sorted(set(placed.values()))
    if any(name != Path(name).name or name.endswith(INDEX_SUFFIX) for name in names):
        raise FormatError(f"{index} names a file outside its folder: expected plain names of shards")
    shards = {name: _open_file(index.with_name(name), None)[0] for name in names}
    for name, shard in placed.items():
        if name not in shards[shard].entries:
            raise FormatError(f"{index} places {name} in {shard}, which does not hold it: download the shards again")
    return Joined(shards.values()), tuple(index.with_name(name) for name in names)


def _candidates(folder: Path) -> list[Path]:
    """Files of weights in a folder: indices, and what is no shard of one."""
    files = [file for file in sorted(folder.iterdir()) if file.is_file()]
    return [
        file
        for file in files
        if file.name.endswith(INDEX_SUFFIX)
        or (file.suffix in (".safetensors", *TORCH_SUFFIXES) and "-of-" not in file.stem)
    ]


def _weights_file(folder: Path) -> Path:
    """The file diffusers or transformers would load from a folder, or the only one."""
    candidates = _candidates(folder)
    for suffix in (".safetensors", ".bin"):
        for stem in _STEMS:
            for name in (f"{stem}{suffix}{INDEX_SUFFIX}", f"{stem}{suffix}"):
                if folder / name in candidates:
                    return folder / name
    if len(candidates) == 1:
        return candidates[0]
    found = ", ".join(file.name for file in candidates[:5]) or "none"
    raise InputError(f"cannot tell which weights to take from {folder}: found {found}; name the file")
