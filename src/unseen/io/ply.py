"""Gaussians in the .ply layout of the original 3D Gaussian splatting code (INRIA), which every viewer opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import FormatError, InputError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, num_coefficients
from unseen.io.atomic import PathLike, atomic_write

_NUMPY_TYPES = {
    **dict.fromkeys(["char", "int8"], "i1"),
    **dict.fromkeys(["uchar", "uint8"], "u1"),
    **dict.fromkeys(["short", "int16"], "i2"),
    **dict.fromkeys(["ushort", "uint16"], "u2"),
    **dict.fromkeys(["int", "int32"], "i4"),
    **dict.fromkeys(["uint", "uint32"], "u4"),
    **dict.fromkeys(["float", "float32"], "f4"),
    **dict.fromkeys(["double", "float64"], "f8"),
}
_ORDERS = {"ascii": "=", "binary_little_endian": "<", "binary_big_endian": ">"}
_MEANS, _NORMALS, _SH0 = ("x", "y", "z"), ("nx", "ny", "nz"), ("f_dc_0", "f_dc_1", "f_dc_2")
_COLORS = ("red", "green", "blue")
_SCALES, _QUATS = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")
_MAX_HEADER_BYTES = 1 << 20


@dataclass(frozen=True)
class _Element:
    """One element of the header: its name, number of rows and properties (name, numpy type; None for a list)."""

    name: str
    count: int
    properties: list[tuple[str, str | None]]


def load_ply(path: PathLike) -> Gaussians:
    """Read a .ply of 3D Gaussians: ascii or binary of either byte order, fields by name, further fields ignored.

    Values are taken as they stand (log scales, logit opacities, wxyz quaternions not normalised), bit for bit.
    `f_rest_*` is channel-major in the file ([3][K-1]) and coefficient-major in `Gaussians`. Axes are not changed.

    Raises:
        InputError: no such file.
        FormatError: not a .ply, a mesh or plain point cloud, a compressed .ply, truncated, or fields are missing.
    """
    vertex, elements = _load_vertices(path)
    num_rest = _check_fields(path, vertex.dtype.names or (), elements)
    shN = _columns(vertex, [f"f_rest_{i}" for i in range(num_rest)]).reshape(len(vertex), 3, num_rest // 3)
    return Gaussians(
        means=_columns(vertex, _MEANS),
        quats=_columns(vertex, _QUATS),
        log_scales=_columns(vertex, _SCALES),
        logit_opacities=_columns(vertex, ["opacity"])[:, 0].contiguous(),
        sh0=_columns(vertex, _SH0),
        shN=shN.transpose(1, 2).contiguous(),
    )


def load_points(path: PathLike) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P 3"]]:
    """Positions and colours of a plain point cloud (or mesh) in a .ply file, float32.

    Colours are `red green blue`, 8-bit or float in [0, 1]; grey where the file has none. Axes are not changed.

    Raises:
        InputError: no such file.
        FormatError: not a .ply, damaged, or without positions.
    """
    vertex, _ = _load_vertices(path)
    names = vertex.dtype.names or ()
    if not set(_MEANS) <= set(names):
        raise FormatError(f"{path} has no positions: its vertices hold {', '.join(names)}, expected x, y, z")
    if not set(_COLORS) <= set(names):
        return _columns(vertex, _MEANS), torch.full((len(vertex), 3), 0.5)
    scale = 255.0 if vertex.dtype["red"].kind in "iu" else 1.0
    return _columns(vertex, _MEANS), (_columns(vertex, _COLORS) / scale).clamp(0, 1)


def save_ply(path: PathLike, gaussians: Gaussians, comments: Sequence[str] = ()) -> None:
    """Write Gaussians as a binary little-endian .ply with the INRIA field order, normals zero, atomically.

    What `load_ply` reads back is the same bit for bit (float32). Axes are not changed: most viewers take a .ply to
    have y down (OpenCV, COLMAP); `unseen.io.axes.rdf_to_rub` turns a y-up scene over for them.

    Args:
        path: output.
        gaussians: any device and float dtype; stored as float32.
        comments: lines for the header.

    Raises:
        ResourceError: the file cannot be written.
    """
    g = gaussians.detach().to("cpu", torch.float32)
    rest = g.shN.transpose(1, 2).flatten(1)
    normals = torch.zeros_like(g.means)
    table = torch.cat([g.means, normals, g.sh0, rest, g.logit_opacities[:, None], g.log_scales, g.quats], 1)
    fields = [*_MEANS, *_NORMALS, *_SH0, *(f"f_rest_{i}" for i in range(rest.shape[1])), "opacity", *_SCALES, *_QUATS]
    header = ["ply", "format binary_little_endian 1.0", *(f"comment {' '.join(c.split())}" for c in comments)]
    header += [f"element vertex {len(g)}", *(f"property float {name}" for name in fields), "end_header"]
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write("\n".join(header).encode() + b"\n")
        file.write(table.numpy().astype("<f4", copy=False).tobytes())


def _load_vertices(path: PathLike) -> tuple[np.ndarray, list[_Element]]:
    """The rows of the element `vertex` as a structured array, and what the header lists."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    order, elements, start = _parse_header(path, data)
    return _read_vertices(path, data, order, elements, start), elements


