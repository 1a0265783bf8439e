"""Gaussians in the compressed .ply layout of PlayCanvas and SuperSplat: 16 bytes each and one per harmonic.

Element `chunk` holds the ranges of 256 Gaussians each (positions, log scales, colours), element `vertex` four 32-bit
words per Gaussian that divide them, element `sh` the higher bands as bytes.
"""

from __future__ import annotations

import numpy as np
import torch

from unseen.core.errors import FormatError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, num_coefficients, rgb_to_sh0
from unseen.io.atomic import PathLike, atomic_write
from unseen.io.ordering import spatial_order
from unseen.io.packing import (
    from_levels,
    join_smallest_three,
    logits,
    ready,
    split_smallest_three,
    to_levels,
    unit_quaternions,
)
from unseen.io.ply_tables import PlyTables, read_ply_tables

_CHUNK = 256
_WORDS = ("packed_position", "packed_rotation", "packed_scale", "packed_color")
_XYZ, _RGB = "xyz", "rgb"
_BOUNDS = {
    "position": [f"{end}_{axis}" for end in ("min", "max") for axis in _XYZ],
    "scale": [f"{end}_scale_{axis}" for end in ("min", "max") for axis in _XYZ],
    "color": [f"{end}_{channel}" for end in ("min", "max") for channel in _RGB],
}
_VECTOR_BITS = ((21, 11), (11, 10), (0, 11))  # shift and width of x, y, z
_COLOR_BITS = ((24, 8), (16, 8), (8, 8))  # of r, g, b; opacity is the lowest byte
_LOG_SCALE_LIMIT = 20.0
_SH_SPAN = 8.0  # harmonics of [-4, 4] in 256 steps


def is_packed(tables: PlyTables) -> bool:
    """Whether a .ply is a compressed one."""
    vertex = tables.element("vertex")
    return vertex is not None and any(name == _WORDS[0] for name, _ in vertex.properties)


def load_compressed_ply(path: PathLike) -> Gaussians:
    """Read a compressed .ply, with or without ranges of colours and harmonics. Axes are not changed.

    Raises:
        InputError: no such file.
        FormatError: not a compressed .ply, truncated, or elements are missing.
    """
    tables = read_ply_tables(path)
    if not is_packed(tables):
        raise FormatError(f"{path} is no compressed .ply: its vertices lack {_WORDS[0]}; read it as .ply")
    return unpack(tables)


def unpack(tables: PlyTables) -> Gaussians:
    """The Gaussians of a compressed .ply of which the header is read; raises as `load_compressed_ply` does."""
    vertex, chunk = tables.rows("vertex"), tables.rows("chunk")
    words = _fields(tables, vertex, _WORDS, "u4")
    if len(chunk) != -(-len(vertex) // _CHUNK):
        raise FormatError(f"{tables.path} is damaged: {len(chunk)} chunks for {len(vertex)} Gaussians, 256 in each")
    ranges = {name: _fields(tables, chunk, _BOUNDS[name], "f4") for name in ("position", "scale")}
    unit = np.repeat([[0.0, 0, 0, 1, 1, 1]], len(chunk), 0)
    ranges["color"] = _fields(tables, chunk, _BOUNDS["color"], "f4") if "min_r" in _names(chunk) else unit
    position, rotation, scale, color = words.T
    three = np.stack([from_levels(rotation >> shift, 10) for shift in (20, 10, 0)], 1) * 2 - 1
    return Gaussians(
        means=_tensor(_between(ranges["position"], _split(position, _VECTOR_BITS))),
        quats=_tensor(join_smallest_three((rotation >> 30).astype(np.int64), three)),
        log_scales=_tensor(_between(ranges["scale"], _split(scale, _VECTOR_BITS))),
        logit_opacities=logits(_tensor(from_levels(color, 8))),
        sh0=rgb_to_sh0(_tensor(_between(ranges["color"], _split(color, _COLOR_BITS)))),
        shN=_unpack_harmonics(tables, len(vertex)),
    )


def save_compressed_ply(path: PathLike, gaussians: Gaussians) -> None:
    """Write a compressed .ply atomically, in spatial order so that the ranges of its chunks are small.

    Quantised, inside the range of 256 neighbours: positions and log scales to 1/2047 (y 1/1023), colours to 1/255;
    opacities to 1/255, quaternion components to 1/723, higher bands to 1/32 inside [-4, 4]. Log scales are clamped to
    [-20, 20]. Gaussians that hold NaN or infinity are left out. Axes are not changed.

    Raises:
        ResourceError: the file cannot be written.
    """
    g = ready(gaussians)
    g = g.select(spatial_order(g.means))
    log_scales = g.log_scales.clamp(-_LOG_SCALE_LIMIT, _LOG_SCALE_LIMIT)
    tables = [_ranges(values.numpy()) for values in (g.means, log_scales, g.rgb)]
    largest, three = split_smallest_three(unit_quaternions(g.quats).numpy())
    rotation = largest.astype(np.uint32) << 30
    for column, shift in zip(to_levels(three.T / 2 + 0.5, 10), (20, 10, 0), strict=True):
        rotation |= column << np.uint32(shift)
    color = _join(_within(tables[2], g.rgb.numpy()), _COLOR_BITS) | to_levels(g.opacities.numpy(), 8)
    position = _join(_within(tables[0], g.means.numpy()), _VECTOR_BITS)
    scale = _join(_within(tables[1], log_scales.numpy()), _VECTOR_BITS)
    rest = (g.shN.transpose(1, 2).flatten(1).numpy() / _SH_SPAN + 0.5) * 256
    with atomic_write(path) as temporary, temporary.open("wb") as file:
        file.write(_header(len(g), rest.shape[1]))
        file.write(np.concatenate(tables, 1).astype("<f4").tobytes())
        file.write(np.stack([position, rotation, scale, color], 1).astype("<u4").tobytes())
        file.write(np.clip(rest, 0, 255).astype(np.uint8).tobytes())


def _header(num: int, num_rest: int) -> bytes:
    lines = ["ply", "format binary_little_endian 1.0", f"element chunk {-(-num // _CHUNK)}"]
    lines += [f"property float {name}" for names in _BOUNDS.values() for name in names]
    lines += [f"element vertex {num}", *(f"property uint {name}" for name in _WORDS)]
    if num_rest:
        lines += [f"element sh {num}", *(f"property uchar f_rest_{i}" for i in range(num_rest))]
    return "\n".join([*lines, "end_header\n"]).encode()


def _ranges(values: np.ndarray) -> np.ndarray:
    """Least and greatest of each column of each chunk, [chunks, 6]."""
    starts = np.arange(0, len(values), _CHUNK)
    if not len(starts):
        return np.zeros((0, 6), np.float32)
    return np.concatenate([np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)], 1)


