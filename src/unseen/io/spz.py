"""Gaussians in Niantic's .spz format, about a tenth of a .ply.

A header, then one column after the other: positions as 24-bit fixed point, opacities, band-0 colours, log scales,
rotations, higher bands. Versions up to 3 are one gzip stream; version 4 keeps the header in the open and compresses
each column by itself with Zstandard. The axes are right-up-back unless a vendor's extension says otherwise.
Source: the format's definition and reference implementation, https://github.com/nianticlabs/spz.
"""

from __future__ import annotations

import gzip
import io
import math
import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch

from unseen.core.errors import FormatError, InputError, MissingDependencyError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, num_coefficients
from unseen.io.atomic import PathLike, write_bytes
from unseen.io.axes import Axes, rdf_to_rub
from unseen.io.packing import join_smallest_three, logits, ready, split_smallest_three, to_levels, unit_quaternions
from unseen.io.reading import check_expansion, read_bytes

_MAGIC = 0x5053474E
_HEADER = struct.Struct("<IIIBBBB")  # magic, version, count, degree, fractional bits, flags, streams (version 4)
_OPEN_HEADER_BYTES = 32  # of version 4: the header, where the table of streams is, reserved bytes
_READS = (2, 3, 4)
_HAS_EXTENSIONS = 0x2
_MAX_EXTENSION_BYTES = 1 << 16
_COORDINATE_SYSTEM, _RUB = 0xADBE0003, 4  # Adobe's extension that names other axes
_FRACTIONAL_BITS = 16  # at most: positions to 8 micrometres of a metre; fewer where the scene is large
_COLOR_SCALE = 0.15
_LOG_SCALE_MIN, _LOG_SCALE_STEPS = -10.0, 16.0
_MAGNITUDE_BITS = 9  # of a quaternion's component; a bit for the sign stands above


@dataclass(frozen=True)
class _Header:
    version: int
    count: int
    degree: int
    fractional_bits: int
    flags: int
    streams: int

    def column_bytes(self) -> list[int]:
        """Sizes of positions, opacities, colours, scales, rotations and harmonics."""
        n, rest = self.count, num_coefficients(self.degree) - 1
        return [9 * n, n, 3 * n, 3 * n, (3 if self.version < 3 else 4) * n, 3 * rest * n]


def load_spz(path: PathLike, axes: Axes = "RDF") -> Gaussians:
    """Read a .spz file of version 2, 3 or 4 (version 4 needs the package zstandard).

    Args:
        path: input.
        axes: axes of the Gaussians returned: "RDF" (y down, as .ply files have it) or "RUB" (y up, as the file has it).

    Raises:
        InputError: no such file.
        FormatError: not a .spz file, another version, damaged or truncated, or stored in other axes.
        MissingDependencyError: version 4 without zstandard.
    """
    data = read_bytes(path)
    compressed_columns = data[:4] == _MAGIC.to_bytes(4, "little")
    header, columns, extensions = (_open_version_4 if compressed_columns else _open_gzip)(path, data)
    _check_axes(path, extensions)
    gaussians = _decode(header, columns)
    return gaussians if axes == "RUB" else rdf_to_rub(gaussians)


def save_spz(path: PathLike, gaussians: Gaussians, axes: Axes = "RDF") -> None:
    """Write a .spz file of version 3, atomically.

    Quantised to: positions 24 bits with 16 or fewer of them behind the point (15 micrometres at that), log scales to
    1/16 inside [-10, 5.94], opacities to 8 bits, band-0 colours to 1/38, higher bands to 1/128 inside [-1, 1],
    quaternion components to 1/723. Gaussians that hold NaN or infinity are left out.

    Args:
        path: output.
        gaussians: any device.
        axes: axes the Gaussians are in, "RDF" (y down, as .ply files have it) or "RUB" (y up, heads).

    Raises:
        InputError: a position does not fit into 24 bits (4 million units).
        ResourceError: the file cannot be written.
    """
    g = ready(gaussians)
    g = g if axes == "RUB" else rdf_to_rub(g)
    bits = _fractional_bits(g.means)
    header = _HEADER.pack(_MAGIC, 3, len(g), g.sh_degree, bits, 0, 0)
    write_bytes(path, gzip.compress(header + b"".join(_encode(g, bits)), 6, mtime=0))


