"""Recognising a project of posed photos."""

from __future__ import annotations

from pathlib import Path

from unseen.core.errors import FormatError, InputError
from unseen.io.atomic import PathLike
from unseen.io.colmap import find_model, read_colmap
from unseen.io.photos.frames import find_transforms, read_frames
from unseen.io.photoset import PhotoSet


def load_photos(path: PathLike, *, images: PathLike | None = None, masks: PathLike | None = None) -> PhotoSet:
    """Posed photos of a COLMAP project or of transforms.json; no picture is decoded, no cameras are solved for.

    Args:
        path: a folder with transforms.json (or Blender's transforms_train.json and so on), or with a COLMAP model; the
            transforms.json itself; or the COLMAP model itself. A folder with both is read as transforms.json.
        images: another folder of the same pictures, such as "images_4"; cameras are fitted to their size.
        masks: folder of masks, white where a photo may be used; by default `masks` beside the pictures.

    Raises:
        InputError: nothing of the kind there, or a picture is missing.
        FormatError: the project or the head of a picture is damaged; the message names the file.
    """
    place = Path(path)
    if not place.exists():
        raise InputError(f"{path} does not exist: expected a folder with transforms.json or a COLMAP model")
    files = find_transforms(place)
    if files:
        photos = read_frames(files, images=images, masks=masks)
    elif find_model(place) is not None:
        photos = read_colmap(place, images=images, masks=masks)
    else:
        raise InputError(
            f"no cameras in {path}: expected a transforms.json or a COLMAP model (sparse/0); "
            "for pictures or a video alone, solve for the cameras first"
        )
    names = [photo.name for photo in photos.photos]
    if len(set(names)) < len(names):
        raise FormatError(f"{photos.source} lists a picture twice: {max(names, key=names.count)}")
    return photos
