"""Motion files: per-frame head parameters in the forms the field keeps them in, read lazily, at fractional times too.

VHAP and GaussianAvatars: one .npz of arrays [T, ...], or a folder with one .npz per frame. OxiGAF: JSON with a list of
frames (shape, expression, pose of 15 numbers, translation), or the same names as arrays in one .npz.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import FormatError, InputError
from unseen.core.rotations import axis_angle_slerp
from unseen.head.params import FRAME_FIELDS, HeadParams
from unseen.io.arrays import array_files
from unseen.io.atomic import atomic_write, write_text

CACHED_FRAMES = 256
"""Frames kept in memory by a lazily read sequence."""

_POSE_FIELDS = ("rotation", "neck_pose", "jaw_pose", "eyes_pose")
_OFFSETS = ("static_offset", "dynamic_offset")


class FlameSequence:
    """Head parameters of T frames, FLAME's or any model's; frames are read when asked for and the last 256 kept.

    Attributes:
        fps: frames per second, None where the file does not say.
        variant: head model the parameters belong to, None where the file does not say.
    """

    def __init__(
        self, frame: Callable[[int], HeadParams], length: int, fps: float | None = None, variant: str | None = None
    ) -> None:
        self._frame = lru_cache(CACHED_FRAMES)(frame)
        self._length, self.fps, self.variant = length, fps, variant

    @classmethod
    def from_params(cls, params: HeadParams, fps: float | None = None, variant: str | None = None) -> FlameSequence:
        """A sequence of parameters that are in memory already."""
        return cls(lambda i: params[i], len(params), fps, variant)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> FlameSequence:
        """Open a .json or .npz file, a folder of per-frame .npz files, or a capture with such a folder `flame_param`.

        Raises:
            InputError: there is nothing at `path`, or nothing that holds a motion.
            FormatError: the file is damaged or lacks what a motion needs; the files of a folder are checked when read.
        """
        path = Path(path)
        if path.is_dir():
            return _open_folder(path)
        if not path.is_file():
            raise InputError(f"no motion at {path}: expected a .json or .npz file, or a folder of .npz files")
        if path.suffix.lower() == ".json":
            return _open_json(path)
        if path.suffix.lower() == ".npz":
            arrays = _read_npz(path)
            name = bytes(arrays["head_model"].astype(np.uint8)).decode() if "head_model" in arrays else None
            fps = float(arrays["fps"].reshape(-1)[0]) if "fps" in arrays else None
            return cls.from_params(arrays_to_params(arrays, path), fps, name)
        raise InputError(
            f"{path} has suffix {path.suffix!r}: a motion is a .json or .npz file, or a folder of .npz files"
        )

    def __len__(self) -> int:
        return self._length

    def params(self, frames: int | slice | Iterable[int] | None = None) -> HeadParams:
        """The parameters of some frames, all by default; shape and static offset are those of the first one chosen.

        Raises:
            IndexError: there is no such frame.
            FormatError: a frame's file is damaged, or frames have different numbers of coefficients.
        """
        if frames is None or isinstance(frames, slice):
            frames = range(self._length)[frames or slice(None)]
        chosen = [frames] if isinstance(frames, int) else list(frames)
        parts = [self._frame(range(self._length)[int(i)]) for i in chosen]
        widths = {(p.expr.shape[1], p.dynamic_offset is None or p.dynamic_offset.shape[1:]) for p in parts}
        if len(widths) > 1:
            raise FormatError(
                f"frames of one motion differ in their numbers of coefficients: {sorted(map(str, widths))}"
            )
        return HeadParams.cat(parts)

    def interpolate(self, times: float | Sequence[float] | Float[Tensor, "N"]) -> HeadParams:
        """Parameters at fractional frame numbers (0 is the first frame; clamped to the ends): rotations by slerp per
        joint, everything else linearly."""
        t = torch.as_tensor(times, dtype=torch.float64).reshape(-1).clamp(0, self._length - 1)
        low = t.floor().long()
        high = (low + 1).clamp_max(self._length - 1)
        fraction = (t - low)[:, None]
        a, b = self.params(low.tolist()), self.params(high.tolist())
        fraction = fraction.to(a.expr)
        mixed: dict[str, Tensor] = {}
        for name in FRAME_FIELDS:
            x, y = getattr(a, name), getattr(b, name)
            if name in _POSE_FIELDS:
                x, y = (v.unflatten(-1, (-1, 3)) for v in (x, y))
                mixed[name] = axis_angle_slerp(x, y, fraction[:, None]).flatten(1)
            else:
                mixed[name] = torch.lerp(x, y, fraction)
        if a.dynamic_offset is not None and b.dynamic_offset is not None:
            mixed["dynamic_offset"] = torch.lerp(a.dynamic_offset, b.dynamic_offset, fraction[..., None])
        return replace(a, **mixed)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write all frames, atomically: .npz in VHAP's stacked form, or .json in OxiGAF's.

        Raises:
            InputError: another suffix, or per-frame offsets, for which JSON has no place.
            ResourceError: the file cannot be written.
        """
        path, params = Path(path), self.params()
        if path.suffix.lower() == ".json":
            write_text(path, json.dumps(_to_json(params, self.fps, self.variant)) + "\n")
        elif path.suffix.lower() == ".npz":
            arrays = params_to_arrays(params)
            if self.variant is not None:  # numbers only: GaussianAvatars makes a tensor of every array it finds
                arrays["head_model"] = np.frombuffer(self.variant.encode(), np.uint8)
            if self.fps is not None:
                arrays["fps"] = np.array([self.fps], np.float32)
            with atomic_write(path) as temporary:
                np.savez(temporary, **arrays)  # type: ignore[arg-type]
        else:
            raise InputError(f"{path} has suffix {path.suffix!r}: a motion is written as .npz or .json")


