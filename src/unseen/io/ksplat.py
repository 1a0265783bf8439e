"""Reading Gaussians from .ksplat, the format of mkkellogg's viewer: sections of buckets, three levels of quantisation.

A main header of 4096 bytes, one of 1024 bytes per section, then per section the lengths of its partly filled buckets,
the centres of all buckets, and records: position, scale, quaternion wxyz, colour and opacity as bytes, harmonics. At
level 0 all numbers are float32; at level 1 and 2 positions are 16 bits about their bucket's centre and the others
float16, at level 2 harmonics are bytes. Source: https://github.com/mkkellogg/GaussianSplats3D, the viewer's own loader.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import torch

from unseen.core.errors import FormatError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, num_coefficients, rgb_to_sh0
from unseen.io.atomic import PathLike
from unseen.io.packing import logits
from unseen.io.reading import damaged_if_it_fails, read_bytes

_HEADER_BYTES, _SECTION_BYTES = 4096, 1024
_LEVELS = (("<f4", "<f4", "<f4"), ("<u2", "<f2", "<f2"), ("<u2", "<f2", "u1"))  # position, scale and turn, harmonics
_POSITION_STEPS = 32767  # from a bucket's centre to its side
_HARMONICS_RANGE = (-1.5, 1.5)  # of level 2, where the header does not say


@dataclass(frozen=True)
class _Section:
    count: int
    capacity: int
    bucket_size: int
    num_buckets: int
    block_size: float
    bucket_bytes: int
    steps: int
    full_buckets: int
    partial_buckets: int
    degree: int

    @staticmethod
    def parse(data: bytes, start: int) -> _Section:
        """Read a section's header."""
        count, capacity, size, buckets, block, stored, steps, _, full, partial, degree = struct.unpack_from(
            "<IIIIfHxxIIIIH", data, start
        )
        return _Section(count, capacity, size, buckets, block, stored, steps or _POSITION_STEPS, full, partial, degree)


def load_ksplat(path: PathLike) -> Gaussians:
    """Read a .ksplat file of version 0.1; axes are not changed.

    Raises:
        InputError: no such file.
        FormatError: not a .ksplat file, another version or level, damaged or truncated.
    """
    data = read_bytes(path)
    with damaged_if_it_fails(path, ".ksplat structure"):
        if len(data) < _HEADER_BYTES or data[0] != 0 or data[1] < 1:
            raise FormatError(f"{path} is not a .ksplat file of version 0.1, or a truncated one")
        num_sections, level = struct.unpack_from("<I", data, 4)[0], struct.unpack_from("<H", data, 20)[0]
        if level >= len(_LEVELS):
            raise FormatError(f"{path} is quantised at level {level}: expected 0, 1 or 2")
        start = _HEADER_BYTES + num_sections * _SECTION_BYTES
        if start > len(data):
            raise FormatError(f"{path} is truncated: {num_sections} sections do not fit into {len(data)} bytes")
        low, high = (stored or usual for stored, usual in zip(_span(data), _HARMONICS_RANGE, strict=True))
        parts = []
        for k in range(num_sections):
            section = _Section.parse(data, _HEADER_BYTES + k * _SECTION_BYTES)
            part, start = _read_section(path, data, start, section, level, (low, high))
            parts.append(part)
        return Gaussians.cat(parts)


def _span(data: bytes) -> tuple[float, float]:
    low, high = struct.unpack_from("<2f", data, 36)
    return low, high


def _read_section(
    path: PathLike, data: bytes, start: int, section: _Section, level: int, span: tuple[float, float]
) -> tuple[Gaussians, int]:
    """Gaussians of one section, and where the next begins."""
    if not 0 <= section.degree <= MAX_DEGREE:
        raise FormatError(f"{path} has spherical harmonics of degree {section.degree}: expected at most {MAX_DEGREE}")
    place, fine, coarse = _LEVELS[level]
    rest = num_coefficients(section.degree) - 1
    record = np.dtype([
        ("mean", place, 3), ("scale", fine, 3), ("quat", fine, 4), ("rgba", "u1", 4), ("sh", coarse, 3 * rest),
    ])  # fmt: skip
    centres_at = start + 4 * section.partial_buckets
    records_at = centres_at + section.bucket_bytes * section.num_buckets
    end = records_at + record.itemsize * section.capacity
    if end > len(data) or section.count > section.capacity:
        raise FormatError(f"{path} is damaged or truncated: a section ends at byte {end} of {len(data)}")
    rows = np.frombuffer(data, record, section.count, records_at)
    means = rows["mean"].astype(np.float64)
    if level:
        buckets = np.ndarray((section.num_buckets, 3), "<f4", data, centres_at, (section.bucket_bytes, 4))
        lengths = np.frombuffer(data, "<u4", section.partial_buckets, start)
        centres = buckets[_buckets_of(section, lengths)]
        means = (means - section.steps) * (section.block_size / 2 / section.steps) + centres
    low, high = span if coarse == "u1" else (0.0, 1.0)
    harmonics = low + rows["sh"].astype(np.float64) / (255 if coarse == "u1" else 1) * (high - low)
    rgba = torch.from_numpy(rows["rgba"].astype(np.float32)) / 255
    tiny = torch.finfo(torch.float32).tiny
    gaussians = Gaussians(
        means=torch.from_numpy(means.astype(np.float32)),
        quats=torch.from_numpy(rows["quat"].astype(np.float32)),
        log_scales=torch.from_numpy(rows["scale"].astype(np.float32)).clamp_min(tiny).log(),
        logit_opacities=logits(rgba[:, 3]),
        sh0=rgb_to_sh0(rgba[:, :3]),
        shN=_coefficient_major(torch.from_numpy(harmonics.astype(np.float32)), section.degree),
    )
    return gaussians, end


def _buckets_of(section: _Section, partial_lengths: np.ndarray) -> np.ndarray:
    """Which bucket each record lies in: full buckets first, then those of the given lengths."""
    full = section.full_buckets * section.bucket_size
    index = np.minimum(np.arange(section.count), full) // max(section.bucket_size, 1)
    ends = full + np.cumsum(partial_lengths.astype(np.int64))
    behind = np.arange(full, section.count)
    index[full:] = section.full_buckets + np.searchsorted(ends, behind, side="right")
    return index


def _coefficient_major(harmonics: torch.Tensor, degree: int) -> torch.Tensor:
    """[N, 3 (K-1)] with the bands after each other and channel-major in each, as [N, K-1, 3]."""
    bands, start = [], 0
    for band in range(1, degree + 1):
        width = 3 * (2 * band + 1)
        bands.append(harmonics[:, start : start + width].reshape(-1, 3, 2 * band + 1).transpose(1, 2))
        start += width
    return torch.cat([harmonics.new_zeros(len(harmonics), 0, 3), *bands], 1)