def _within(ranges: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values as fractions of their chunk's range, [N, 3]."""
    low, high = np.repeat(ranges.astype(np.float64), _CHUNK, 0)[: len(values)].reshape(-1, 2, 3).transpose(1, 0, 2)
    return (values - low) / np.where(high > low, high - low, 1)


def _between(ranges: np.ndarray, fractions: np.ndarray) -> np.ndarray:
    """Inverse of `_within`."""
    wide = np.repeat(ranges.astype(np.float64), _CHUNK, 0)[: len(fractions)]
    return wide[:, :3] * (1 - fractions) + wide[:, 3:] * fractions


def _join(fractions: np.ndarray, layout: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Three fractions in one 32-bit word, at the given shifts and widths."""
    word = np.zeros(len(fractions), np.uint32)
    for column, (shift, bits) in zip(fractions.T, layout, strict=True):
        word |= to_levels(column, bits) << np.uint32(shift)
    return word


def _split(word: np.ndarray, layout: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Inverse of `_join`."""
    return np.stack([from_levels(word >> shift, bits) for shift, bits in layout], 1)


def _unpack_harmonics(tables: PlyTables, num: int) -> torch.Tensor:
    element = tables.element("sh")
    if element is None:
        return torch.zeros(num, 0, 3)
    count = len(element.properties)
    if count not in [3 * (num_coefficients(degree) - 1) for degree in range(1, MAX_DEGREE + 1)] or element.count != num:
        raise FormatError(
            f"{tables.path} is damaged: {element.count} rows of {count} harmonics for {num} Gaussians, "
            "expected 9, 24 or 45 for each"
        )
    levels = _fields(tables, tables.rows("sh"), [f"f_rest_{i}" for i in range(count)], "u1")
    centres = (levels + 0.5) / 256
    fractions = np.where(levels == 0, 0, np.where(levels == 255, 1, centres))  # the outermost steps mean the ends
    return _tensor((fractions - 0.5) * _SH_SPAN).reshape(num, 3, count // 3).transpose(1, 2).contiguous()


def _fields(tables: PlyTables, rows: np.ndarray, names: list[str] | tuple[str, ...], kind: str) -> np.ndarray:
    """Columns of one type as a table, or an error that names what is missing."""
    present = {name for name in _names(rows) if rows.dtype[name].str[1:] == kind}
    missing = [name for name in names if name not in present]
    if missing:
        raise FormatError(f"{tables.path} is no complete compressed .ply: it lacks {', '.join(missing)} as {kind}")
    return np.stack([rows[name].astype(kind) for name in names], 1)


def _names(rows: np.ndarray) -> tuple[str, ...]:
    return rows.dtype.names or ()


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))