def params_to_arrays(params: HeadParams) -> dict[str, np.ndarray]:
    """VHAP's arrays: per-frame ones [T, ...], `shape` [S], `static_offset` [1, V, 3]; and `eyelids` [T, 2]; float32."""
    values = {name: getattr(params, name) for name in ("shape", *FRAME_FIELDS, *_OFFSETS)}
    arrays = {k: v.detach().cpu().numpy().astype(np.float32) for k, v in values.items() if v is not None}
    if "static_offset" in arrays:
        arrays["static_offset"] = arrays["static_offset"][None]
    return arrays


def arrays_to_params(arrays: Mapping[str, Any], source: str | os.PathLike[str] = "the motion") -> HeadParams:
    """Inverse of `params_to_arrays`; understands OxiGAF's `expression` and `pose` [T, 15] too. A single frame may come
    without the frame dimension; joints, translation and eyelids that are absent are zero; other arrays are ignored.

    Raises:
        FormatError: no expression, frame counts or widths that do not fit, values that are not finite numbers.
    """
    given = {name: arrays[name] for name in ("shape", *FRAME_FIELDS, *_OFFSETS) if name in arrays}
    if "expr" not in given and "expression" in arrays:
        given["expr"] = arrays["expression"]
    if "pose" in arrays:
        pose = _numbers(arrays["pose"], "pose", source)
        pose = pose.reshape(-1, pose.shape[-1] if pose.ndim else 1)
        if pose.shape[1] != 15:
            raise FormatError(f"{source}: a pose has {pose.shape[1]} numbers, expected 15: five joints' axis-angles")
        given |= dict(zip(_POSE_FIELDS, np.split(pose, [3, 6, 9], 1), strict=True))
    if "expr" not in given:
        raise FormatError(f"{source} holds no head motion: no array 'expr' or 'expression' among {sorted(arrays)[:12]}")
    values = {name: _numbers(value, name, source) for name, value in given.items()}
    for name in FRAME_FIELDS:
        if name in values and values[name].ndim == 1:
            values[name] = values[name][None]
    frames = len(values["expr"])
    full = {name: values.get(name, np.zeros((frames, width or 0), np.float32)) for name, width in FRAME_FIELDS.items()}
    shape = values.get("shape", np.zeros(0, np.float32))
    full["shape"] = shape.reshape(-1, shape.shape[-1])[0] if shape.size else np.zeros(0, np.float32)
    if "static_offset" in values:
        full["static_offset"] = values["static_offset"].reshape(-1, *values["static_offset"].shape[-2:])[0]
    if "dynamic_offset" in values:
        full["dynamic_offset"] = values["dynamic_offset"]
    try:
        return HeadParams(**{name: torch.from_numpy(value) for name, value in full.items()})
    except InputError as error:
        raise FormatError(f"{source}: {error}") from None


