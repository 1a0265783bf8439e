"""COLMAP's text files: cameras.txt, images.txt, points3D.txt. Lines that start with # are comments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from unseen.core.errors import FormatError
from unseen.io.atomic import write_bytes
from unseen.io.colmap.models import num_parameters
from unseen.io.colmap.records import CameraRecord, ImageRecord, Model, PointRecords


def read_cameras(path: Path) -> dict[int, CameraRecord]:
    """Content of cameras.txt; raises FormatError where it is damaged, InputError for an unknown model."""
    cameras = {}
    for number, line in _lines(path):
        with _line_of(path, number, line):
            words = line.split()
            num_parameters(words[1])
            parameters = tuple(float(word) for word in words[4:])
            cameras[int(words[0])] = CameraRecord(words[1], int(words[2]), int(words[3]), parameters)
    return cameras


def read_images(path: Path) -> dict[int, ImageRecord]:
    """Content of images.txt, two lines per picture; raises FormatError where it is damaged."""
    images, lines = {}, list(_lines(path, keep_empty=True))
    while lines and not lines[-1][1].strip():
        lines.pop()
    for at in range(0, len(lines), 2):
        number, line = lines[at]
        second = lines[at + 1] if at + 1 < len(lines) else (number, "")
        with _line_of(path, number, line):
            words = line.split(maxsplit=9)
            pose = [float(word) for word in words[1:8]]
            camera, name = int(words[8]), words[9].rstrip()
        with _line_of(path, *second):
            table = np.array(second[1].split(), np.float64).reshape(-1, 3)
        images[int(words[0])] = ImageRecord(
            camera, name, tuple(pose[:4]), tuple(pose[4:]), table[:, :2], table[:, 2].astype(np.int64)
        )
    return images


def read_points(path: Path) -> PointRecords:
    """Content of points3D.txt; raises FormatError where it is damaged."""
    ids, numbers, tracks = [], [], []
    for number, line in _lines(path):
        with _line_of(path, number, line):
            words = line.split()
            ids.append(int(words[0]))
            numbers.append([float(word) for word in words[1:8]])
            if len(numbers[-1]) != 7:
                raise ValueError("it has fewer than 8 numbers")
            tracks.append(np.array(words[8:], np.int32).reshape(-1, 2))
    table = np.array(numbers, np.float64).reshape(-1, 7)
    colors = table[:, 3:6].clip(0, 255).astype(np.uint8)
    return PointRecords(np.array(ids, np.int64), table[:, :3], colors, table[:, 6], tracks)


def write(folder: Path, model: Model) -> None:
    """Write the three files, each atomically, numbers exactly; raises ResourceError where the machine refuses."""
    cameras = [f"{number} {c.model} {c.width} {c.height} {_join(c.parameters)}" for number, c in model.cameras.items()]
    images = []
    for number, image in model.images.items():
        images.append(f"{number} {_join((*image.quaternion, *image.translation))} {image.camera} {image.name}")
        seen = zip(image.pixels.tolist(), image.point_ids.tolist(), strict=True)
        images.append(" ".join(f"{x!r} {y!r} {point}" for (x, y), point in seen))
    p, points = model.points, []
    for i, number in enumerate(p.ids.tolist()):
        color, track = " ".join(map(str, p.colors[i].tolist())), np.asarray(p.tracks[i]).ravel().tolist()
        points.append(f"{number} {_join(p.positions[i])} {color} {float(p.errors[i])!r} {' '.join(map(str, track))}")
    _save(folder / "cameras.txt", "CAMERA_ID MODEL WIDTH HEIGHT PARAMS[]", cameras)
    _save(folder / "images.txt", "IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, next line: (X Y POINT3D_ID)[]", images)
    _save(folder / "points3D.txt", "POINT3D_ID X Y Z R G B ERROR (IMAGE_ID POINT2D_INDEX)[]", points)


def _save(path: Path, header: str, lines: list[str]) -> None:
    write_bytes(path, ("\n".join([f"# {header}", *lines]) + "\n").encode("utf-8", "surrogateescape"))


def _join(numbers) -> str:
    return " ".join(repr(float(n)) for n in numbers)


def _lines(path: Path, keep_empty: bool = False) -> Iterator[tuple[int, str]]:
    """Numbered lines that are no comments."""
    text = path.read_text("utf-8", "surrogateescape")
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("#") and (keep_empty or line.strip()):
            yield number, line


@contextmanager
def _line_of(path: Path, number: int, line: str) -> Iterator[None]:
    try:
        yield
    except (ValueError, IndexError, TypeError, OverflowError) as error:
        raise FormatError(f"{path}, line {number} cannot be read ({error}): {line[:80]!r}") from error
