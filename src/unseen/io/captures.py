"""The capture layout of VHAP and GaussianAvatars: transforms.json, pictures, mattes, head parameters.

    images/{timestep:05d}_{camera:02d}.png      on white          transforms.json             all frames
    fg_masks/{timestep:05d}_{camera:02d}.png    mattes            transforms_{train,val,test}.json
    flame_param/{timestep:05d}.npz              one time step     canonical_flame_param.npz   the subject, mouth open

Head parameters pass as plain arrays under VHAP's names (`shape` [S], `expr` [T, E], `rotation`, `neck_pose`,
`jaw_pose`, `translation` [T, 3], `eyes_pose` [T, 6], `static_offset` [1, V, 3], `dynamic_offset` [T, V, 3]); what else
a head model has (`eyelids` [T, 2]) travels with them, and readers that do not know it pass it over.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.io.atomic import PathLike, atomic_write, make_folder, write_json
from unseen.io.images import ImageLike, read_image, read_mask, to_uint8_image, write_image
from unseen.io.transforms import camera_from_entry, camera_to_entry, image_path, read_transforms

SPLITS = ("train", "val", "test")
CANONICAL_JAW_RAD = 0.3
"""Opening of the mouth in canonical_flame_param.npz."""

_SHARED = ("shape", "static_offset")
"""Arrays that all time steps have in common."""


@dataclass(frozen=True)
class CaptureFrame:
    """What one camera saw at one time.

    Attributes:
        camera: OpenCV axes, pixels.
        image_path, mask_path, params_path: files; the latter two None where the capture has none.
        timestep, camera_index: counted from 0.
        timestep_id, camera_id: the names they had in the recording.
    """

    camera: Camera
    image_path: Path
    mask_path: Path | None
    params_path: Path | None
    timestep: int
    camera_index: int
    timestep_id: str = ""
    camera_id: str = ""

    def image(self) -> UInt8[Tensor, "H W 3"]:
        """The picture; raises InputError where the file is absent, FormatError where it is damaged."""
        return read_image(self.image_path)

    def mask(self) -> UInt8[Tensor, "H W"]:
        """The matte, 255 on the person; all 255 where the capture has none."""
        if self.mask_path is None:
            return torch.full((self.camera.height, self.camera.width), 255, dtype=torch.uint8)
        return (read_mask(self.mask_path) * 255).round().to(torch.uint8)

    def params(self) -> dict[str, np.ndarray]:
        """The head's parameters at this time, arrays with T = 1; empty where the capture has none."""
        return {} if self.params_path is None else _read_params(self.params_path)


@dataclass(frozen=True)
class Capture:
    """A recording with cameras, and with head parameters where it was tracked. Nothing is read before it is asked for.

    Attributes:
        folder: where it lies.
        frames: ordered by time step, then camera.
        splits: indices into `frames` of "train", "val" and "test".
        head_model: variant the parameters belong to, None where the capture does not say.
        fps: frames per second, None where the capture does not say.
        canonical_path: canonical_flame_param.npz, or None.
    """

    folder: Path
    frames: tuple[CaptureFrame, ...]
    splits: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    head_model: str | None = None
    fps: float | None = None
    canonical_path: Path | None = None

    @property
    def timesteps(self) -> list[int]:
        """The time steps there are."""
        return sorted({frame.timestep for frame in self.frames})

    def split(self, name: str) -> list[CaptureFrame]:
        """The frames of "train", "val" or "test"."""
        return [self.frames[i] for i in self.splits.get(name, ())]

    def params(self) -> dict[str, np.ndarray]:
        """Head parameters of all time steps, per-frame arrays stacked to [T, ...].

        Raises:
            InputError: the capture has none, or not for every time step.
            FormatError: the arrays of two time steps differ in their names or shapes.
        """
        first = {frame.timestep: frame for frame in reversed(self.frames)}
        parts = [first[t].params() for t in self.timesteps]
        if not parts or not all(parts):
            raise InputError(f"{self.folder} has no head parameters for {sum(not p for p in parts)} of its time steps")
        shapes = {tuple(sorted((name, value.shape) for name, value in part.items())) for part in parts}
        if len(shapes) > 1:
            raise FormatError(f"{self.folder}: the time steps' parameters differ in their arrays: {sorted(shapes)[:2]}")
        return {k: v if k in _SHARED else np.concatenate([part[k] for part in parts]) for k, v in parts[0].items()}

    def canonical_params(self) -> dict[str, np.ndarray]:
        """The subject at rest with the mouth open; empty where the capture has none."""
        return {} if self.canonical_path is None else _read_params(self.canonical_path)


