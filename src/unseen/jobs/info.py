"""What a file holds: Gaussians of any format, files of this package, arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from unseen.core.gaussians import Gaussians
from unseen.io.scene import format_of, load_gaussians, stored_bytes
from unseen.io.tensors import describe_arrays, describe_tensors

PERCENTILES = (1, 5, 50, 95, 99)


def run_info(path: Path) -> dict[str, Any]:
    """Describe a file: of Gaussians, or an avatar, track or checkpoint (.safetensors), or arrays (.npz).

    For Gaussians: `format`, `splats`, `sh_degree`, `axes`, `bytes`, `bytes_per_splat`, `non_finite` (how many hold NaN
    or infinity), and over the others `bounds` {min, max} of the centres and `percentiles` {opacity, scale} by percent.

    Raises:
        InputError: no such file, or of no kind known here.
        FormatError: damaged, or not what its name says.
    """
    for suffix, describe in ((".safetensors", describe_tensors), (".npz", describe_arrays)):
        if path.suffix.lower() == suffix:
            return {"file": str(path), "bytes": stored_bytes(path), **describe(path)}
    found = format_of(path)
    splats = load_gaussians(path, axes="RUB")
    axes = "+Y up, fixed by the format" if found.y_up else "not in the file: from photos usually y down, heads y up"
    size = stored_bytes(path)
    return {
        "file": str(path),
        "format": found.name,
        "splats": len(splats),
        "sh_degree": splats.sh_degree,
        "axes": axes,
        "bytes": size,
        "bytes_per_splat": round(size / len(splats), 2) if len(splats) else None,
        **_statistics(splats),
    }


def lines_of(info: dict[str, Any]) -> list[str]:
    """The description as lines for people."""
    lines = []
    for name, value in info.items():
        if name == "tensors":
            lines += [f"{tensor:<26} {' x '.join(map(str, shape)) or 'one number'}" for tensor, shape in value.items()]
        elif isinstance(value, dict):
            lines += [f"{name + ' ' + str(key):<18} {_text(inner)}" for key, inner in value.items()]
        else:
            lines.append(f"{name:<18} {_text(value)}")
    return lines


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(inner)}" for key, inner in value.items())
    if isinstance(value, list):
        return "  ".join(map(_text, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _statistics(splats: Gaussians) -> dict[str, Any]:
    kept = splats.detach().to("cpu").finite()
    counted = {"non_finite": len(splats) - len(kept)}
    if not len(kept):
        return {**counted, "bounds": None, "percentiles": None}
    values = {"opacity": kept.opacities.numpy(), "scale": kept.scales.numpy()}
    percentiles = {
        name: {str(p): float(v) for p, v in zip(PERCENTILES, np.percentile(array, PERCENTILES), strict=True)}
        for name, array in values.items()
    }
    bounds = {"min": kept.means.amin(0).tolist(), "max": kept.means.amax(0).tolist()}
    return {**counted, "bounds": bounds, "percentiles": percentiles}
