"""Gaussians in Niantic's .spz format, about a tenth of a .ply.

The packing is gsply's (MIT), which agrees with the format's definition on bit layout, quaternion order (xyzw, smallest
three), colour scale and spherical-harmonic order. What it leaves to its caller is done here: axes (the format is
right-up-back), quaternions of length zero, values that are not finite, the resolution of positions, atomic writing.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from unseen.core.errors import FormatError, InputError
from unseen.core.gaussians import Gaussians
from unseen.io.atomic import PathLike, atomic_write
from unseen.io.axes import rdf_to_rub

Axes = Literal["RDF", "RUB"]

_MAGIC = 0x5053474E
_FRACTIONAL_BITS = 16  # at most: positions to 8 micrometres of a metre; fewer where the scene is large


def load_spz(path: PathLike, axes: Axes = "RDF") -> Gaussians:
    """Read a .spz file of version 2 or 3.

    Args:
        path: input.
        axes: axes of the Gaussians returned: "RDF" (y down, as .ply files have it) or "RUB" (y up, as the file has it).

    Raises:
        InputError: no such file.
        FormatError: not a .spz file, another version, damaged or truncated.
    """
    import gsply

    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    _check_header(path, data)
    try:
        read = gsply.read_spz(Path(path))
    except ValueError as error:
        raise FormatError(f"{path} is damaged or truncated: {str(error).split(': ')[0]}") from error
    shN = np.zeros((len(read.means), 0, 3), np.float32) if read.shN is None else read.shN
    arrays = (read.means, read.quats, read.scales, read.opacities, read.sh0, shN)
    gaussians = Gaussians(*(torch.from_numpy(np.array(array, np.float32)) for array in arrays))
    return gaussians if axes == "RUB" else rdf_to_rub(gaussians)


def save_spz(path: PathLike, gaussians: Gaussians, axes: Axes = "RDF") -> None:
    """Write a .spz file of version 3, atomically.

    Quantised to: positions 24 bits with 16 or fewer of them behind the point (15 micrometres at that), log scales to
    1/16, opacities to 8 bits, band-0 colours to 1/38, higher bands to 1/128 inside [-1, 1], quaternion components to
    1/723. Gaussians that hold NaN or infinity are left out.

    Args:
        path: output.
        gaussians: any device.
        axes: axes the Gaussians are in, "RDF" (y down, as .ply files have it) or "RUB" (y up, heads).

    Raises:
        InputError: a position does not fit into 24 bits (4 million units).
        ResourceError: the file cannot be written.
    """
    import gsply

    g = gaussians.detach().to("cpu", torch.float32).finite()
    g = g if axes == "RUB" else rdf_to_rub(g)
    quats = torch.where(g.quats.norm(dim=1, keepdim=True) > 0, g.quats, g.quats.new_tensor([1.0, 0, 0, 0]))
    data = gsply.GSData.from_arrays(
        means=g.means.numpy(),
        scales=g.log_scales.numpy(),
        quats=torch.nn.functional.normalize(quats, dim=1).numpy(),
        opacities=g.logit_opacities.clamp(-30, 30).numpy(),
        sh0=g.sh0.numpy(),
        shN=g.shN.numpy() if g.shN.shape[1] else None,
        format="ply",
    )
    with atomic_write(path) as temporary:
        gsply.write_spz(temporary, data, version=3, fractional_bits=_fractional_bits(g.means))


def _fractional_bits(means: torch.Tensor) -> int:
    """As many binary places as leave room for the farthest position in 24 bits with sign."""
    largest = float(means.abs().max()) if len(means) else 0.0
    bits = min(_FRACTIONAL_BITS, 23 - math.ceil(math.log2(max(largest, 1e-6) * (1 + 1e-6))))
    if bits < 1:
        raise InputError(f"a Gaussian lies {largest:.3g} units from the origin: .spz holds up to 4 million, use .ply")
    return bits


def _check_header(path: PathLike, data: bytes) -> None:
    """Refuse with a clear word what is not a .spz of version 2 or 3."""
    if data[:4] == _MAGIC.to_bytes(4, "little"):
        version = int.from_bytes(data[4:8], "little")
        raise FormatError(f"{path} is a .spz of version {version}: expected version 2 or 3; save it again as version 3")
    try:
        header = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS).decompress(data, 16)
        magic, version, _, degree = struct.unpack_from("<IIIB", header)
    except (zlib.error, gzip.BadGzipFile, struct.error) as error:
        raise FormatError(f"{path} is not a .spz file: it is not gzip-compressed") from error
    if magic != _MAGIC:
        raise FormatError(f"{path} is not a .spz file: its contents do not start with NGSP")
    if version not in (2, 3):
        raise FormatError(f"{path} is a .spz of version {version}: expected version 2 or 3; save it again as version 3")
    if degree > 3:
        raise FormatError(f"{path} has spherical harmonics of degree {degree}: expected at most 3")
