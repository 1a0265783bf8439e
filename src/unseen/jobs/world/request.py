"""What a world is asked for with: FlashWorld's JSON, read and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.core.flashworld_cameras import camera_from_flashworld
from unseen.io.atomic import PathLike
from unseen.jobs.world.framing import Framing, halved_size
from unseen.jobs.world.paths import along
from unseen.jobs.world.picture import as_data_url, decoded_picture, picture_bytes

MAX_VIEWS, MAX_SIDE, MAX_CAMERAS = 2000, 4096, 100_000
MAX_JSON_BYTES = 512 << 20
KEYS = ("image_prompt", "text_prompt", "image_index", "resolution", "cameras", "unseen")
_CAMERA_KEYS = "quaternion, position, fx, fy, cx, cy"
_NORMALISED_FOCAL = 2.0
"""A focal length below so many pixels was surely meant as a share of the image's size."""
_LONGEST_FOCAL = 100.0
"""In image widths: 0.6 degrees across."""


@dataclass(frozen=True)
class WorldRequest:
    """What to make a world from.

    Attributes:
        prompt: text, maybe empty.
        image: the picture cut and scaled to the size of the views, in [0, 1]; None for text alone.
        image_index: the view that the picture shows.
        cameras: one per view, OpenCV axes, in the caller's world, all of one size.
        content: the request as FlashWorld's JSON has it, with the picture inside: reading it again gives this request.
        notes: what a person should know about it.
    """

    prompt: str
    image: Float[Tensor, "H W 3"] | None
    image_index: int
    cameras: tuple[Camera, ...]
    content: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the views."""
        return self.cameras[0].width, self.cameras[0].height

    def halved(self, multiple: int) -> WorldRequest:
        """The same with views of half the size, rounded to the multiple that the networks need."""
        width, height = halved_size(*self.size, multiple)
        cameras = tuple(camera.resized(width, height) for camera in self.cameras)
        image = self.image
        if image is not None:
            planes = interpolate(image.permute(2, 0, 1)[None], (height, width), mode="bilinear", antialias=True)
            image = planes[0].permute(1, 2, 0).clamp(0, 1).contiguous()
        return replace(self, image=image, cameras=cameras)


def read_request(path: PathLike, roots: Sequence[PathLike], multiple: int) -> WorldRequest:
    """Read a request file; errors as `parse_request` raises them, naming the file.

    Args:
        path: FlashWorld's JSON.
        roots: folders besides the file's own in which `image_prompt` may name a picture.
        multiple: see `parse_request`.

    Raises:
        InputError: no such file, or one of the mistakes of `parse_request`.
        FormatError: not JSON, or a damaged picture.
    """
    content = read_json(path)
    try:
        return parse_request(content, roots=(Path(path).parent, *roots), multiple=multiple)
    except InputError as error:
        raise type(error)(f"{path}: {error}") from error


def read_json(path: PathLike) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: no such file, or one of more than 512 MiB.
        FormatError: not JSON.
    """
    try:
        if Path(path).stat().st_size > MAX_JSON_BYTES:
            raise InputError(f"{path} is larger than {MAX_JSON_BYTES >> 20} MiB: expected a smaller picture in it")
        return json.loads(Path(path).read_bytes())
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{path} is not JSON: {error}") from error


def parse_request(content: Any, *, roots: Sequence[PathLike] = (), multiple: int) -> WorldRequest:
    """Check a request and bring it to the package's conventions; `content` stays as it is.

    The keys are FlashWorld's: `image_prompt` (path, base64 or data URL), `text_prompt`, `image_index`, `resolution`
    [views, height, width] and `cameras` (camera to world, OpenGL axes; `quaternion` wxyz, `position`, fx, fy, cx, cy in
    pixels of the picture, without one of the views). Cameras are resampled to the number of views.

    Args:
        content: the decoded JSON.
        roots: folders in which `image_prompt` may name a file.
        multiple: that both sides of the views must be divisible by.

    Raises:
        InputError: one clear line about the first mistake found.
        FormatError: the picture is none, or damaged.
    """
    if not isinstance(content, Mapping):
        raise InputError(f"a request is {type(content).__name__}: expected an object with {', '.join(KEYS[:-1])}")
    views, height, width = checked_resolution(content.get("resolution"), multiple)
    prompt, given, index = checked_prompts(content, views)
    data = picture_bytes(given, roots) if given else None
    pixels = None if data is None else decoded_picture(data, "image_prompt")
    seen = (width, height) if pixels is None else (pixels.shape[1], pixels.shape[0])
    notes = [f"{key!r} is no key of a request: passed over" for key in sorted(map(str, content.keys() - set(KEYS)))]
    framing = Framing.of(*seen, width, height)
    keys = key_cameras(content.get("cameras"), *seen, has_picture=pixels is not None)
    notes += _notes_on(keys, views, width, height)
    cameras = [framing.camera(camera) for camera in keys]
    if len(cameras) != views:
        cameras = along(cameras, views)
    kept = {**content} if data is None else {**content, "image_prompt": as_data_url(data)}
    image = None if pixels is None else framing.picture(pixels)
    return WorldRequest(prompt, image, index, tuple(cameras), kept, tuple(notes))


