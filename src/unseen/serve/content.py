"""What uploaded files may hold. Their bytes decide, not their names; nothing is decoded here but heads and JSON."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import ExifTags
from PIL.Image import Image

from unseen.core.errors import FormatError, InputError, UnseenError
from unseen.head.avatar import KIND as AVATAR_KIND
from unseen.io.atomic import write_bytes
from unseen.io.images import open_header
from unseen.io.reading import check_expansion
from unseen.io.tensors import describe_tensors
from unseen.jobs.world.job import KEY
from unseen.jobs.world.picture import as_data_url, picture_bytes
from unseen.jobs.world.request import checked_prompts, checked_resolution, key_cameras
from unseen.serve.limits import Limits

_PICTURES = {"PNG": ".png", "JPEG": ".jpg", "MPO": ".jpg", "WEBP": ".webp"}
_HEAD = 4096
Check = Callable[[Path, str, Limits], str]
"""Looks at a file, told the name its owner gave it: returns the suffix under which to keep it, or raises InputError."""


@dataclass(frozen=True)
class Content:
    """Something a file may hold.

    Attributes:
        name: for people.
        suffixes: usual ends of such files' names.
        check: tells by the bytes.
    """

    name: str
    suffixes: tuple[str, ...]
    check: Check


def suffix_of(path: Path, given: str, contents: tuple[Content, ...], limits: Limits) -> str:
    """The suffix under which an uploaded file is kept, by what it holds.

    Args:
        path: the file.
        given: the name its owner gave it; decides only between formats that their bytes do not tell.
        contents: what is allowed.
        limits: of sizes.

    Raises:
        InputError: it holds nothing that is allowed, or too much of it.
    """
    for content in contents:
        try:
            return content.check(path, given, limits)
        except FormatError as error:
            refusal = error
    if len(contents) == 1:
        raise refusal
    raise FormatError(f"it is none of {', '.join(content.name for content in contents)}")


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def _picture(path: Path, given: str, limits: Limits) -> str:
    with open_header(path) as picture:
        return _PICTURES[_picture_kind(picture, limits)]


def _picture_kind(picture: Image, limits: Limits) -> str:
    """The format of a picture whose head is read; errors as `Check` has them."""
    if picture.width * picture.height > limits.pixels:
        raise InputError(f"it has {picture.width} x {picture.height} pixels: expected at most {limits.pixels} in all")
    if picture.format not in _PICTURES:
        raise FormatError(f"it is a {picture.format} picture: expected PNG, JPEG or WebP")
    return picture.format


def _video(path: Path, given: str, limits: Limits) -> str:
    head = _head(path)
    if head[4:8] == b"ftyp":
        return ".mp4"
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return ".mkv"
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return ".avi"
    raise FormatError("it is no video: expected MP4, MOV, WebM, MKV or AVI")


def _gaussians(path: Path, given: str, limits: Limits) -> str:
    head = _head(path)
    if head.startswith((b"ply\n", b"ply\r")):
        return ".compressed.ply" if b"packed_position" in head else ".ply"
    if head.startswith((b"\x1f\x8b", b"NGSP")):
        return ".spz"
    if head.startswith(b"glTF"):
        return ".glb"
    if head.startswith(b"PK\x03\x04"):
        check_archive(path)
        return ".sog"
    suffix, size = Path(given).suffix.lower(), path.stat().st_size
    if (suffix == ".splat" and size and size % 32 == 0) or (suffix == ".ksplat" and size > _HEAD):
        return suffix
    raise FormatError("it holds no Gaussians: expected .ply, .spz, .sog, .glb, .splat or .ksplat")


def _arrays(path: Path, given: str, limits: Limits) -> str:
    if not _head(path).startswith(b"PK\x03\x04"):
        raise FormatError("it is no .npz file of arrays")
    check_archive(path)
    return ".npz"


def _avatar(path: Path, given: str, limits: Limits) -> str:
    told = describe_tensors(path)
    if told["format"] != AVATAR_KIND:
        raise FormatError("it is no avatar: expected the avatar.safetensors of `unseen avatar`")
    if not re.fullmatch(r"[\w-]+", str(told["info"].get("head_model") or "")):  # never the path of a file of the server
        raise FormatError("it names no head model that is known here")
    return ".safetensors"


def check_archive(path: Path) -> None:
    """Refuse a zip file that is damaged, or that unpacks to far more than it can honestly hold.

    Raises:
        FormatError: it is, or does.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
    except (zipfile.BadZipFile, ValueError, EOFError, NotImplementedError, OSError) as error:
        raise FormatError(f"it is a damaged archive: {error}") from error
    check_expansion(path, unpacked, path.stat().st_size)


