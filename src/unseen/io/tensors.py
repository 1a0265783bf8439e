"""Named tensors with a versioned header in one .safetensors file: avatars and checkpoints; what such files hold."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from numpy.lib import format as npy
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from unseen.core.errors import FormatError, InputError
from unseen.io.atomic import write_bytes
from unseen.io.reading import damaged_if_it_fails


def save_tensors(path: Path, kind: str, version: int, tensors: dict[str, Tensor], info: dict[str, Any]) -> None:
    """Write `tensors` and the JSON-able `info` atomically. `kind` and `version` say what the file is.

    Raises:
        ResourceError: the machine refuses the write.
    """
    header = {"kind": kind, "version": str(version), "info": json.dumps(info)}
    write_bytes(path, save({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, header))


def load_tensors(path: Path, kind: str, version: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        InputError: no such file, another kind of file, or one written by a newer release.
        FormatError: not a safetensors file, or a damaged one.
    """
    with opened_safetensors(path, kind) as file:
        header = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    if header.get("kind") != kind:
        raise InputError(f"{path} is a {header.get('kind', 'safetensors')} file, expected {kind}")
    if int(header["version"]) > version:
        raise InputError(f"{path} has format version {header['version']}, this release reads up to {version}: upgrade")
    return tensors, json.loads(header["info"])


def describe_tensors(path: Path) -> dict[str, Any]:
    """What a .safetensors file says of itself, without reading its tensors: `format`, and of files of this package
    `version` and `info`; shapes by name in `tensors`.

    Raises:
        InputError: no such file.
        FormatError: not a safetensors file, or a damaged one.
    """
    with opened_safetensors(path, "safetensors") as file:
        header = file.metadata() or {}
        shapes = {name: list(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - not a dict
    try:
        own = {"version": int(header["version"]), "info": json.loads(header["info"])} if "info" in header else {}
    except (KeyError, ValueError) as error:
        raise FormatError(f"{path} has a damaged header: {error}") from error
    return {"format": header.get("kind", "safetensors"), **own, "tensors": shapes}


def describe_arrays(path: Path) -> dict[str, Any]:
    """What a .npz file holds, from the headers of its arrays alone: `format`, and shapes by name in `tensors`.

    Raises:
        FormatError: not a .npz file, or a damaged one.
    """
    shapes = {}
    try:
        with zipfile.ZipFile(path) as archive, damaged_if_it_fails(path, "arrays"):
            for name in archive.namelist():
                with archive.open(name) as file:
                    major, _ = npy.read_magic(file)
                    read = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
                    shapes[name.removesuffix(".npy")] = list(read(file)[0])
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise FormatError(f"{path} is not a readable .npz file: {error}") from error
    return {"format": "NumPy arrays", "tensors": shapes}


@contextmanager
def opened_safetensors(path: Path, kind: str = "safetensors") -> Iterator[Any]:
    """The open file, of which nothing but the header is read yet; `kind` names it in errors.

    Raises:
        InputError: no such file.
        FormatError: not a safetensors file, or a damaged one.
    """
    if not Path(path).is_file():
        raise InputError(f"no {kind} file at {path}")
    try:
        with safe_open(path, framework="pt") as file:
            yield file
    except (SafetensorError, OSError, ValueError) as error:
        raise FormatError(f"{path} is not a readable safetensors file: {error}") from None