def write_capture(
    folder: PathLike,
    cameras: Sequence[Camera],
    images: Iterable[ImageLike],
    masks: Iterable[ImageLike] | None = None,
    params: Mapping[str, np.ndarray] | None = None,
    *,
    head_model: str | None = None,
    fps: float | None = None,
    timestep_ids: Sequence[str] | None = None,
    camera_ids: Sequence[str] | None = None,
    train_fraction: float = 0.7,
    val_camera: int | None = None,
    white: bool = True,
    centre: bool = True,
    progress: Callable[[int], None] | None = None,
) -> Capture:
    """Write a capture; every file is whole or absent, and transforms.json comes last.

    Args:
        cameras: one per camera index; they stand still.
        images, masks: of every time step and camera, time step by time step; consumed one at a time.
        params: head parameters, per-frame arrays [T, ...].
        head_model: variant they belong to.
        timestep_ids, camera_ids: names in the recording; numbers by default.
        train_fraction: the first part of the time steps, for training and validation; the rest is for testing.
        val_camera: held out from training; by default camera 8, else the last, and none when there is but one.
        white: composite the images on white by their masks.
        centre: move head and cameras so that the head's mean translation is the origin, as VHAP's exporter does.
        progress: called with the number of pictures written so far.

    Raises:
        ShapeError: counts or sizes of images, masks, parameters and cameras disagree.
        ResourceError: a file cannot be written.
    """
    folder, arrays = make_folder(folder), {k: np.asarray(v, np.float32) for k, v in (params or {}).items()}
    if "static_offset" in arrays:
        arrays["static_offset"] = arrays["static_offset"].reshape(1, -1, 3)
    if centre and "translation" in arrays:
        cameras, arrays = centred(cameras, arrays)
    keys = _write_images(folder, cameras, images, masks, white, progress)
    steps = len(keys) // len(cameras)
    if arrays:
        _write_params(folder, arrays, steps)
    entries = [
        _frame_entry(cameras[c], t, c, timestep_ids, camera_ids, masks is not None, bool(arrays)) for t, c in keys
    ]
    chosen = _split(keys, train_fraction, val_camera)
    about: dict[str, Any] = {"fps": fps, "head_model": head_model}
    about = {name: value for name, value in about.items() if value is not None}
    for name, indices in chosen.items():
        write_json(folder / f"transforms_{name}.json", _database([entries[i] for i in indices], entries[-1], about))
    write_json(folder / "transforms.json", _database(entries, entries[-1], about))
    return read_capture(folder)