def _fractional_bits(means: torch.Tensor) -> int:
    """As many binary places as leave room for the farthest position in 24 bits with sign."""
    largest = float(means.abs().max()) if len(means) else 0.0
    bits = min(_FRACTIONAL_BITS, 23 - math.ceil(math.log2(max(largest, 1e-6) * (1 + 1e-6))))
    if bits < 1:
        raise InputError(f"a Gaussian lies {largest:.3g} units from the origin: .spz holds up to 4 million, use .ply")
    return bits


def _encode(g: Gaussians, fractional_bits: int) -> list[bytes]:
    """The columns in the order of the file, in the axes the Gaussians have."""
    positions = np.rint(np.ldexp(g.means.double().numpy(), fractional_bits)).astype("<i4")
    scales = (g.log_scales.numpy() - _LOG_SCALE_MIN) * _LOG_SCALE_STEPS / 255
    xyzw = unit_quaternions(g.quats)[:, [1, 2, 3, 0]].numpy()
    largest, three = split_smallest_three(xyzw)
    rotations = largest.astype(np.uint32) << np.uint32(30)
    for column, shift in zip(three.T, (20, 10, 0), strict=True):
        word = to_levels(np.abs(column), _MAGNITUDE_BITS) | (column < 0).astype(np.uint32) << np.uint32(_MAGNITUDE_BITS)
        rotations |= word << np.uint32(shift)
    columns = [
        positions.reshape(-1, 1).view(np.uint8)[:, :3],
        to_levels(g.opacities.numpy(), 8),
        to_levels(g.sh0.numpy() * _COLOR_SCALE + 0.5, 8),
        to_levels(scales, 8),
        rotations.astype("<u4").view(np.uint8),
        to_levels((np.rint(g.shN.double().numpy() * 128) + 128) / 255, 8),
    ]
    return [column.astype(np.uint8).tobytes() for column in columns]


def _decode(header: _Header, columns: list[bytes]) -> Gaussians:
    """Gaussians in the axes of the file."""
    n = header.count
    positions, alphas, colors, scales, rotations, harmonics = (np.frombuffer(column, np.uint8) for column in columns)
    fixed = np.zeros((3 * n, 4), np.uint8)
    fixed[:, 1:] = positions.reshape(-1, 3)  # in the upper bytes, so that the shift down keeps the sign
    means = np.ldexp((fixed.view("<i4") >> 8).astype(np.float64), -header.fractional_bits).reshape(n, 3)
    xyzw = _decode_three_bytes(rotations) if header.version < 3 else _decode_smallest_three(rotations)
    return Gaussians(
        means=_tensor(means),
        quats=_tensor(xyzw[:, [3, 0, 1, 2]]),
        log_scales=_tensor(scales.reshape(n, 3) / _LOG_SCALE_STEPS + _LOG_SCALE_MIN),
        logit_opacities=logits(_tensor(alphas / 255)),
        sh0=_tensor((colors.reshape(n, 3) / 255 - 0.5) / _COLOR_SCALE),
        shN=_tensor((harmonics.astype(np.float32) - 128) / 128).reshape(n, num_coefficients(header.degree) - 1, 3),
    )


def _decode_smallest_three(rotations: np.ndarray) -> np.ndarray:
    """Version 3: two bits name the largest component, ten (sign, magnitude) hold each other one, in falling order."""
    words = rotations.copy().view("<u4")
    three = np.empty((len(words), 3))
    for column, shift in enumerate((20, 10, 0)):
        bits = words >> np.uint32(shift)
        magnitude = (bits & ((1 << _MAGNITUDE_BITS) - 1)) / ((1 << _MAGNITUDE_BITS) - 1)
        three[:, column] = np.where(bits >> np.uint32(_MAGNITUDE_BITS) & 1, -magnitude, magnitude)
    return join_smallest_three((words >> 30).astype(np.int64), three)


def _decode_three_bytes(rotations: np.ndarray) -> np.ndarray:
    """Version 2: x, y, z as bytes; w is not negative."""
    xyz = rotations.reshape(-1, 3) / 127.5 - 1
    w = np.sqrt(np.clip(1 - (xyz**2).sum(1, keepdims=True), 0, None))
    return np.concatenate([xyz, w], 1)


def _tensor(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32))


