"""Gaussians in the .ply layout of the original 3D Gaussian splatting code (INRIA), which every viewer opens."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import FormatError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, num_coefficients
from unseen.io.atomic import PathLike, atomic_write
from unseen.io.compressed_ply import is_packed, unpack
from unseen.io.ply_tables import PlyTables, read_ply_tables

_MEANS, _NORMALS, _SH0 = ("x", "y", "z"), ("nx", "ny", "nz"), ("f_dc_0", "f_dc_1", "f_dc_2")
_COLORS = ("red", "green", "blue")
_SCALES, _QUATS = ("scale_0", "scale_1", "scale_2"), ("rot_0", "rot_1", "rot_2", "rot_3")


def load_ply(path: PathLike) -> Gaussians:
    """Read a .ply of 3D Gaussians: ascii or binary of either byte order, fields by name, further fields ignored.

    Values are taken as they stand (log scales, logit opacities, wxyz quaternions not normalised), bit for bit.
    `f_rest_*` is channel-major in the file ([3][K-1]) and coefficient-major in `Gaussians`. Axes are not changed. A
    compressed .ply is told by its fields and unpacked.

    Raises:
        InputError: no such file.
        FormatError: not a .ply, a mesh or plain point cloud, truncated, or fields are missing.
    """
    tables = read_ply_tables(path)
    if is_packed(tables):
        return unpack(tables)
    vertex = tables.rows("vertex")
    num_rest = _check_fields(path, vertex.dtype.names or (), tables)
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
    vertex = read_ply_tables(path).rows("vertex")
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


def _check_fields(path: PathLike, names: Sequence[str], tables: PlyTables) -> int:
    """Raise unless all fields of Gaussians are there; return the number of `f_rest_*`."""
    missing = [n for n in (*_MEANS, *_SH0, "opacity", *_SCALES, *_QUATS) if n not in names]
    face = tables.element("face")
    if missing and face and face.count:
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
