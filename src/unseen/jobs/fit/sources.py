"""What `unseen fit` can start from: photos with cameras, or photos and videos whose cameras are still to be found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from unseen.core.errors import InputError
from unseen.io.photos import load_photos
from unseen.io.photos.frames import find_transforms
from unseen.io.photoset import PhotoSet
from unseen.io.sfm import solve_cameras
from unseen.jobs.progress import Reporter

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".avi", ".webm", ".m4v")


@dataclass(frozen=True)
class PhotoSource:
    """Where photos come from.

    Attributes:
        path: a COLMAP project, a transforms.json or its folder, a folder of photos, or a video.
        images: folder of the pictures, where it is not the usual one.
        masks: folder of masks named like the pictures.
        solve: find the cameras anew even where some are given.
        camera_model: COLMAP's name of the lens model to solve for.
        frames: of a video, at most.
    """

    path: Path
    images: Path | None = None
    masks: Path | None = None
    solve: bool = False
    camera_model: str = "OPENCV"
    frames: int = 200


def has_cameras(path: Path) -> bool:
    """Whether a file or folder comes with cameras."""
    if path.is_file():
        return path.suffix.lower() == ".json"
    models = (path / "sparse" / "0", path / "sparse", path)
    colmap = any((model / f"images{suffix}").is_file() for model in models for suffix in (".bin", ".txt"))
    return colmap or bool(find_transforms(path))


def load_source(source: PhotoSource, work: Path, seed: int, reporter: Reporter) -> PhotoSet:
    """Posed photos; cameras that are missing are solved for in `work`.

    Raises:
        InputError: nothing usable is there, or too few cameras could be found.
        FormatError: a file is damaged.
        MissingDependencyError: cameras are to be found and pycolmap is not installed.
    """
    if not source.path.exists():
        raise InputError(
            f"{source.path} does not exist: expected a folder of photos, a video or a project with cameras"
        )
    if has_cameras(source.path) and not source.solve:
        return load_photos(source.path, images=source.images, masks=source.masks)
    pictures = source.images or source.path
    if not source.images and source.path.is_dir() and (source.path / "images").is_dir():
        pictures = source.path / "images"
    return solve_cameras(
        pictures, work, camera_model=source.camera_model, max_frames=source.frames, seed=seed, masks=source.masks,
        progress=reporter.stage, note=reporter.note,
    )  # fmt: skip
