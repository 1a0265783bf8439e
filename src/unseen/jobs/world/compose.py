"""Requests without a request file: camera paths by name or from a file, with a prompt or a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from unseen.core import paths
from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.core.flashworld_cameras import camera_to_flashworld
from unseen.io.transforms import camera_from_entry, read_transforms
from unseen.jobs.world.framing import Framing
from unseen.jobs.world.picture import as_data_url, decoded_picture, path_bytes
from unseen.jobs.world.request import WorldRequest, checked_resolution, parse_request, read_json

PATHS = ("orbit", "dolly", "pan", "walk", "spiral")
UP = (0.0, -1.0, 0.0)
"""The worlds of paths by name have y down, as most .ply files do."""
ORBIT_RAD, PAN_RAD = math.radians(30), math.radians(45)
DOLLY, WALK, SWAY = 0.5, 2.0, 0.1
SWING_RIGHT, SWING_UP = 0.2, 0.12


def named_path(kind: str, views: int, width: int, height: int, fov_y_rad: float, reach: float = 1.0) -> list[Camera]:
    """A camera path about a thing one unit ahead of the origin; z points ahead, y down.

    Args:
        kind: orbit (30 degrees to both sides round the thing), dolly (half a unit towards it), pan (45 degrees to both
            sides, on the spot), walk (two units ahead in a gentle S), spiral (a circle in the plane of the picture).
        views: number of cameras.
        width, height: of their images, in pixels.
        fov_y_rad: vertical field of view.
        reach: multiplies how far the path goes.

    Raises:
        InputError: an unknown kind, no view, or no reach.
    """
    if kind not in PATHS:
        raise InputError(f"unknown camera path {kind!r}: expected {', '.join(PATHS)}, or --cameras with a file")
    if not 0 < reach < 100:
        raise InputError(f"a path with a reach of {reach}: expected more than 0 and less than 100")
    view: dict[str, Any] = {"width": width, "height": height, "fov_y_rad": fov_y_rad}
    here = Camera.look_at((0.0, 0.0, 0.0), (0.0, 0.0, 1.0), up=UP, **view)
    if kind == "orbit":
        half = min(ORBIT_RAD * reach, math.pi)
        view |= {"start_azimuth_rad": -half, "end_azimuth_rad": half}
        return paths.orbit(views, radius_m=1.0, target=(0.0, 0.0, 1.0), up=UP, **view)
    if kind == "dolly":
        end, target = (0.0, 0.0, DOLLY * reach), (0.0, 0.0, 4 * DOLLY * max(reach, 1.0))
        return paths.dolly(views, start=(0.0, 0.0, 0.0), end=end, target=target, up=UP, **view)
    if kind == "pan":
        half = min(PAN_RAD * reach, math.pi)
        return paths.pan(views, camera=here, start_rad=-half, end_rad=half)
    if kind == "walk":
        return paths.walk(views, camera=here, distance_m=WALK * reach, sway_m=SWAY * reach)
    return paths.spiral(views, camera=here, focus_m=1.0, right_m=SWING_RIGHT * reach, up_m=SWING_UP * reach, turns=1.0)


def usual_index(kind: str, views: int) -> int:
    """The view of a path by name that a picture is taken to show: the middle where a path swings to both sides."""
    return views // 2 if kind in ("orbit", "pan") else 0


@dataclass(frozen=True)
class Asked:
    """What a person asks for without a request file.

    Attributes:
        prompt: text, maybe empty.
        picture: file, None for text alone.
        image_index: the view it shows; None for the path's usual one.
        path: one of `PATHS`, used where `cameras` is None.
        cameras: file of cameras (see `path_from_file`).
        views: how many to make; None for as many as the model is made for.
        size: width and height of the views; None for the model's own, on its side for an upright picture.
        fov_y_deg: vertical field of view of a path by name.
        reach: how far a path by name goes.
    """

    prompt: str = ""
    picture: Path | None = None
    image_index: int | None = None
    path: str = "orbit"
    cameras: Path | None = None
    views: int | None = None
    size: tuple[int, int] | None = None
    fov_y_deg: float = 50.0
    reach: float = 1.0

    def request(self, config: Any) -> WorldRequest:
        """The request, checked.

        Args:
            config: the model's; tells its `views`, `image_size` and what sizes are a `multiple` of.

        Raises:
            InputError: a mistake, in one line.
            FormatError: the picture or the file of cameras is damaged.
        """
        views = self.views or config.views
        width, height = self.size or self._usual_size(config.image_size)
        checked_resolution([views, height, width], config.multiple)
        if self.cameras is None:
            keys = named_path(self.path, views, width, height, math.radians(self.fov_y_deg), self.reach)
            index = usual_index(self.path, views)
        else:
            keys, index = path_from_file(self.cameras, width, height), 0
        index = index if self.image_index is None else self.image_index
        content = compose(
            prompt=self.prompt, picture=self.picture, image_index=index, views=views, cameras=keys
        )  # fmt: skip
        return parse_request(content, multiple=config.multiple)

    def _usual_size(self, image_size: tuple[int, int]) -> tuple[int, int]:
        """Width and height."""
        height, width = image_size
        if self.picture is None:
            return width, height
        rows, columns = decoded_picture(path_bytes(self.picture), str(self.picture)).shape[:2]
        return (height, width) if (rows > columns) != (height > width) else (width, height)


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Width and height of a text such as 480x704 (height first, as FlashWorld writes it); None of None.

    Raises:
        InputError: it is no size.
    """
    if text is None:
        return None
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise InputError(f"size is {text!r}: expected height x width in pixels, such as 480x704")
    return int(width), int(height)


