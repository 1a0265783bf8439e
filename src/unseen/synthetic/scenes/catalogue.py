"""The scenes by name, and the ways each is filmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.io.atomic import PathLike, make_folder
from unseen.synthetic.scenes import courtyard, room, table
from unseen.synthetic.scenes.folder import Album, photograph, write_album
from unseen.synthetic.scenes.garden import garden, garden_cameras, shoot_splats
from unseen.synthetic.scenes.scene import Scene
from unseen.synthetic.scenes.walks import dome, stroll

JUDGED_FROM = 9000
"""First seed of scenes by which repairs are judged, and that no fixer of this package is trained on."""
DEPTH_STEP = 5e-4  # of the garden's depth pictures, in radii of its orbit


@dataclass(frozen=True)
class Plan:
    """How to make a scene (from a seed and a detail) and its cameras (from their number, width, height and a seed)."""

    build: Callable[[int, float], Scene]
    cameras: Callable[[int, int, int, int], list[Camera]]


def _through_room(count: int, width: int, height: int, seed: int) -> list[Camera]:
    return stroll(room.WAY, count, width=width, height=height, seed=seed)


def _around_table(count: int, width: int, height: int, seed: int) -> list[Camera]:
    return dome(count, target=table.TARGET, radius_m=(1.35, 2.1), width=width, height=height, seed=seed)


def _through_courtyard(count: int, width: int, height: int, seed: int) -> list[Camera]:
    return stroll(courtyard.WAY, count, width=width, height=height, eye_m=(1.1, 1.9), gaze_m=(0.7, 2.3), seed=seed)


SCENES = {
    "room": Plan(room.build_room, _through_room),
    "table": Plan(table.build_table, _around_table),
    "courtyard": Plan(courtyard.build_courtyard, _through_courtyard),
}
"""The scenes that can be made from a seed."""


def plan_of(name: str) -> Plan:
    """The plan of a scene.

    Raises:
        InputError: there is no scene of that name.
    """
    if name not in SCENES:
        raise InputError(f"there is no scene {name!r}: expected one of {', '.join(SCENES)}")
    return SCENES[name]


Progress = Callable[[str, int, int], None]
"""Stage, how many of how many are done."""


def film_scene(
    name: str,
    folder: PathLike,
    *,
    photos: int = 200,
    width: int = 400,
    height: int = 300,
    seed: int = 0,
    detail: float = 1.0,
    masks: bool = False,
    noise: float = 0.004,
    exposure_stops: float = 0.0,
    progress: Progress | None = None,
) -> Album:
    """Make the scene `name` and photograph it; what the folder then holds: `write_album`.

    Args:
        name: room, table or courtyard.
        folder: made if absent.
        photos: how many.
        width, height: of the photographs, in pixels.
        seed: of the scene, its cameras and the sensor.
        detail: finer (above 1, for large photographs) or coarser and faster (below 1) surfaces and light.
        masks: write masks of what the scene is about.
        noise: standard deviation of the sensor's noise, image range 1.
        exposure_stops: standard deviation of the exposure from photograph to photograph, in powers of two.
        progress: called as the work goes on.

    Raises:
        InputError: there is no scene of that name, or a number makes no sense.
        ResourceError: the machine refuses.
    """
    plan = plan_of(name)
    make_folder(folder)
    report = progress or _unheard
    report("building the scene", 0, 1)
    scene = plan.build(seed, detail)
    report("building the scene", 1, 1)
    return photograph(
        scene, plan.cameras(photos, width, height, seed), folder, noise=noise, exposure_stops=exposure_stops,
        masks=masks, seed=seed, progress=lambda done: report("photographing", done, photos),
    )  # fmt: skip


def film_garden(
    path: PathLike,
    folder: PathLike,
    *,
    photos: int = 120,
    width: int = 648,
    height: int = 420,
    seed: int = 0,
    progress: Progress | None = None,
) -> Album:
    """Photograph a real garden given as points (see `garden`); arguments, errors and folder as `film_scene`."""
    make_folder(folder)
    scene, report = garden(path), progress or _unheard
    cameras = garden_cameras(scene, photos, width, height, seed=seed)
    shots = (shoot_splats(scene.splats, camera) for camera in cameras)
    unit = DEPTH_STEP * scene.orbit.radius
    return write_album(
        folder, cameras, shots, model="garden", depth_unit=unit, seed=seed,
        progress=lambda done: report("photographing", done, photos),
    )  # fmt: skip


def _unheard(stage: str, done: int, total: int) -> None:
    """Progress nobody asked for."""