def _parse_header(path: PathLike, data: bytes) -> tuple[str, list[_Element], int]:
    """Byte order of the body, its elements and where it starts."""
    if not data.startswith(b"ply"):
        raise FormatError(f"{path} is not a .ply file: it does not start with the line 'ply'")
    end = data.find(b"end_header", 0, _MAX_HEADER_BYTES)
    start = data.find(b"\n", end) + 1
    if end < 0 or start == 0:
        raise FormatError(f"{path} is truncated or damaged: its .ply header has no end")
    order, elements = "", []
    for line in data[:end].decode("ascii", "replace").splitlines():
        words = line.split()
        try:
            if words[:1] == ["format"]:
                order = _ORDERS[words[1]]
            elif words[:1] == ["element"]:
                elements.append(_Element(words[1], int(words[2]), []))
            elif words[:1] == ["property"]:
                elements[-1].properties.append((words[-1], None if words[1] == "list" else _NUMPY_TYPES[words[1]]))
        except (IndexError, KeyError, ValueError) as error:
            raise FormatError(f"{path} has a malformed .ply header line: {line!r}") from error
    if not order:
        raise FormatError(f"{path} has a .ply header without a format line")
    for element in elements:
        names = [name for name, _ in element.properties]
        if element.count < 0 or len(set(names)) < len(names):
            raise FormatError(f"{path} has a malformed .ply header: element {element.name} of {element.count} rows")
    return order, elements, start


def _read_vertices(path: PathLike, data: bytes, order: str, elements: list[_Element], start: int) -> np.ndarray:
    """The rows of the element `vertex` as a structured array, of what stands before it skipped."""
    ascii_rows = data[start:].decode("ascii", "replace").splitlines() if order == "=" else []
    row = 0
    for element in elements:
        if any(kind is None for _, kind in element.properties):
            break  # rows of varying length: what follows cannot be found in a binary file
        dtype = np.dtype([(name, order + str(kind)) for name, kind in element.properties])
        available = len(ascii_rows) - row if order == "=" else (len(data) - start) // max(dtype.itemsize, 1)
        if available < element.count:
            raise FormatError(f"{path} is truncated: {available} of its {element.count} {element.name} rows are there")
        if element.name == "vertex":
            if order == "=":
                return _parse_ascii(path, ascii_rows[row : row + element.count], dtype)
            return np.frombuffer(data, dtype, element.count, start)
        start, row = start + element.count * dtype.itemsize, row + element.count
    names = ", ".join(element.name for element in elements) or "none"
    raise FormatError(f"{path} holds no readable vertex element (elements: {names}): expected 3D Gaussians")


def _parse_ascii(path: PathLike, rows: list[str], dtype: np.dtype) -> np.ndarray:
    width = len(dtype.names or ())
    try:
        table = np.array([row.split() for row in rows], np.float64).reshape(len(rows), width)
    except ValueError as error:
        raise FormatError(f"{path} is damaged: its vertex rows are not all {width} numbers") from error
    vertex = np.empty(len(rows), dtype)
    for index, name in enumerate(dtype.names or ()):
        vertex[name] = table[:, index]
    return vertex


def _check_fields(path: PathLike, names: Sequence[str], elements: list[_Element]) -> int:
    """Raise unless all fields of Gaussians are there; return the number of `f_rest_*`."""
    missing = [n for n in (*_MEANS, *_SH0, "opacity", *_SCALES, *_QUATS) if n not in names]
    if "packed_position" in names:
        raise FormatError(
            f"{path} is a compressed .ply (PlayCanvas, SuperSplat): expected an uncompressed one; "
            "export it again as .ply or .spz"
        )
    if missing and any(element.name == "face" and element.count for element in elements):
        raise FormatError(f"{path} is a mesh, not 3D Gaussians: its vertices lack {', '.join(missing)}")
    if missing:
        kind = "is a plain point cloud, not 3D Gaussians" if len(missing) > 8 else "is no complete set of 3D Gaussians"
        raise FormatError(f"{path} {kind}: its vertices lack {', '.join(missing)}")
    num_rest = sum(name.startswith("f_rest_") for name in names)
    allowed = [3 * (num_coefficients(degree) - 1) for degree in range(MAX_DEGREE + 1)]
    if num_rest not in allowed or any(f"f_rest_{i}" not in names for i in range(num_rest)):
        raise FormatError(f"{path} has {num_rest} f_rest fields: expected f_rest_0 and so on, {allowed} of them")
    return num_rest


def _columns(vertex: np.ndarray, names: Sequence[str]) -> torch.Tensor:
    if not names:
        return torch.empty(len(vertex), 0)
    table = np.empty((len(vertex), len(names)), np.float32)
    for index, name in enumerate(names):
        table[:, index] = vertex[name]
    return torch.from_numpy(table)
