"""Writing .safetensors one tensor at a time, whole or in shards, so that any size fits in the memory of one tensor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from unseen.core.errors import InputError
from unseen.io.atomic import atomic_write, make_folder, write_json
from unseen.priors.weights.tensors import Entry, Tensors

Progress = Callable[[int, int], None]

_DTYPE_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64", torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip
_ALIGNMENT = 8
DEFAULT_SHARD_BYTES = 5 * 10**9


def write_weights(
    path: Path, tensors: Tensors, max_shard_bytes: int = DEFAULT_SHARD_BYTES, progress: Progress | None = None
) -> list[Path]:
    """Write `tensors` to `path` (.safetensors), or to numbered shards beside it and an index where they are larger than
    `max_shard_bytes`; returns the files. Each appears whole or not at all, the index last. Weights of the same name
    from before that would hide the new ones are removed afterwards.

    Args:
        progress: called with the number of tensors written and of all.

    Raises:
        InputError: a tensor of a type the format has none for.
        ResourceError: the machine refuses the write.
    """
    make_folder(path.parent)
    entries = dict(tensors.entries)
    for name, entry in entries.items():
        if entry.dtype not in _DTYPE_NAMES:
            raise InputError(f"{name} is of type {entry.dtype}, which .safetensors does not hold")
    shards = _shards(entries, max_shard_bytes)
    files = [path] if len(shards) == 1 else [_shard_path(path, i, len(shards)) for i in range(len(shards))]
    written = 0
    for file, names in zip(files, shards, strict=True):
        _write_file(file, tensors, {name: entries[name] for name in names}, written, len(entries), progress)
        written += len(names)
    if len(files) > 1:
        placed = {name: file.name for file, names in zip(files, shards, strict=True) for name in names}
        total = sum(entry.bytes for entry in entries.values())
        files.append(path.with_name(path.name + ".index.json"))
        write_json(files[-1], {"metadata": {"total_size": total}, "weight_map": dict(sorted(placed.items()))})
    _remove_older(path, files)
    return files


def _write_file(
    path: Path, tensors: Tensors, entries: dict[str, Entry], done: int, total: int, progress: Progress | None
) -> None:
    """One file: the length of the header, the header, the values in its order."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, entry in entries.items():
        place = {"dtype": _DTYPE_NAMES[entry.dtype], "shape": list(entry.shape)}
        header[name] = {**place, "data_offsets": [offset, offset + entry.bytes]}  # type: ignore[dict-item]
        offset += entry.bytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for i, name in enumerate(entries):
            values = tensors.read(name).contiguous().reshape(-1)
            file.write(values.view(torch.uint8).numpy().data)
            if progress:
                progress(done + i + 1, total)


def _shards(entries: dict[str, Entry], limit: int) -> list[list[str]]:
    """Names of each shard, in order; wide numbers first within one, so that all stay aligned."""
    shards: list[list[str]] = [[]]
    filled = 0
    for name in sorted(entries):
        size = entries[name].bytes
        if shards[-1] and filled + size > limit:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += size
    return [sorted(names, key=lambda name: (-entries[name].dtype.itemsize, name)) for names in shards]


def _shard_path(path: Path, i: int, count: int) -> Path:
    return path.with_name(f"{path.stem}-{i + 1:05}-of-{count:05}{path.suffix}")


def _remove_older(path: Path, files: Iterable[Path]) -> None:
    """Remove what an earlier write of the same weights left: they would be read instead, or never."""
    kept = {file.name for file in files}
    older = re.compile(re.escape(path.stem) + r"(-\d{5}-of-\d{5})?" + re.escape(path.suffix) + r"(\.index\.json)?")
    for file in path.parent.iterdir():
        if file.name not in kept and older.fullmatch(file.name):
            file.unlink()