def parse_json(data: bytes, limits: Limits) -> Any:
    """Strict JSON.

    Raises:
        InputError: too long.
        FormatError: none, too deep, or with NaN, infinity or endless numbers in it.
    """
    if len(data) > limits.text_bytes:
        raise InputError(f"it has {len(data) >> 20} MiB: expected JSON of at most {limits.text_bytes >> 20}")
    try:
        return json.loads(data, parse_constant=_no_constant)
    except RecursionError as error:
        raise FormatError("it is nested too deeply") from error
    except ValueError as error:
        raise FormatError(f"it is not JSON: {error}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _cameras(path: Path, given: str, limits: Limits) -> str:
    content = _json_file(path, limits)
    entries = (
        content.get("cameras", content.get("camera_path", content.get("frames")))
        if isinstance(content, dict)
        else content
    )
    if not isinstance(entries, list) or not entries:
        raise FormatError("it holds no cameras: expected a list of them, or an object with cameras")
    for entry in entries:
        if isinstance(entry, dict):
            entry.pop("file_path", None)  # names a picture beside the file: here, of the server
    write_bytes(path, json.dumps(content).encode())
    return ".json"


def _request(path: Path, given: str, limits: Limits) -> str:
    write_bytes(path, json.dumps(embedded_request(_json_file(path, limits), limits)).encode())
    return ".json"


def embedded_request(content: Any, limits: Limits) -> dict[str, Any]:
    """FlashWorld's request with nothing in it that names a file of the server.

    The picture must be in it, as base64 or data URL. Of the settings that `unseen` keeps there, the model is the
    server's own choice.

    Raises:
        InputError: no request, or a picture by its path, too large or damaged.
    """
    if not isinstance(content, dict):
        raise FormatError(f"a request is {type(content).__name__}: expected an object")
    content = dict(content)
    views, height, width = checked_resolution(content.get("resolution"), multiple=1)
    _, given_picture, _ = checked_prompts(content, views)
    seen = (width, height)
    if given_picture:
        try:
            data = picture_bytes(given_picture, roots=())
        except UnseenError as error:
            raise InputError("image_prompt holds no picture's base64 or data URL: paths are not read here") from error
        with open_header("image_prompt", io.BytesIO(data)) as head:
            _picture_kind(head, limits)
            turned = head.getexif().get(ExifTags.Base.Orientation, 1) > 4
            seen = (head.height, head.width) if turned else head.size
        content["image_prompt"] = as_data_url(data)
    key_cameras(content.get("cameras"), *seen, has_picture=bool(given_picture))
    if isinstance(kept := content.get(KEY), dict):
        content[KEY] = {name: value for name, value in kept.items() if name != "model"}
    return content


def _json_file(path: Path, limits: Limits) -> Any:
    if path.stat().st_size > limits.text_bytes:
        raise InputError(f"it has {path.stat().st_size >> 20} MiB: expected at most {limits.text_bytes >> 20}")
    return parse_json(path.read_bytes(), limits)


PICTURE = Content("a picture", (".png", ".jpg", ".jpeg", ".webp"), _picture)
VIDEO = Content("a video", (".mp4", ".mov", ".m4v", ".webm", ".mkv", ".avi"), _video)
GAUSSIANS = Content("a file of Gaussians", (".ply", ".spz", ".sog", ".glb", ".splat", ".ksplat"), _gaussians)
AVATAR = Content("an avatar", (".safetensors",), _avatar)
ARRAYS = Content("a .npz file of arrays", (".npz",), _arrays)
CAMERAS = Content("a JSON file of cameras", (".json",), _cameras)
REQUEST = Content("a FlashWorld request", (".json",), _request)
