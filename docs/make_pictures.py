"""Makes the pictures of the documentation: `python docs/make_pictures.py [FOLDER OF AN AVATAR JOB]`.

avatar.png shows the folder's avatar beside the video it was made from, viewer.png its viewer.html in a headless
Chromium (left out where there is none), head.png the built-in head, which needs no folder. With `--fit FOLDER` it makes
fit.jpg instead: held-out photos beside their renders.
"""

from __future__ import annotations

import argparse
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from unseen.core.camera import Camera
from unseen.head.avatar import Avatar
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.procedural import EXPRESSION_NAMES, procedural_head
from unseen.head.tracking import Track
from unseen.io.images import write_image
from unseen.io.video import iter_frames
from unseen.jobs.avatar.holdout import head_turn_rad
from unseen.jobs.avatar.outputs import head_centre
from unseen.jobs.compare import contact_sheet
from unseen.render.mesh import interpolate, normal_map, rasterize_mesh
from unseen.render.scene import render_gaussians

IMAGES = Path(__file__).parent / "images"
TILE = (226, 300)  # width and height of a tile, pixels
SIDES_DEG = (-60, -30, 30, 60)
UNSEEN_DEG = (90, 135, 180)
WITHOUT = "without-prior"
"""Folder, within that of the demo, of the same avatar fitted without a prior."""
SUPERSAMPLING = 3

