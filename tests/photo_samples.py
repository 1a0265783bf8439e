"""Small projects of posed photos, and a room whose photos structure from motion can solve."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from unseen.core.camera import Camera
from unseen.io.images import write_image
from unseen.io.lens import Lens

HALF_ROOM = np.array([3.0, 1.5, 2.5])


def ring(count: int = 5, width: int = 64, height: int = 48) -> list[Camera]:
    """Cameras on an arc around the origin."""
    return [Camera.look_at((0.3 * i, 0.2, 3.0), (0, 0, 0), width, height, focal_px=60.0) for i in range(count)]


def write_pictures(folder: Path, names: list[str], width: int = 64, height: int = 48) -> None:
    generator = torch.Generator().manual_seed(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, torch.rand(height, width, 3, generator=generator))


def shoot(lens: Lens, color, supersampling: int = 3) -> np.ndarray:
    """What a lens sees of a world where the ray d shows color(d) in [0, 1], uint8."""
    s = supersampling
    rows, columns = np.mgrid[0 : lens.height * s, 0 : lens.width * s]
    rays, _ = lens.unproject(np.stack([(columns + 0.5) / s, (rows + 0.5) / s], -1).reshape(-1, 2))
    image = color(rays).reshape(lens.height, s, lens.width, s, 3).mean((1, 3))
    return (image * 255 + 0.5).astype(np.uint8)


def room_textures(seed: int = 0, size: int = 512) -> list[np.ndarray]:
    """Six walls with detail at every scale."""
    generator, walls = np.random.default_rng(seed), []
    for _ in range(6):
        wall = sum(
            gaussian_filter(generator.normal(size=(size, size, 3)), (s, s, 0), mode="wrap") * s**0.9
            for s in (32, 12, 4, 1.5)
        )
        walls.append((0.5 + 0.2 * wall / wall.std()).clip(0, 1))
    return walls


def room_color(camera: Camera, walls: list[np.ndarray]):
    """color(d) for `shoot`: the inside of a box, seen from a camera's place."""
    rotation, origin = camera.world_to_camera[:3, :3].double().numpy(), camera.center.double().numpy()

    def color(rays: np.ndarray) -> np.ndarray:
        world = rays @ rotation
        with np.errstate(all="ignore"):
            distances = (np.sign(world) * HALF_ROOM - origin) / world
        axis = np.nanargmin(distances, 1)
        points = origin + world * distances[np.arange(len(world)), axis][:, None]
        out = np.zeros_like(rays)
        for wall in range(6):
            here = (axis == wall // 2) & ((world[np.arange(len(world)), axis] > 0) == (wall % 2 == 1))
            others = [a for a in range(3) if a != wall // 2]
            at = (points[here][:, others] / HALF_ROOM[others] * 0.5 + 0.5).T * (len(walls[wall]) - 1)
            for c in range(3):
                out[here, c] = map_coordinates(walls[wall][..., c], at, order=1, mode="nearest")
        return out

    return color


def room_cameras(count: int, width: int = 320, height: int = 240, focal_px: float = 260.0) -> list[Camera]:
    """Cameras that look across the room, walking sideways."""
    return [
        Camera.look_at((-1.0 + 2.0 * i / count, 0.15 * (-1) ** i, 1.6), (0.3 * i / count, 0, -2.5), width, height,
                       focal_px=focal_px)
        for i in range(count)
    ]  # fmt: skip


def photograph_room(folder: Path, cameras: list[Camera], names: list[str]) -> None:
    """JPEGs whose EXIF data tell the focal length."""
    folder.mkdir(parents=True, exist_ok=True)
    walls = room_textures()
    for camera, name in zip(cameras, names, strict=True):
        k = camera.K
        lens = Lens(camera.width, camera.height, (float(k[0, 0]),) * 2, (float(k[0, 2]), float(k[1, 2])))
        exif = Image.Exif()
        film = float(k[0, 0]) * np.hypot(36, 24) / np.hypot(camera.width, camera.height)
        exif.get_ifd(0x8769)[0xA405] = round(film)
        Image.fromarray(shoot(lens, room_color(camera, walls), 2)).save(folder / name, quality=95, exif=exif)