def _open_gzip(path: PathLike, data: bytes) -> tuple[_Header, list[bytes], bytes]:
    """Header, columns and extensions of version 2 or 3."""
    unzip = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        start = unzip.decompress(data, _HEADER.size)
    except zlib.error:
        start = b""
    if len(start) < _HEADER.size:
        raise FormatError(f"{path} is not a .spz file: it is not gzip-compressed")
    header = _parse_header(path, start)
    sizes = header.column_bytes()
    check_expansion(path, sum(sizes), len(data))
    try:
        body = unzip.decompress(unzip.unconsumed_tail, sum(sizes)) if sum(sizes) else b""
        rest = unzip.decompress(unzip.unconsumed_tail, _MAX_EXTENSION_BYTES)
    except zlib.error as error:
        raise FormatError(f"{path} is damaged or truncated: {error}") from error
    if len(body) < sum(sizes) or not unzip.eof:
        raise FormatError(f"{path} is damaged or truncated: {len(body)} of {sum(sizes)} bytes, or its end, are missing")
    ends = [0, *np.cumsum(sizes).tolist()]
    return header, [body[a:b] for a, b in pairwise(ends)], rest if header.flags & _HAS_EXTENSIONS else b""


def _open_version_4(path: PathLike, data: bytes) -> tuple[_Header, list[bytes], bytes]:
    """Header, columns and extensions of version 4: a table of packed and unpacked sizes, then the streams that are
    not empty."""
    if len(data) < _OPEN_HEADER_BYTES:
        raise FormatError(f"{path} is truncated: {len(data)} bytes, less than the header of a .spz file")
    header = _parse_header(path, data)
    table = int.from_bytes(data[16:20], "little")
    start = table + 16 * header.streams
    sizes = header.column_bytes()
    filled = [size for size in sizes if size]
    if table < _OPEN_HEADER_BYTES or start > len(data) or header.streams != len(filled):
        raise FormatError(f"{path} is damaged or truncated: its table of {header.streams} streams does not fit")
    streams = []
    for size, (packed, unpacked) in zip(filled, struct.iter_unpack("<QQ", data[table:start]), strict=True):
        if unpacked != size or start + packed > len(data):
            raise FormatError(f"{path} is damaged or truncated: a stream of {unpacked} bytes, expected {size}")
        streams.append(_unpack_zstandard(path, data[start : start + packed], size))
        start += packed
    columns = [streams.pop(0) if size else b"" for size in sizes]
    extensions = data[_OPEN_HEADER_BYTES:table] if header.flags & _HAS_EXTENSIONS else b""
    return header, columns, extensions


def _unpack_zstandard(path: PathLike, packed: bytes, size: int) -> bytes:
    try:
        import zstandard
    except ImportError:
        raise MissingDependencyError(
            f"{path} is a .spz of version 4, which needs the package zstandard: pip install zstandard, "
            "or save the file as version 3"
        ) from None
    check_expansion(path, size, len(packed))
    try:
        with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as reader:
            unpacked = reader.read(size + 1)
    except zstandard.ZstdError as error:
        raise FormatError(f"{path} is damaged or truncated: {error}") from error
    if len(unpacked) != size:
        raise FormatError(f"{path} is damaged or truncated: a stream of another size than the {size} bytes announced")
    return unpacked


def _parse_header(path: PathLike, data: bytes) -> _Header:
    magic, version, count, degree, bits, flags, streams = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise FormatError(f"{path} is not a .spz file: its contents do not start with NGSP")
    if version not in _READS:
        raise FormatError(
            f"{path} is a .spz of version {version}: expected version 2, 3 or 4; save it again as version 3"
        )
    if degree > MAX_DEGREE:
        raise FormatError(f"{path} has spherical harmonics of degree {degree}: expected at most {MAX_DEGREE}")
    return _Header(version, count, degree, bits, flags, streams)


def _check_axes(path: PathLike, extensions: bytes) -> None:
    """Refuse other axes than right-up-back; further records of vendors concern cameras and are skipped."""
    while len(extensions) >= 8:
        kind, size = struct.unpack_from("<II", extensions)
        if kind == _COORDINATE_SYSTEM and extensions[8:12] not in (bytes(4), _RUB.to_bytes(4, "little")):
            raise FormatError(
                f"{path} is stored in the axes number {int.from_bytes(extensions[8:12], 'little')} of the extension "
                "SPZ_ADOBE_coordinate_system: expected right-up-back; save it again without the extension"
            )
        extensions = extensions[8 + size :]
