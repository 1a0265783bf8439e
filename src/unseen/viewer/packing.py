"""Arrays as text inside a page: quantised, byte plane after byte plane, gzip, base64. Read by assets/payload.js."""

from __future__ import annotations

import base64
import gzip
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TYPES = {"u1": "u8", "u2": "u16", "i2": "i16", "u4": "u32", "f4": "f32"}


@dataclass
class Packer:
    """Collects named arrays; `manifest` describes them in order, `base64()` is their text."""

    manifest: list[dict[str, Any]] = field(default_factory=list)
    _chunks: list[bytes] = field(default_factory=list)

    def add(self, name: str, array: NDArray, delta: bool = False, **more: Any) -> None:
        """Store an array of a type in `_TYPES`; `delta` stores differences along the first axis (integers wrap)."""
        array = np.ascontiguousarray(array)
        if delta:
            array = np.concatenate([array[:1], array[1:] - array[:-1]])
        size = array.dtype.itemsize
        little = array.astype(array.dtype.newbyteorder("<"), copy=False)
        planes = np.frombuffer(little.tobytes(), np.uint8).reshape(-1, size).T
        kind = _TYPES[array.dtype.str[1:]]
        self.manifest.append({"name": name, "type": kind, "shape": list(array.shape), "delta": delta, **more})
        self._chunks.append(planes.tobytes())

    def add_quantised(
        self, name: str, values: NDArray, lo: ArrayLike, hi: ArrayLike, bits: int = 16, delta: bool = False
    ) -> None:
        """Store floats as whole numbers that divide [lo, hi] (numbers, or one per entry of the last axis) evenly."""
        lo, hi = np.atleast_1d(np.asarray(lo, np.float64)), np.atleast_1d(np.asarray(hi, np.float64))
        extent = np.where(hi > lo, hi - lo, 1.0)
        levels = (1 << bits) - 1
        whole = np.rint((np.asarray(values, np.float64) - lo) / extent * levels).clip(0, levels)
        whole = whole.astype(np.uint16 if bits > 8 else np.uint8)
        self.add(name, whole, delta, lo=lo.tolist(), hi=(lo + extent).tolist())

    def base64(self) -> str:
        """All arrays as one text; the same arrays give the same text."""
        return base64.b64encode(gzip.compress(b"".join(self._chunks), 6, mtime=0)).decode("ascii")