def _numbers(value: Any, name: str, source: str | os.PathLike[str]) -> np.ndarray:
    try:
        array = np.array(value, np.float32)
    except (ValueError, TypeError) as error:
        raise FormatError(f"{source}: {name} is not an array of numbers: {error}") from None
    if not np.isfinite(array).all():
        raise FormatError(f"{source}: {name} holds values that are not finite")
    return array


def _read_npz(path: Path) -> dict[str, np.ndarray]:
    """The arrays of numbers in an .npz; others (VHAP stores names of time steps) are left out."""
    arrays = {}
    try:
        with np.load(path, allow_pickle=False) as archive:
            for name in archive.files:
                if name in ("shape", "expression", "pose", "fps", "head_model", *FRAME_FIELDS, *_OFFSETS):
                    arrays[name] = archive[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path} is not an .npz file of arrays: {error}") from error
    return arrays


def _open_folder(path: Path) -> FlameSequence:
    folder = path / "flame_param" if (path / "flame_param").is_dir() else path
    files = array_files(folder)
    if not files:
        raise InputError(f"no motion in {path}: expected .npz files, one per frame, there or in {path / 'flame_param'}")
    about = _read_json(path / "transforms.json") if (path / "transforms.json").is_file() else {}
    about = about if isinstance(about, dict) else {}

    def frame(i: int) -> HeadParams:
        params = arrays_to_params(_read_npz(files[i]), files[i])
        if len(params) != 1:
            raise FormatError(f"{files[i]} holds {len(params)} frames, expected one")
        return params

    return FlameSequence(frame, len(files), about.get("fps"), about.get("head_model"))


def _open_json(path: Path) -> FlameSequence:
    content = _read_json(path)
    about = content if isinstance(content, dict) else {}
    frames = about.get("frames") if about else content
    if not isinstance(frames, list) or not frames or not all(isinstance(f, dict) for f in frames):
        raise FormatError(f"{path} holds no head motion: expected a list of frames, or an object with a list 'frames'")
    common = {"static_offset": about["static_offset"]} if about.get("static_offset") is not None else {}

    def frame(i: int) -> HeadParams:
        given = {name: value for name, value in {**common, **frames[i]}.items() if value is not None}
        return arrays_to_params(given, f"{path}, frame {i}")

    return FlameSequence(frame, len(frames), about.get("fps"), about.get("head_model"))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not a JSON file: {error}") from error


def _to_json(params: HeadParams, fps: float | None, variant: str | None) -> dict[str, Any]:
    if params.dynamic_offset is not None:
        raise InputError("a JSON motion has no place for per-frame offsets: save as .npz")
    arrays = params_to_arrays(params)
    shape = arrays["shape"].tolist()
    poses = np.concatenate([arrays[name] for name in _POSE_FIELDS], 1).tolist()
    rows = zip(arrays["expr"].tolist(), poses, arrays["translation"].tolist(), arrays["eyelids"].tolist(), strict=True)
    frames = [
        {"shape": shape, "expression": expr, "pose": pose, "translation": place, "eyelids": lids}
        for expr, pose, place, lids in rows
    ]
    about: dict[str, Any] = {} if fps is None else {"fps": fps}
    if variant is not None:
        about["head_model"] = variant
    if params.static_offset is not None:
        about["static_offset"] = params.static_offset.tolist()
    return {**about, "frames": frames}
