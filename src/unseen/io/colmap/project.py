"""COLMAP projects: finding the model and the pictures in a folder, to photos and back."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError, ShapeError
from unseen.core.rotations import matrix_to_quaternion, quaternion_to_matrix
from unseen.io.atomic import PathLike, make_folder
from unseen.io.colmap import binary, text
from unseen.io.colmap.models import lens_of
from unseen.io.colmap.records import CameraRecord, ImageRecord, Model, PointRecords
from unseen.io.photoset import Photo, PhotoSet
from unseen.io.picture_files import find_mask, find_picture, solved_camera, posix_name

_ENCODINGS = {".bin": binary, ".txt": text}
_PARENTS = 3
"""How far above a model its pictures are looked for: PROJECT/colmap/sparse/0."""


def find_model(folder: PathLike) -> Path | None:
    """The folder with cameras, images and points3D in or below `folder`; the one with most pictures; None for none."""
    root = Path(folder)
    places = [root, root / "sparse", *sorted(root.glob("sparse/*")), *sorted(root.glob("colmap/sparse/*"))]
    places += [] if root.name != "sparse" else sorted(root.glob("*"))
    models = [place for place in places if _encoding(place)]
    return max(models, key=lambda place: (_num_images(place), -models.index(place)), default=None)


def read_model(folder: PathLike) -> Model:
    """The model in exactly this folder, binary where both encodings are there; rigs and frames are passed over.

    Raises:
        InputError: no model there, or a camera model that is not read.
        FormatError: it is damaged; the message names the file and the place.
    """
    folder = Path(folder)
    suffix = _encoding(folder)
    if suffix is None:
        raise InputError(f"no COLMAP model in {folder}: expected cameras, images and points3D as .bin or .txt")
    encoding = _ENCODINGS[suffix]
    points = folder / f"points3D{suffix}"
    model = Model(
        encoding.read_cameras(folder / f"cameras{suffix}"),
        encoding.read_images(folder / f"images{suffix}"),
        encoding.read_points(points) if points.is_file() else _no_points(),
    )
    for image in model.images.values():
        if image.camera not in model.cameras:
            raise FormatError(f"{folder}: the picture {image.name!r} has camera {image.camera}, which is not listed")
    return model


def read_colmap(folder: PathLike, *, images: PathLike | None = None, masks: PathLike | None = None) -> PhotoSet:
    """Photos and points of a COLMAP project.

    Args:
        folder: the project (with sparse/0 or sparse), or the model itself. Of several models the largest is read.
        images: folder of the pictures, absolute, or relative to the project or the working folder ("images_4"; the
            cameras are fitted to the pictures' size). By default `images` beside the model or above it.
        masks: folder of masks; by default `masks` beside the pictures' folder, where there is one.

    Raises:
        InputError: no model or no pictures there, or a camera model that is not read.
        FormatError: the model or the head of a picture is damaged; the message names it.
    """
    place = find_model(folder)
    if place is None:
        raise InputError(
            f"no COLMAP model in {folder}: expected cameras, images and points3D as .bin or .txt, "
            "in it or in its sparse/0"
        )
    model = read_model(place)
    if not model.images:
        raise FormatError(f"the COLMAP model in {place} has no pictures: its solution failed")
    names = [posix_name(image.name) for image in model.images.values()]
    pictures = find_images(place, names, images)
    mask_folder = find_masks(pictures, masks)
    photos = [
        _photo(name, image, model.cameras[image.camera], pictures, mask_folder)
        for name, image in zip(names, model.images.values(), strict=True)
    ]
    return PhotoSet(
        tuple(sorted(photos, key=lambda photo: photo.name)),
        torch.from_numpy(model.points.positions.astype(np.float32)),
        torch.from_numpy(model.points.colors.astype(np.float32) / 255),
        place,
    )


def write_colmap(
    folder: PathLike,
    cameras: Sequence[Camera],
    names: Sequence[str],
    points: Float[Tensor, "P 3"],
    point_colors: Float[Tensor, "P 3"],
    *,
    binary: bool = True,
    tracks: Sequence[Sequence[int]] | None = None,
) -> Path:
    """Write a COLMAP model of pinhole cameras to sparse/0 below `folder`.

    Args:
        folder: the project; its pictures belong into its folder `images`.
        cameras: one per picture, in the world of `points`. Equal intrinsics become one COLMAP camera.
        names: of the pictures, posix paths relative to the folder of pictures.
        points, point_colors: 3D points and their colours in [0, 1], maybe none.
        binary: .bin files, else .txt.
        tracks: for each point the indices of the cameras that see it; its observations are its projections.

    Returns:
        The folder of the model.

    Raises:
        ShapeError: the counts disagree.
        ResourceError: the machine refuses the write.
    """
    if len(cameras) != len(names) or len(set(names)) != len(names):
        raise ShapeError(f"got {len(cameras)} cameras and {len(set(names))} different names of {len(names)}")
    if points.shape != point_colors.shape or points.ndim != 2 or points.shape[1:] != (3,):
        raise ShapeError(
            f"got points {tuple(points.shape)} and point_colors {tuple(point_colors.shape)}, expected [P, 3] both"
        )
    if tracks is not None and len(tracks) != len(points):
        raise ShapeError(f"got {len(tracks)} tracks for {len(points)} points, expected one per point")
    place = make_folder(Path(folder) / "sparse" / "0")
    model = _model_of(cameras, names, points, point_colors, tracks or [()] * len(points))
    (_ENCODINGS[".bin"] if binary else _ENCODINGS[".txt"]).write(place, model)
    return place


def find_images(place: Path, names: Sequence[str], images: PathLike | None) -> Path:
    """The folder that holds the pictures of a model at `place`; raises InputError where one is missing."""
    above = [place, *place.parents[:_PARENTS]]
    if images is None:
        options = [folder / "images" for folder in above] + above
    else:
        options = [Path(images), *(folder / images for folder in above)]
    found = next((option for option in options if find_picture(option, names[0])), None)
    if found is None:
        where = images if images is not None else f"{place}, the folders above it and their 'images'"
        raise InputError(
            f"the picture {names[0]!r} of the model in {place} is not in {where}: give the folder of pictures"
        )
    missing = [name for name in names if find_picture(found, name) is None]
    if missing:
        raise InputError(f"{len(missing)} of {len(names)} pictures are not in {found}, the first is {missing[0]!r}")
    return found


def find_masks(pictures: Path, masks: PathLike | None) -> Path | None:
    """The folder of masks: as given (relative to the pictures' parent too), else `masks` beside the pictures."""
    if masks is None:
        beside = pictures.parent / "masks"
        return beside if beside.is_dir() else None
    for option in (Path(masks), pictures.parent / masks):
        if option.is_dir():
            return option
    raise InputError(f"the folder of masks {masks} does not exist")


def pose_matrix(quaternion: Sequence[float], translation: Sequence[float]) -> Float[Tensor, "4 4"]:
    """World-to-camera matrix, float64, of a wxyz quaternion and a translation."""
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3] = quaternion_to_matrix(torch.tensor(quaternion, dtype=torch.float64))
    matrix[:3, 3] = torch.tensor(translation, dtype=torch.float64)
    return matrix


def _photo(name: str, image: ImageRecord, camera: CameraRecord, pictures: Path, masks: Path | None) -> Photo:
    path = find_picture(pictures, name) or pictures / name
    lens = lens_of(camera.model, camera.width, camera.height, camera.parameters)
    pinhole, distorted = solved_camera(path, lens, pose_matrix(image.quaternion, image.translation))
    return Photo(name, path, pinhole, distorted, find_mask(masks, name))


def _model_of(
    cameras: Sequence[Camera],
    names: Sequence[str],
    points: Float[Tensor, "P 3"],
    colors: Float[Tensor, "P 3"],
    tracks: Sequence[Sequence[int]],
) -> Model:
    """The model, with ids from 1 in the order given."""
    intrinsics: dict[CameraRecord, int] = {}
    seen, places = _observations(cameras, points.detach().cpu().double(), tracks)
    images = {}
    for i, (camera, name) in enumerate(zip(cameras, names, strict=True)):
        number = intrinsics.setdefault(_record_of(camera), len(intrinsics) + 1)
        pose = camera.world_to_camera.detach().cpu().double()
        quaternion = matrix_to_quaternion(pose[:3, :3]).tolist()
        pixels, ids = seen[i]
        images[i + 1] = ImageRecord(number, name, tuple(quaternion), tuple(pose[:3, 3].tolist()), pixels, ids)
    rgb = (colors.detach().cpu().double().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    positions, count = points.detach().cpu().double().numpy(), len(points)
    records = PointRecords(np.arange(1, count + 1), positions, rgb, np.zeros(count), places)
    return Model({number: record for record, number in intrinsics.items()}, images, records)


def _observations(
    cameras: Sequence[Camera], points: Float[Tensor, "P 3"], tracks: Sequence[Sequence[int]]
) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
    """Per camera the pixels and ids of the points it sees, and per point its (image id, index there)."""
    members: list[list[int]] = [[] for _ in cameras]
    places = []
    for p, track in enumerate(tracks):
        places.append(np.array([(i + 1, len(members[i])) for i in track], np.int32).reshape(-1, 2))
        for i in track:
            members[i].append(p)
    seen = []
    for camera, member in zip(cameras, members, strict=True):
        pixels, _ = camera.to("cpu", torch.float64).project(points[member])
        seen.append((pixels.numpy(), np.array(member, np.int64) + 1))
    return seen, places


def _record_of(camera: Camera) -> CameraRecord:
    k = camera.K.detach().cpu().double()
    parameters = tuple(float(v) for v in (k[0, 0], k[1, 1], k[0, 2], k[1, 2]))
    return CameraRecord("PINHOLE", camera.width, camera.height, parameters)


def _no_points() -> PointRecords:
    return PointRecords(np.zeros(0, np.int64), np.zeros((0, 3)), np.zeros((0, 3), np.uint8), np.zeros(0))


def _encoding(folder: Path) -> str | None:
    """Suffix of the model's files in this folder; None where there is no model."""
    names = ("cameras", "images")
    return next((s for s in _ENCODINGS if all((folder / f"{name}{s}").is_file() for name in names)), None)


def _num_images(folder: Path) -> int:
    """Count of pictures of a model, cheaply."""
    if _encoding(folder) == ".bin":
        with (folder / "images.bin").open("rb") as file:
            return int.from_bytes(file.read(8), "little")
    return len(text.read_images(folder / "images.txt"))
