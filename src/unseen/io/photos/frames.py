"""Photos listed in transforms.json: nerfstudio, instant-ngp, Blender."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.io.atomic import PathLike
from unseen.io.colmap import find_model, read_model
from unseen.io.colmap.project import find_masks, pose_matrix
from unseen.io.photoset import Photo, PhotoSet
from unseen.io.picture_files import find_mask, find_picture, solved_camera
from unseen.io.ply import load_points
from unseen.io.transforms import image_path, lens_from_entry, pose_from_entry, read_transforms

FILE_NAMES = ("transforms.json", "transforms_train.json", "transforms_val.json", "transforms_test.json")
_MASK_KEYS, _DEPTH_KEYS = ("mask_path", "fg_mask_path"), ("depth_file_path", "depth_path")
_DEPTH_SCALE_KEYS = ("integer_depth_scale", "depth_unit_scale_factor")
_MILLIMETRE = 1e-3
_SAME_PLACE = 1e-3
"""Cameras are the same when no farther apart than this share of the cameras' extent."""

_SWAP = ((0.0, 1.0, 0.0, 0.0), (1.0, 0.0, 0.0, 0.0), (0.0, 0.0, -1.0, 0.0))
"""What nerfstudio applied to COLMAP's world before it began to write `applied_transform`."""


def find_transforms(path: Path) -> list[Path]:
    """The files to read: `path` itself, or of a folder transforms.json, or else Blender's files; maybe none."""
    if path.is_file():
        return [path] if path.suffix.lower() == ".json" else []
    files = [path / name for name in FILE_NAMES if (path / name).is_file()]
    return files[:1] if files and files[0].name == FILE_NAMES[0] else files


def read_frames(files: Sequence[Path], *, images: PathLike | None = None, masks: PathLike | None = None) -> PhotoSet:
    """Photos of one or more transforms.json files in one folder, each frame once.

    Everything stays in the world of the file's `transform_matrix` entries, in which `ply_file_path` is too. Without
    `ply_file_path`, the points of a COLMAP model in the folder are used, moved as its cameras were.

    Args:
        files: as `find_transforms` finds them.
        images: another folder of the same pictures, by the names the photos have here; cameras are fitted to them.
        masks: folder of masks, for frames without `mask_path`; by default `masks` beside the pictures' folder.

    Raises:
        InputError: a picture is missing.
        FormatError: a file, an entry or the head of a picture is damaged; the message names it.
    """
    folder = files[0].parent
    databases = {file: read_transforms(file) for file in files}
    frames: dict[Path, tuple[str, dict[str, Any], dict[str, Any]]] = {}
    for file, database in databases.items():
        for i, entry in enumerate(database["frames"]):
            if not isinstance(entry, dict) or not isinstance(entry.get("file_path"), str):
                raise FormatError(f"{file}, frame {i} names no picture: expected an object with a 'file_path'")
            path = Path(os.path.abspath(image_path(folder, entry["file_path"])))
            frames.setdefault(path, (f"{file}, frame {i}", entry, database))
    if not frames:
        raise FormatError(f"{', '.join(map(str, files))} list no frames")
    root = Path(os.path.commonpath([path.parent for path in frames]))
    pictures = _image_folder(root, folder, images)
    mask_folder = find_masks(root, masks)
    photos = [
        _photo(where, entry, database, path.relative_to(root), pictures, folder, mask_folder)
        for path, (where, entry, database) in frames.items()
    ]
    photos.sort(key=lambda photo: photo.name)
    points, colors = _points(folder, databases[files[0]], photos)
    return PhotoSet(tuple(photos), points, colors, files[0] if len(files) == 1 else folder)


def _image_folder(root: Path, folder: Path, images: PathLike | None) -> Path:
    if images is None:
        return root
    found = next((option for option in (Path(images), folder / images) if option.is_dir()), None)
    if found is None:
        raise InputError(f"the folder of pictures {images} does not exist")
    return found


