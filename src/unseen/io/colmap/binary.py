"""COLMAP's binary files (little-endian): cameras.bin, images.bin, points3D.bin."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from unseen.core.errors import FormatError
from unseen.io.atomic import write_bytes
from unseen.io.colmap.models import MODELS, name_of, num_parameters
from unseen.io.colmap.records import CameraRecord, ImageRecord, Model, PointRecords

_OBSERVATION = np.dtype([("xy", "<f8", 2), ("point", "<i8")])
_POINT = struct.Struct("<Q3d3Bd")
_IMAGE = struct.Struct("<I4d3dI")
_CAMERA = struct.Struct("<IiQQ")
_TRACK_BYTES = 8


class _Cursor:
    """Reads forward through the bytes of a file and says clearly where they end too soon."""

    def __init__(self, path: Path):
        self.path, self.data, self.at = path, path.read_bytes(), 0

    def take(self, layout: struct.Struct) -> tuple:
        return layout.unpack_from(self.data, self.skip(layout.size))

    def skip(self, size: int) -> int:
        """Where the next `size` bytes start; moves past them."""
        start = self.at
        if size < 0 or start + size > len(self.data):
            raise FormatError(
                f"{self.path} is truncated: it ends at byte {len(self.data)}, byte {start + size} is missing"
            )
        self.at = start + size
        return start

    def count(self, smallest: int) -> int:
        """A count of records of at least `smallest` bytes."""
        (number,) = self.take(struct.Struct("<Q"))
        if number * smallest > len(self.data) - self.at:
            raise FormatError(
                f"{self.path} is truncated or damaged: it declares {number} records and has {len(self.data)} bytes"
            )
        return number

    def name(self) -> str:
        end = self.data.find(b"\0", self.at)
        if end < 0:
            raise FormatError(f"{self.path} is truncated: the name of a picture has no end")
        start, self.at = self.at, end + 1
        return self.data[start:end].decode("utf-8", "surrogateescape")


def read_cameras(path: Path) -> dict[int, CameraRecord]:
    """Content of cameras.bin; raises FormatError where it is damaged, InputError for an unknown model."""
    file, cameras = _Cursor(path), {}
    for _ in range(file.count(_CAMERA.size)):
        number, model, width, height = file.take(_CAMERA)
        name = name_of(model)
        parameters = file.take(struct.Struct(f"<{num_parameters(name)}d"))
        cameras[number] = CameraRecord(name, width, height, parameters)
    return cameras


def read_images(path: Path) -> dict[int, ImageRecord]:
    """Content of images.bin; raises FormatError where it is damaged."""
    file, images = _Cursor(path), {}
    for _ in range(file.count(_IMAGE.size + 9)):
        number, *pose, camera = file.take(_IMAGE)
        name = file.name()
        count = file.count(_OBSERVATION.itemsize)
        start = file.skip(count * _OBSERVATION.itemsize)
        seen = np.frombuffer(file.data, _OBSERVATION, count, start)
        images[number] = ImageRecord(camera, name, tuple(pose[:4]), tuple(pose[4:]), seen["xy"], seen["point"])
    return images


def read_points(path: Path) -> PointRecords:
    """Content of points3D.bin; raises FormatError where it is damaged."""
    file = _Cursor(path)
    count = file.count(_POINT.size + 8)
    ids, errors = np.empty(count, np.int64), np.empty(count)
    positions, colors, tracks = np.empty((count, 3)), np.empty((count, 3), np.uint8), []
    for i in range(count):
        ids[i], *rest, errors[i] = file.take(_POINT)
        positions[i], colors[i] = rest[:3], rest[3:]
        length = file.count(_TRACK_BYTES)
        tracks.append(np.frombuffer(file.data, "<i4", 2 * length, file.skip(_TRACK_BYTES * length)).reshape(-1, 2))
    return PointRecords(ids, positions, colors, errors, tracks)


def write(folder: Path, model: Model) -> None:
    """Write the three files, each atomically; raises ResourceError where the machine refuses."""
    write_bytes(folder / "cameras.bin", _encode_cameras(model.cameras))
    write_bytes(folder / "images.bin", _encode_images(model.images))
    write_bytes(folder / "points3D.bin", _encode_points(model.points))


def _encode_cameras(cameras: dict[int, CameraRecord]) -> bytes:
    parts = [struct.pack("<Q", len(cameras))]
    for number, c in cameras.items():
        parts.append(_CAMERA.pack(number, MODELS[c.model].number, c.width, c.height))
        parts.append(struct.pack(f"<{len(c.parameters)}d", *c.parameters))
    return b"".join(parts)


def _encode_images(images: dict[int, ImageRecord]) -> bytes:
    parts = [struct.pack("<Q", len(images))]
    for number, image in images.items():
        seen = np.empty(len(image.point_ids), _OBSERVATION)
        seen["xy"], seen["point"] = image.pixels, image.point_ids
        parts.append(_IMAGE.pack(number, *image.quaternion, *image.translation, image.camera))
        parts.append(image.name.encode("utf-8", "surrogateescape") + b"\0")
        parts.append(struct.pack("<Q", len(seen)) + seen.tobytes())
    return b"".join(parts)


def _encode_points(points: PointRecords) -> bytes:
    parts = [struct.pack("<Q", len(points.ids))]
    for i, number in enumerate(points.ids):
        track = np.asarray(points.tracks[i], "<i4")
        parts.append(_POINT.pack(number, *points.positions[i], *points.colors[i], points.errors[i]))
        parts.append(struct.pack("<Q", len(track)) + track.tobytes())
    return b"".join(parts)