SKIN, LIPS, TEETH, SCLERA, IRIS = (0.83, 0.67, 0.58), (0.75, 0.44, 0.41), (0.93, 0.9, 0.84), (0.95, 0.95, 0.95), 0.25
EXPRESSIONS: tuple[tuple[dict[str, float], float, float], ...] = (
    ({}, 0.0, 25),
    ({"mouth_smile": 1.0, "cheek_squint": 0.6, "lips_part": 0.5}, 0.04, -20),
    ({"brow_inner_up": 0.9, "brow_outer_up": 0.9, "eye_wide": 0.8}, 0.3, 15),
    ({"brow_down": 0.9, "nose_sneer": 0.6, "mouth_press": 0.5}, 0.0, -30),
    ({"mouth_pucker": 0.9, "cheeks_suck": 0.3}, 0.0, 35),
    ({"mouth_frown": 0.9, "brow_inner_up": 0.7, "mouth_shrug_lower": 0.5}, 0.0, 0),
    ({"mouth_funnel": 0.8}, 0.15, -45),
)
"""Per head of head.png: expression by name (both sides where there are two), jaw opening in radians, yaw in degrees."""

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
CHROMIUM_FLAGS = (
    *("--headless", "--no-sandbox", "--no-first-run", "--hide-scrollbars", "--disable-quic", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--virtual-time-budget=15000"),
    *("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)


def main() -> None:
    """Make what can be made, and say what was."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out/demo"), help="results of `unseen avatar`")
    parser.add_argument("--out", type=Path, default=IMAGES, help="where the pictures go")
    parser.add_argument("--frame", type=int, help="frame of the video to show; the most frontal one by default")
    parser.add_argument("--fit", type=Path, help="results of `unseen fit`, judged by `unseen eval --renders`")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.fit:
        save(options.out / "fit.jpg", held_out_pairs(options.fit / "eval"))
        return
    save(options.out / "head.png", heads_strip())
    if not (options.folder / "avatar.safetensors").is_file():
        print(f"no avatar in {options.folder}: run `make demo` first for avatar.png and viewer.png")
        return
    avatar = Avatar.load(options.folder / "avatar.safetensors")
    frame = most_frontal(avatar) if options.frame is None else options.frame
    save(options.out / "avatar.png", avatar_strip(avatar, options.folder, frame))
    picture = screenshot((options.folder / "viewer.html").resolve().as_uri() + f"#frame={frame}&ui=0", (960, 720))
    if picture is not None:
        save(options.out / "viewer.png", picture)


def save(path: Path, image: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write a picture and say so."""
    write_image(path, image)
    print(f"{path}  {image.shape[1]}x{image.shape[0]}")


def held_out_pairs(folder: Path) -> UInt8[np.ndarray, "H W 3"]:
    """Four held-out photos, each with its render on the right, two in a row."""
    files = sorted(folder.glob("*.png"))
    chosen = [files[k * len(files) // 4 + 1] for k in range(4)]
    pairs = [np.asarray(Image.open(path).convert("RGB")) for path in chosen]
    return np.concatenate([np.concatenate(pairs[:2], 1), np.concatenate(pairs[2:], 1)])


def avatar_strip(avatar: Avatar, folder: Path, frame: int) -> UInt8[np.ndarray, "H W 3"]:
    """Input | tracked mesh | avatar | avatar from four sides; below, if there is one without a prior too, both from
    where no camera looked."""
    params, camera = avatar.params[frame], fine(avatar.camera)
    mesh = shaded_mesh(avatar.model, avatar.model.vertices(params)[0], camera)
    rows = [
        [
            ("input", input_frame(folder, frame)),
            ("tracked mesh", mesh),
            ("avatar", render_gaussians(avatar.posed(params), camera)),
            *sides(avatar, frame, SIDES_DEG, "{:+d}°"),
        ]
    ]
    plain = folder / WITHOUT / "avatar.safetensors"
    if plain.is_file():
        apart = ("", torch.ones(TILE[1], TILE[0], 3))
        without = sides(Avatar.load(plain), frame, UNSEEN_DEG, "no prior, {:d}°")
        rows.append([*without, apart, *sides(avatar, frame, UNSEEN_DEG, "with the prior, {:d}°")])
    return contact_sheet(rows, TILE)


def sides(avatar: Avatar, frame: int, yaws_deg: Sequence[int], name: str) -> list[tuple[str, Float[Tensor, "H W 3"]]]:
    """The avatar at a frame from some sides, each with its name."""
    splats, camera = avatar.posed(avatar.params[frame]), fine(avatar.camera)
    return [(name.format(yaw), render_gaussians(splats, side(avatar, camera, yaw))) for yaw in yaws_deg]


def most_frontal(avatar: Avatar) -> int:
    """The frame whose face looks most nearly at the camera, eyes open."""
    turn = head_turn_rad(Track(avatar.params, avatar.camera, avatar.fps))
    return int(np.argmin(turn + avatar.params.eyelids.clamp_min(0).mean(-1).numpy()))


def input_frame(folder: Path, frame: int) -> Float[Tensor, "H W 3"]:
    """A frame of the video on white: the left third of comparison.mp4."""
    row = next(iter(islice(iter_frames(folder / "comparison.mp4"), frame, frame + 1)))
    return row[:, : row.shape[1] // 3].float() / 255


def fine(camera: Camera) -> Camera:
    """The camera at the resolution pictures are drawn in."""
    scale = SUPERSAMPLING * TILE[1] / camera.height
    return camera.resized(round(camera.width * scale), round(camera.height * scale))


def side(avatar: Avatar, camera: Camera, yaw_deg: float) -> Camera:
    """The video's camera carried round the head; positive angles show the person's left."""
    centre = head_centre(avatar)
    turn, offset = math.radians(yaw_deg), camera.center - centre
    c, s = math.cos(turn), math.sin(turn)
    rotation = torch.tensor([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])
    matrix = camera.world_to_camera.clone()
    matrix[:3, :3] = matrix[:3, :3] @ rotation.T
    matrix[:3, 3] = -matrix[:3, :3] @ (centre + rotation @ offset)
    return Camera(matrix, camera.K, camera.width, camera.height)


def heads_strip() -> UInt8[np.ndarray, "H W 3"]:
    """A row of people and expressions of the built-in head."""
    model = procedural_head()
    generator = torch.Generator().manual_seed(5)
    tiles = []
    for expression, jaw, yaw in EXPRESSIONS:
        shape = 0.85 * torch.randn(model.num_shape, generator=generator)
        vertices = model.vertices(posed(model, shape, expression, jaw))[0]
        turn = math.radians(yaw)
        eye = (1.1 * math.sin(turn), 0.0, 1.1 * math.cos(turn))
        width, height = (SUPERSAMPLING * n for n in TILE)
        camera = Camera.look_at(eye, (0.0, -0.02, 0.0), width, height, fov_y_rad=math.radians(19.5))
        tiles.append(("", shaded_mesh(model, vertices, camera, vertex_colours(model))))
    return contact_sheet([tiles], TILE)


def posed(model: HeadModel, shape: Tensor, expression: dict[str, float], jaw_rad: float) -> HeadParams:
    """Parameters of a named expression; a name without _left or _right means both."""
    params = HeadParams.zeros(model)
    for name, strength in expression.items():
        for suffix in ("", "_left", "_right"):
            if name + suffix in EXPRESSION_NAMES:
                params.expr[0, EXPRESSION_NAMES.index(name + suffix)] = strength
    params.shape[:] = shape
    params.jaw_pose[0, 0] = jaw_rad
    return params


def vertex_colours(model: HeadModel) -> Float[Tensor, "V 3"]:
    """Plain colours of skin, lips, teeth and eyes."""
    colours = torch.tensor(SKIN).repeat(model.num_vertices, 1)
    for part, colour in (("lips", LIPS), ("mouth_interior", LIPS), ("gums", LIPS), ("teeth", TEETH)):
        colours[model.regions[part]] = torch.tensor(colour)
    for eye in ("left", "right"):
        colours[model.regions[f"{eye}_eyeball"]] = torch.tensor(SCLERA)
        colours[model.regions[f"{eye}_iris"]] = IRIS
        colours[model.regions[f"{eye}_pupil"]] = 0.03
    return colours


def shaded_mesh(
    model: HeadModel, vertices: Float[Tensor, "V 3"], camera: Camera, colours: Float[Tensor, "V 3"] | None = None
) -> Float[Tensor, "H W 3"]:
    """The mesh on white, lit from the upper left of the camera."""
    colours = torch.tensor([[0.72, 0.8, 0.92]]).expand(len(vertices), 3) if colours is None else colours
    buffers = rasterize_mesh(vertices, model.faces, camera)
    toward = camera.world_to_camera[:3, :3].T @ torch.nn.functional.normalize(torch.tensor([-0.35, -0.45, -0.8]), dim=0)
    normals = normal_map(buffers, vertices, model.faces)
    light = 0.42 + 0.62 * (normals @ toward).clamp_min(0)
    return torch.where(buffers.mask[..., None], interpolate(buffers, colours) * light[..., None], 1.0)


def screenshot(url: str, size: tuple[int, int]) -> UInt8[np.ndarray, "H W 3"] | None:
    """Picture of a page in a headless Chromium; None where the machine has none."""
    program = next((found for name in CHROMIUM if (found := shutil.which(name))), None)
    if program is None:
        print("no Chromium on the PATH: viewer.png is left as it is")
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "page.png"
        options = [f"--user-data-dir={folder}/profile", f"--window-size={size[0]},{size[1]}", f"--screenshot={path}"]
        subprocess.run([program, *CHROMIUM_FLAGS, *options, url], check=True, capture_output=True, timeout=240)
        return np.asarray(Image.open(path).convert("RGB"))


if __name__ == "__main__":
    main()
