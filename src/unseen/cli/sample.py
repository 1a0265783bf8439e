"""`unseen sample`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from unseen.cli.console import guarded, reporting, show
from unseen.cli.options import Debug, Json, Seed

if TYPE_CHECKING:
    from unseen.synthetic.worlds.world import Kind

HEAD_SIZE, SCENE_SIZE = (384, 384), (400, 300)
LITTLE: dict[str, Kind] = {"little-room": "room", "little-landscape": "landscape"}


@guarded
def run(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder for what is made.")],
    what: Annotated[
        str, typer.Argument(help="head, room, table, courtyard, garden, little-room or little-landscape.")
    ] = "head",
    frames: Annotated[int, typer.Option(min=2, help="head: frames of the video, at 25 per second.")] = 120,
    photos: Annotated[int, typer.Option(min=1, help="Scenes: number of photographs.")] = 200,
    size: Annotated[
        str | None, typer.Option(help="Pixels, WIDTHxHEIGHT; one number for a square. Default 384, scenes 400x300.")
    ] = None,
    masks: Annotated[bool, typer.Option("--masks", help="Scenes: masks of what the scene is about.")] = False,
    noise: Annotated[float, typer.Option(min=0.0, max=0.5, help="Scenes: sensor noise, image range 1.")] = 0.004,
    exposure: Annotated[float, typer.Option(min=0.0, max=2.0, help="Scenes: spread of the exposure in stops.")] = 0.0,
    detail: Annotated[
        float, typer.Option(min=0.05, max=8.0, help="Scenes: fineness of textures and light; 2 for large photographs.")
    ] = 1.0,
    points: Annotated[Path | None, typer.Option(help="garden: .npz with the points of a real garden.")] = None,
    seed: Seed = 0,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a synthetic head video, or photographs of a synthetic place, with exact truth.

    head: every seed is another person in another motion; video.mp4, video.landmarks.npz, video.alpha.mp4, truth.npz.
    room, table, courtyard: every seed is another place; images, depth, transforms.json and a COLMAP model in sparse/0.
    little-room, little-landscape: every seed is another one in the style that the small world model knows, along one
    camera path; the same files, and caption.txt, without noise.
    garden: the same of Gaussians made from the points of a real garden, given with --points.
    """
    if what == "head":
        _head(out, frames, _pixels(size, HEAD_SIZE), seed, json)
        return
    from unseen.synthetic.scenes import film_garden, film_scene
    from unseen.synthetic.worlds import photograph_world

    width, height = _pixels(size, SCENE_SIZE)
    with reporting(quiet=json) as reporter:
        if what in LITTLE:
            photograph_world(
                LITTLE[what], out, photos=photos, width=width, height=height, masks=masks, seed=seed,
                progress=lambda done: reporter.stage("photographing", done, photos),
            )  # fmt: skip
        elif what == "garden":
            film_garden(
                _given(points), out, photos=photos, width=width, height=height, seed=seed, progress=reporter.stage
            )
        else:
            film_scene(
                what, out, photos=photos, width=width, height=height, seed=seed, detail=detail, masks=masks,
                noise=noise, exposure_stops=exposure, progress=reporter.stage,
            )  # fmt: skip
    show({"out": str(out), "photos": photos}, json, [f"{photos} photographs in {out / 'images'}"])


def _head(out: Path, frames: int, size: tuple[int, int], seed: int, json: bool) -> None:
    from unseen.core.camera import Camera
    from unseen.io.atomic import make_folder
    from unseen.synthetic import Lighting, Motion, SyntheticSubject, render_video, write_clip

    folder, (width, height) = make_folder(out), size
    camera = Camera.look_at((0.0, -0.01, 1.05), (0.0, -0.032, 0.0), width, height, focal_px=2.55 * height)
    with reporting(quiet=json) as reporter:
        clip = render_video(
            SyntheticSubject.sample(seed), Motion.sample(seed, frames), camera, Lighting.sample(seed),
            progress=lambda k: reporter.stage("filming", k, frames),
        )  # fmt: skip
    write_clip(folder, clip)
    show({"out": str(out), "frames": frames}, json, [f"{frames} frames in {out / 'video.mp4'}"])


def _pixels(size: str | None, default: tuple[int, int]) -> tuple[int, int]:
    """Width and height of WIDTHxHEIGHT or of one number."""
    from unseen.core.errors import InputError

    if size is None:
        return default
    sides = size.lower().split("x")
    if len(sides) > 2 or not all(side.isdigit() and 32 <= int(side) <= 8192 for side in sides):
        raise InputError(f"--size {size}: expected WIDTHxHEIGHT, such as 400x300, of 32 to 8192 pixels")
    return int(sides[0]), int(sides[-1])


def _given(points: Path | None) -> Path:
    from unseen.core.errors import InputError

    if points is None:
        raise InputError("the garden is not part of this package: give its points with --points garden.npz")
    return points
