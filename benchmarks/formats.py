"""What each file format keeps: the table of docs/formats.md.

    python benchmarks/formats.py                    # 100,000 Gaussians, under a minute
    python benchmarks/formats.py --num 20000

The scene is synthetic and seeded: a bumpy ball of radius 1 on a floor of radius 4, covered with flat overlapping
Gaussians whose colours vary smoothly with place and, by harmonics to degree 3, with direction. Every format that is
written is read again; errors compare what was read with what was written, Gaussian by Gaussian. PSNR compares renders
of both at 512 x 512 from three directions, in dB for peak 1 over all pixels.
"""

import argparse
import math
import tempfile
from pathlib import Path

import torch
from scipy.spatial import cKDTree
from torch import Tensor

from unseen.core.camera import Camera
from unseen.core.gaussians import Gaussians
from unseen.core.rotations import matrix_to_quaternion, quaternion_to_matrix
from unseen.core.sh import rgb_to_sh0
from unseen.io.ordering import spatial_order
from unseen.io.scene import FORMATS, load_gaussians, save_gaussians, stored_bytes
from unseen.render.scene import render_gaussians

COLUMNS = ("file", "bytes", "position", "extent %", "rotation °", "opacity", "colour", "harmonics", "PSNR dB")


def synthetic_scene(num: int, seed: int = 0) -> Gaussians:
    """Flat Gaussians on the surfaces, y down as scenes from photos, lengths in metres."""
    g = torch.Generator().manual_seed(seed)
    on_ball = num // 2
    direction = torch.nn.functional.normalize(torch.randn(on_ball, 3, generator=g), dim=1)
    ball = direction * (1 + 0.05 * torch.sin(9 * direction).sum(1, keepdim=True))
    radius, angle = (
        4 * torch.rand(num - on_ball, generator=g).sqrt(),
        2 * math.pi * torch.rand(num - on_ball, generator=g),
    )
    floor = torch.stack([radius * angle.cos(), torch.full_like(radius, 1.1), radius * angle.sin()], 1)
    means = torch.cat([ball, floor])
    normals = torch.cat([direction, torch.tensor([0.0, -1, 0]).expand_as(floor)])
    spacing = torch.cat(
        [torch.full((on_ball,), 4 * math.pi / on_ball), torch.full_like(radius, 16 * math.pi / on_ball)]
    )
    extents = spacing.sqrt()[:, None] * torch.exp(0.3 * torch.randn(num, 3, generator=g)) * torch.tensor([1, 1, 0.1])
    return Gaussians(
        means=means,
        quats=_facing(normals, torch.randn(num, 3, generator=g)),
        log_scales=extents.log(),
        logit_opacities=1 + 2 * torch.randn(num, generator=g),
        sh0=rgb_to_sh0(0.5 + 0.4 * torch.sin(_waves(means, 3, 6.0, g))),
        shN=_harmonics(means, g),
    )


def _facing(normals: Tensor, helper: Tensor) -> Tensor:
    """Rotations whose third axis is the normal."""
    first = torch.nn.functional.normalize(torch.linalg.cross(normals, helper), dim=1)
    return matrix_to_quaternion(torch.stack([first, torch.linalg.cross(normals, first), normals], 2))


def _waves(means: Tensor, num: int, frequency: float, g: torch.Generator) -> Tensor:
    """Smooth fields over space, [N, num]."""
    phase = frequency * means @ torch.randn(3, num, generator=g) + 6 * torch.rand(num, generator=g)
    return phase + torch.sin(2 * phase)


def _harmonics(means: Tensor, g: torch.Generator) -> Tensor:
    """Smooth coefficients that fall with the band, and some noise as training leaves it, [N, 15, 3]."""
    amplitude = torch.repeat_interleave(torch.tensor([0.12, 0.06, 0.03]), torch.tensor([3, 5, 7]))[:, None]
    smooth = torch.sin(_waves(means, 45, 3.0, g)).reshape(-1, 15, 3)
    return amplitude * (smooth + 0.3 * torch.randn(len(means), 15, 3, generator=g))


def pictures(splats: Gaussians) -> Tensor:
    """Three renders, [3, 512, 512, 3]."""
    eyes = [(4.0 * math.sin(a), -1.5, -4.0 * math.cos(a)) for a in (0.0, 2.1, 4.2)]
    cameras = [Camera.look_at(torch.tensor(eye), torch.zeros(3), 512, 512, fov_y_rad=0.9, up=torch.tensor([0.0, -1, 0]))
               for eye in eyes]  # fmt: skip
    return torch.stack([render_gaussians(splats, camera) for camera in cameras])


def errors(read: Gaussians, written: Gaussians) -> list[Tensor]:
    """Per Gaussian: distance, relative extent, angle, opacity, colour and harmonics (greatest of their channels)."""
    turn = quaternion_to_matrix(read.quats.double()).transpose(1, 2) @ quaternion_to_matrix(written.quats.double())
    sine = torch.stack([turn[:, i, j] - turn[:, j, i] for i, j in ((0, 1), (1, 2), (2, 0))], 1).norm(dim=1) / 2
    harmonics = (read.shN - written.shN).abs().amax((1, 2)) if read.sh_degree else torch.full((len(read),), math.nan)
    return [
        (read.means - written.means).norm(dim=1),
        100 * ((read.log_scales - written.log_scales).exp() - 1).abs().amax(1),
        sine.clamp(max=1).asin().rad2deg(),
        (read.opacities - written.opacities).abs(),
        (read.rgb - written.rgb).abs().amax(1),
        harmonics,
    ]


def row(scene: Gaussians, shown: Tensor, ending: str, folder: Path) -> list[str]:
    """One line of the table."""
    path = folder / (ending if ending.startswith("meta") else f"scene{ending}")
    save_gaussians(path, scene)
    read = load_gaussians(path)
    written = scene.select(_order(scene, read, ending))
    difference = float((pictures(read) - shown).square().mean())
    psnr = f"{-10 * math.log10(difference):.1f}" if difference > 1e-12 else "equal"
    cells = [
        "none"
        if bool(e.isnan().any())
        else f"{float(e.mean()):.2g} / {float(e.max()):.2g}"
        if e.max() > 1e-5
        else "exact"
        for e in errors(read, written)
    ]
    return [f"`{ending}`", f"{stored_bytes(path) / len(scene):.1f}", *cells, psnr]


def _order(scene: Gaussians, read: Gaussians, ending: str) -> Tensor:
    """Which Gaussian of the scene each one read was."""
    if ending in (".compressed.ply", ".sog"):
        return spatial_order(scene.means)
    if ending == ".splat":  # the largest first; its positions are exact
        return torch.from_numpy(cKDTree(scene.means.numpy()).query(read.means.numpy())[1])
    return torch.arange(len(scene))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num", type=int, default=100_000, help="number of Gaussians")
    parser.add_argument("--picture", type=Path, help="write the renders of the scene to this .png")
    arguments = parser.parse_args()
    scene = synthetic_scene(arguments.num)
    shown = pictures(scene)
    if arguments.picture:
        from unseen.io.images import write_image

        write_image(arguments.picture, torch.cat(list(shown), 1))
    print("| " + " | ".join(COLUMNS) + " |\n" + "|---" * len(COLUMNS) + "|")
    with tempfile.TemporaryDirectory() as folder:
        for candidate in FORMATS:
            if candidate.save and candidate.ending != "meta.json":  # the same as .sog
                print("| " + " | ".join(row(scene, shown, candidate.ending, Path(folder))) + " |", flush=True)


if __name__ == "__main__":
    main()