def path_from_file(file: Path, width: int, height: int) -> list[Camera]:
    """Cameras of a JSON file as views of that size, cut centrally where the proportions differ.

    Reads what `core.paths.from_file` does, and transforms.json (frames with `transform_matrix`).

    Raises:
        InputError: no such file.
        FormatError: no cameras in it, or a damaged one.
    """
    content = read_json(file)
    if isinstance(content, dict) and "frames" in content:
        cameras = _from_transforms(file)
    elif _tells_its_size(content):
        cameras = paths.from_file(file)
    else:  # FlashWorld's bare list of cameras: pixels of the views
        cameras = paths.from_file(file, width, height)
    if any(min(c.width, c.height) < 1 for c in cameras):
        raise FormatError(f"{file} has a camera of no size: expected a width and a height of at least 1")
    return [Framing.of(c.width, c.height, width, height).camera(c) for c in cameras]


def _tells_its_size(content: Any) -> bool:
    entries = content.get("cameras") if isinstance(content, dict) else content
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    keys = {*first, *(content if isinstance(content, dict) else ())}
    return bool(keys & {"width", "render_width", "resolution"})


def _from_transforms(file: Path) -> list[Camera]:
    content = read_transforms(file)
    cameras = []
    for k, entry in enumerate(content["frames"]):
        try:
            image = file.parent / str(entry.get("file_path", ""))
            cameras.append(camera_from_entry(entry, content, image))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
            raise FormatError(f"frame {k} of {file}: {reason}") from error
    return cameras


def compose(
    *, prompt: str, picture: Path | None, image_index: int, views: int, cameras: Sequence[Camera]
) -> dict[str, Any]:  # fmt: skip
    """A request as FlashWorld's JSON has it.

    Args:
        prompt: text, maybe empty.
        picture: the file, None for text alone.
        image_index: the view it shows.
        views: how many views to make.
        cameras: of the size of the views; written in pixels of the picture, as requests have them.

    Raises:
        InputError: the picture cannot be read.
        FormatError: it is damaged.
    """
    width, height = cameras[0].width, cameras[0].height
    content: dict[str, Any] = {"text_prompt": prompt, "image_prompt": None, "image_index": image_index}
    content["resolution"] = [views, height, width]
    if picture is not None:
        data = path_bytes(picture)
        rows, columns = decoded_picture(data, str(picture)).shape[:2]
        framing = Framing.of(columns, rows, width, height)
        cameras = [framing.unframed(camera.to(dtype=torch.float64), columns, rows) for camera in cameras]
        content["image_prompt"] = as_data_url(data)
    content["cameras"] = [camera_to_flashworld(camera) for camera in cameras]
    return content