def checked_resolution(value: Any, multiple: int) -> tuple[int, int, int]:
    """[views, height, width] as numbers that can be made.

    Raises:
        InputError: they cannot.
    """
    whole = isinstance(value, list | tuple) and len(value) == 3 and all(type(n) is int for n in value)
    if not whole or min(value) < 1:
        raise InputError(f"resolution is {value!r:.60}: expected [views, height, width], three positive whole numbers")
    views, height, width = value
    if views < 2:
        raise InputError("resolution asks for 1 view: a world needs at least 2")
    if views > MAX_VIEWS or max(height, width) > MAX_SIDE:
        raise InputError(
            f"resolution is {views} views of {width} x {height}: expected at most {MAX_VIEWS}, of {MAX_SIDE} a side"
        )
    if height % multiple or width % multiple:
        near = [max(multiple, round(side / multiple) * multiple) for side in (width, height)]
        raise InputError(
            f"views of {width} x {height} pixels: expected sides divisible by {multiple}, such as {near[0]} x {near[1]}"
        )
    return views, height, width


def checked_prompts(content: Mapping[str, Any], views: int) -> tuple[str, str, int]:
    """Text, picture as it is written, and the view that the picture shows.

    Raises:
        InputError: neither of the first two, or no such view.
    """
    prompt, given = _text(content, "text_prompt"), _text(content, "image_prompt")
    if not given and not prompt.strip():
        raise InputError("neither image_prompt nor text_prompt is given: expected a picture, a text, or both")
    index = content.get("image_index", 0)
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < views:
        raise InputError(f"image_index is {index!r:.40}: expected 0 to {views - 1}, one of the {views} views")
    return prompt, given, index


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    if value is not None and not isinstance(value, str):
        raise InputError(f"{key} is {value!r:.40}: expected a text, or null for none")
    return value or ""


def key_cameras(entries: Any, width: int, height: int, has_picture: bool) -> list[Camera]:
    """The key cameras, with intrinsics in pixels of a picture of `width` x `height`.

    Raises:
        InputError: too few or too many, or one that is none.
    """
    if not isinstance(entries, list | tuple) or len(entries) < 2:
        found = f"{len(entries)} camera{'s' * (len(entries) != 1)}" if isinstance(entries, list | tuple) else "no list"
        raise InputError(f"cameras holds {found}: a world needs a path of at least 2")
    if len(entries) > MAX_CAMERAS:
        raise InputError(f"cameras holds {len(entries)}: expected at most {MAX_CAMERAS}")
    cameras = []
    for k, entry in enumerate(entries):
        if not isinstance(entry, Mapping):
            raise InputError(
                f"camera {k} is {entry!r:.40}: expected an object with quaternion, position, fx, fy, cx, cy"
            )
        try:
            camera = camera_from_flashworld(entry, width, height)
        except KeyError as error:
            raise InputError(f"camera {k} lacks {error}: expected {_CAMERA_KEYS}") from error
        except ValueError as error:
            raise InputError(f"camera {k}: {error}") from error
        _check_intrinsics(k, camera, has_picture)
        cameras.append(camera)
    return cameras


def _check_intrinsics(k: int, camera: Camera, has_picture: bool) -> None:
    """Refuse shares of the image's size where pixels are expected, and a principal point outside the image."""
    fx, fy, cx, cy = (float(camera.K[i, j]) for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    width, height = camera.width, camera.height
    whose = f"the picture ({width} x {height})" if has_picture else f"the views ({width} x {height})"
    if min(fx, fy) < _NORMALISED_FOCAL or max(cx, cy) <= 1:
        raise InputError(
            f"camera {k} has fx {fx:g}, fy {fy:g}, cx {cx:g}, cy {cy:g}, which look like shares of the size: expected "
            f"pixels of {whose}, such as fx {fx * width:.0f} and cx {cx * width:.0f}"
        )
    if not (0 <= cx <= width and 0 <= cy <= height) or max(fx / width, fy / height) > _LONGEST_FOCAL:
        raise InputError(
            f"camera {k} has its principal point at ({cx:g}, {cy:g}) and focal lengths {fx:g}, {fy:g}: "
            f"expected them in pixels of {whose}"
        )


def _notes_on(cameras: Sequence[Camera], views: int, width: int, height: int) -> list[str]:
    """What is unusual, but may be meant."""
    notes = []
    if len(cameras) != views:
        notes.append(f"{len(cameras)} cameras for {views} views: positions and rotations in between are interpolated")
    first = cameras[0]
    seen = (first.width, first.height)
    middle = abs(float(first.K[0, 2]) - width / 2) + abs(float(first.K[1, 2]) - height / 2)
    if middle < 1 and max(abs(seen[0] - width) / width, abs(seen[1] - height) / height) > 0.05:
        notes.append(
            f"the cameras' principal point is the middle of the views ({width} x {height}), not of the picture "
            f"({seen[0]} x {seen[1]}), in whose pixels intrinsics are expected"
        )
    return notes