def _photo(
    where: str,
    entry: Mapping[str, Any],
    database: Mapping[str, Any],
    relative: Path,
    pictures: Path,
    folder: Path,
    masks: Path | None,
) -> Photo:
    name = relative.as_posix()
    path = find_picture(pictures, name)
    if path is None:
        raise InputError(f"{where}: the picture {pictures / name} does not exist")
    try:
        lens, pose = lens_from_entry(entry, database, path), pose_from_entry(entry)
        depth = _named_file(where, entry, _DEPTH_KEYS, folder)
        depth_scale = _depth_scale(depth, entry, database)
    except (KeyError, TypeError, ValueError, OverflowError, FormatError, ShapeError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise FormatError(f"{where} cannot be read: {why}") from error
    camera, distorted = solved_camera(path, lens, pose)
    mask = _named_file(where, entry, _MASK_KEYS, folder) or find_mask(masks, name)
    return Photo(name, path, camera, distorted, mask, depth, depth_scale)


def _named_file(where: str, entry: Mapping[str, Any], keys: Sequence[str], folder: Path) -> Path | None:
    """The file one of `keys` names; None where none does."""
    given = next((str(entry[key]) for key in keys if entry.get(key)), None)
    if given is None:
        return None
    if not (folder / given).is_file():
        raise InputError(f"{where}: the file {folder / given} does not exist")
    return folder / given


def _depth_scale(depth: Path | None, entry: Mapping[str, Any], database: Mapping[str, Any]) -> float:
    """World units per unit: as the file says, else millimetres of pictures, and 1 of arrays."""
    given = {**database, **entry}
    stated = next((given[key] for key in _DEPTH_SCALE_KEYS if key in given), None)
    if stated is not None:
        return float(stated)
    return 1.0 if depth is None or depth.suffix.lower() in (".npy", ".npz") else _MILLIMETRE


def _points(
    folder: Path, database: Mapping[str, Any], photos: Sequence[Photo]
) -> tuple[Float[Tensor, "P 3"], Float[Tensor, "P 3"]]:
    given = database.get("ply_file_path")
    if given:
        return load_points(folder / str(given))
    place = find_model(folder)
    if place is None:
        return torch.zeros(0, 3), torch.zeros(0, 3)
    model = read_model(place)
    centers: dict[str, Tensor] = {}
    for image in model.images.values():  # nerfstudio's file may keep the last part of COLMAP's name alone
        center = _center(pose_matrix(image.quaternion, image.translation))
        centers.setdefault(Path(image.name).name, center)
        centers[image.name] = center
    pairs = [
        (centers[n], p.camera.center.double()) for p in photos for n in (p.name, Path(p.name).name) if n in centers
    ]
    try:
        matrix = _move(pairs, database)
    except (TypeError, ValueError) as error:
        raise FormatError(f"{folder}: applied_transform or applied_scale is not made of numbers: {error}") from error
    if matrix is None:
        return torch.zeros(0, 3), torch.zeros(0, 3)
    points = torch.from_numpy(model.points.positions) @ matrix[:, :3].T + matrix[:, 3]
    return points.float(), torch.from_numpy(model.points.colors).float() / 255


def _move(pairs: Sequence[tuple[Tensor, Tensor]], database: Mapping[str, Any]) -> Float[Tensor, "3 4"] | None:
    """Of the transforms that may have been applied to COLMAP's world, the one that carries its cameras onto ours."""
    if len(pairs) < 2:
        return None
    source, ours = (torch.stack(side) for side in zip(*pairs, strict=True))
    spread = (ours - ours.mean(0)).norm(dim=1).max()
    scale = float(database.get("applied_scale", 1.0))
    for candidate in (database.get("applied_transform"), torch.eye(4).tolist(), _SWAP):
        matrix = scale * torch.tensor(candidate or _SWAP, dtype=torch.float64)[:3]
        if matrix.shape != (3, 4):
            raise ValueError(f"a transform of shape {tuple(matrix.shape)}")
        misses = (source @ matrix[:, :3].T + matrix[:, 3] - ours).norm(dim=1)
        if misses.median() < _SAME_PLACE * spread:
            return matrix
    return None


def _center(world_to_camera: Float[Tensor, "4 4"]) -> Float[Tensor, "3"]:
    return -world_to_camera[:3, :3].T @ world_to_camera[:3, 3]