def read_capture(folder: PathLike) -> Capture:
    """Open a capture: this package's, VHAP's export, GaussianAvatars' data, or any transforms.json with pictures.

    `fl_x fl_y cx cy w h` of a frame, else of the file, are honoured; without them the focal length comes from
    `camera_angle_x`, the principal point is the centre, the size is the picture's.

    Raises:
        InputError: no transforms*.json there.
        FormatError: it is damaged, or lacks what a camera needs; the message says which frame.
    """
    folder = Path(folder)
    files = {name: folder / f"transforms{'_' + name if name else ''}.json" for name in ("", *SPLITS)}
    databases = {name: read_transforms(path) for name, path in files.items() if path.is_file()}
    if not databases:
        raise InputError(f"no capture in {folder}: expected a transforms.json with its pictures beside it")
    frames: dict[Path, CaptureFrame] = {}
    members: dict[str, list[Path]] = {}
    for name, database in databases.items():
        for i, entry in enumerate(database["frames"]):
            try:
                frame = _read_frame(folder, entry, database, len(frames))
            except (KeyError, TypeError, ValueError, OverflowError, FormatError, ShapeError) as error:
                why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
                raise FormatError(f"{files[name]}, frame {i} cannot be read: {why}") from error
            frames.setdefault(frame.image_path, frame)
            if name:
                members.setdefault(name, []).append(frame.image_path)
    if not frames:
        raise FormatError(f"{folder} lists no frames in {', '.join(str(files[name].name) for name in databases)}")
    ordered = sorted(frames.values(), key=lambda f: (f.timestep, f.camera_index))
    index = {frame.image_path: i for i, frame in enumerate(ordered)}
    about = next(iter(databases.values()))
    canonical = folder / "canonical_flame_param.npz"
    return Capture(
        folder=folder,
        frames=tuple(ordered),
        splits={name: tuple(sorted(index[path] for path in paths)) for name, paths in members.items()},
        head_model=about.get("head_model"),
        fps=about.get("fps"),
        canonical_path=canonical if canonical.is_file() else None,
    )


def centred(cameras: Sequence[Camera], params: Mapping[str, np.ndarray]) -> tuple[list[Camera], dict[str, np.ndarray]]:
    """Cameras and head moved together so that the mean translation of the head is the origin."""
    mean = np.asarray(params["translation"], np.float64).reshape(-1, 3).mean(0)
    shift = torch.eye(4, dtype=torch.float64)
    shift[:3, 3] = torch.from_numpy(mean)
    moved = [replace(c, world_to_camera=(c.world_to_camera.double() @ shift).to(c.world_to_camera)) for c in cameras]
    return moved, {**params, "translation": (params["translation"] - mean).astype(np.float32)}


def _split(keys: Sequence[tuple[int, int]], fraction: float, val_camera: int | None) -> dict[str, list[int]]:
    """VHAP's rule: the first part of time trains, one camera of it validates, the rest of time tests."""
    cameras = sorted({c for _, c in keys})
    steps = 1 + max(t for t, _ in keys)
    boundary = min(steps, max(1, round(fraction * steps)))
    held = val_camera if val_camera is not None else (8 if 8 in cameras else cameras[-1])
    alone = len(cameras) == 1 and val_camera is None
    split: dict[str, list[int]] = {name: [] for name in SPLITS}
    for i, (t, c) in enumerate(keys):
        name = "test" if t >= boundary else "val" if c == held and not alone else "train"
        split[name].append(i)
    return split


def _write_images(
    folder: Path,
    cameras: Sequence[Camera],
    images: Iterable[ImageLike],
    masks: Iterable[ImageLike] | None,
    white: bool,
    progress: Callable[[int], None] | None,
) -> list[tuple[int, int]]:
    """Write pictures and mattes as they come; the (time step, camera) of each."""
    make_folder(folder / "images")
    mattes: Iterator[ImageLike] | None = None if masks is None else iter(masks)
    if mattes is not None:
        make_folder(folder / "fg_masks")
    keys: list[tuple[int, int]] = []
    for n, image in enumerate(images):
        t, c = divmod(n, len(cameras))
        pixels, name = to_uint8_image(image), f"{t:05d}_{c:02d}.png"
        _check_size(pixels, cameras[c], f"image {n}")
        if mattes is not None:
            matte = next(mattes, None)
            if matte is None:
                raise ShapeError(f"there are {n} masks for {n + 1} images or more, expected one per image")
            alpha = to_uint8_image(matte, keep=True)[..., :1]
            _check_size(alpha, cameras[c], f"mask {n}")
            write_image(folder / "fg_masks" / name, alpha)
            pixels = _on_white(pixels, alpha) if white else pixels
        write_image(folder / "images" / name, pixels)
        keys.append((t, c))
        if progress is not None:
            progress(n + 1)
    if mattes is not None and next(mattes, None) is not None:
        raise ShapeError(f"there are more than {len(keys)} masks for {len(keys)} images, expected one per image")
    if not keys or len(keys) % len(cameras):
        raise ShapeError(f"got {len(keys)} images for {len(cameras)} cameras, expected a positive multiple")
    return keys


