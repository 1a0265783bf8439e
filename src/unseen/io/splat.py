"""Gaussians in the .splat format (antimatter15's web viewer): 32 bytes each, no header, no view-dependent colour."""

from __future__ import annotations

import numpy as np
import torch

from unseen.core.errors import FormatError
from unseen.core.gaussians import Gaussians
from unseen.core.sh import rgb_to_sh0
from unseen.io.atomic import PathLike, write_bytes
from unseen.io.packing import logits, ready, unit_quaternions
from unseen.io.reading import read_bytes

# rgba: band-0 colour and opacity times 255. quat: unit wxyz times 128 plus 128.
_RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def load_splat(path: PathLike) -> Gaussians:
    """Read a .splat file; spherical-harmonic degree 0, in the order of the file, axes unchanged.

    Raises:
        InputError: no such file.
        FormatError: the size is no multiple of 32 bytes, or a scale is not positive.
    """
    data = read_bytes(path)
    if len(data) % _RECORD.itemsize:
        raise FormatError(f"{path} has {len(data)} bytes, no multiple of 32: it is no .splat file, or a truncated one")
    records = np.frombuffer(data, _RECORD)
    if not (np.isfinite(records["scale"]).all() and (records["scale"] > 0).all()):
        raise FormatError(f"{path} holds scales that are not positive numbers: it is no .splat file, or a damaged one")
    rgba = torch.from_numpy(records["rgba"].astype(np.float32)) / 255
    return Gaussians(
        means=torch.from_numpy(records["mean"].copy()),
        quats=(torch.from_numpy(records["quat"].astype(np.float32)) - 128) / 128,
        log_scales=torch.from_numpy(records["scale"].copy()).log(),
        logit_opacities=logits(rgba[:, 3]),
        sh0=rgb_to_sh0(rgba[:, :3]),
        shN=torch.zeros(len(records), 0, 3),
    )


def save_splat(path: PathLike, gaussians: Gaussians) -> None:
    """Write a .splat file atomically, the largest and most opaque first, as viewers that stream it expect.

    Colours are reduced to band 0 and 8 bits, opacities and quaternion components to 8 bits; Gaussians that hold NaN or
    infinity are left out. Axes are not changed.

    Raises:
        ResourceError: the file cannot be written.
    """
    g = ready(gaussians)
    g = g.select(torch.argsort(g.log_scales.sum(1) + torch.log(g.opacities), descending=True, stable=True))
    limits = torch.finfo(torch.float32)
    records = np.zeros(len(g), _RECORD)
    records["mean"] = g.means
    records["scale"] = g.scales.clamp(limits.tiny, limits.max)
    records["rgba"] = _to_byte(torch.cat([g.rgb, g.opacities[:, None]], 1) * 255)
    records["quat"] = _to_byte(unit_quaternions(g.quats) * 128 + 128)
    write_bytes(path, records.tobytes())


def _to_byte(values: torch.Tensor) -> torch.Tensor:
    return values.round().clamp(0, 255).byte()