def _check_size(pixels: np.ndarray, camera: Camera, what: str) -> None:
    if pixels.shape[:2] != (camera.height, camera.width):
        expected = f"{camera.width} x {camera.height}"
        raise ShapeError(f"{what} is {pixels.shape[1]} x {pixels.shape[0]} pixels, its camera's are {expected}")


def _on_white(pixels: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    weight = alpha.astype(np.uint16)
    return ((pixels * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)


def _write_params(folder: Path, arrays: Mapping[str, np.ndarray], steps: int) -> None:
    """One .npz per time step and the canonical one."""
    for name, value in arrays.items():
        if name not in _SHARED and value.shape[:1] != (steps,):
            raise ShapeError(f"params[{name!r}] has shape {value.shape}, expected {steps} time steps first")
    make_folder(folder / "flame_param")
    canonical = {k: v if k in _SHARED else np.zeros_like(v[:1]) for k, v in arrays.items() if k != "dynamic_offset"}
    if "jaw_pose" in canonical:
        canonical["jaw_pose"][:, 0] = CANONICAL_JAW_RAD
    _save(folder / "canonical_flame_param.npz", canonical)
    for t in range(steps):
        one = {name: value if name in _SHARED else value[t : t + 1] for name, value in arrays.items()}
        _save(folder / "flame_param" / f"{t:05d}.npz", one)


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    with atomic_write(path) as temporary:
        np.savez(temporary, **arrays)  # type: ignore[arg-type]


def _frame_entry(
    camera: Camera,
    t: int,
    c: int,
    timestep_ids: Sequence[str] | None,
    camera_ids: Sequence[str] | None,
    masked: bool,
    tracked: bool,
) -> dict[str, Any]:
    entry = {
        "timestep_index": t,
        "timestep_index_original": t,
        "timestep_id": str(timestep_ids[t]) if timestep_ids is not None else f"{t:05d}",
        "camera_index": c,
        "camera_id": str(camera_ids[c]) if camera_ids is not None else f"{c:02d}",
        **camera_to_entry(camera),
        "file_path": f"images/{t:05d}_{c:02d}.png",
    }
    if masked:
        entry["fg_mask_path"] = f"fg_masks/{t:05d}_{c:02d}.png"
    if tracked:
        entry["flame_param_path"] = f"flame_param/{t:05d}.npz"
    return entry


def _database(entries: list[dict[str, Any]], last: dict[str, Any], about: dict[str, Any]) -> dict[str, Any]:
    names = ("cx", "cy", "fl_x", "fl_y", "h", "w", "camera_angle_x", "camera_angle_y")
    return {
        **{name: last[name] for name in names},
        **about,
        "timestep_indices": sorted({entry["timestep_index"] for entry in entries}),
        "camera_indices": sorted({entry["camera_index"] for entry in entries}),
        "frames": entries,
    }


def _read_frame(folder: Path, entry: dict[str, Any], database: dict[str, Any], position: int) -> CaptureFrame:
    image = image_path(folder, str(entry["file_path"]))
    timestep, camera_index = int(entry.get("timestep_index", position)), int(entry.get("camera_index", 0))
    return CaptureFrame(
        camera=camera_from_entry(entry, database, image),
        image_path=image,
        mask_path=folder / entry["fg_mask_path"] if entry.get("fg_mask_path") else None,
        params_path=folder / entry["flame_param_path"] if entry.get("flame_param_path") else None,
        timestep=timestep,
        camera_index=camera_index,
        timestep_id=str(entry.get("timestep_id", timestep)),
        camera_id=str(entry.get("camera_id", camera_index)),
    )


def _read_params(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise InputError(f"{path} does not exist: expected the head parameters of a time step") from error
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(f"{path} is not an .npz file of arrays: {error}") from error
