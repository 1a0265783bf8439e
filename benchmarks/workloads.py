"""The scenes that are timed.

W1: the garden (points of garden.npz within [-2, 2]^3, camera 0, native size), SH degree 3, and W1-SH0, degree 0. W2:
100,000 random Gaussians at 512 x 512, W3: the same with scales five times larger. avatar10k, avatar30k: small Gaussians
on an ellipsoid the size of a head at 512 x 512, plain colours. The random numbers are drawn as `random_parts` says.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unseen.core.sh import rgb_to_sh0
from unseen.render import rasterization

GARDEN = Path(__file__).resolve().parents[2] / "shared" / "data" / "garden.npz"


@dataclass
class Workload:
    """Activated Gaussians and one camera."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int
    sh_degree: int | None

    def activated(self) -> list[Tensor]:
        """Leaves as `rasterization` takes them."""
        return _leaves(self.means, self.quats, self.scales, self.opacities, self.colors)

    def raw(self) -> list[Tensor]:
        """Leaves as an optimiser sees them: logarithms of scales, logits of opacities."""
        logits = torch.logit(self.opacities.clamp(1e-6, 1 - 1e-6))
        return _leaves(self.means, self.quats, self.scales.log(), logits, self.colors)

    def render(self, means, quats, scales, opacities, colors, backend: str) -> Tensor:
        """The image [1, H, W, 3] of activated Gaussians."""
        camera = self.viewmats, self.Ks, self.width, self.height
        gaussians = means, quats, scales, opacities, colors
        return rasterization(*gaussians, *camera, sh_degree=self.sh_degree, backend=backend)[0]


def _leaves(*tensors: Tensor) -> list[Tensor]:
    return [t.detach().clone().contiguous().requires_grad_() for t in tensors]


def random_parts(n: int, low: float, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Scales U[low, 0.02], unit quaternions and opacities U[0, 1], drawn in this order."""
    scales = torch.rand(n, 3, generator=generator) * (0.02 - low) + low
    quats = torch.nn.functional.normalize(torch.randn(n, 4, generator=generator), dim=1)
    return scales, quats, torch.rand(n, generator=generator)


def harmonics(rgb: Tensor, degree: int, generator: torch.Generator) -> Tensor:
    """SH coefficients: band 0 from colours, the rest N(0, 0.05)."""
    rest = 0.05 * torch.randn(len(rgb), 15, 3, generator=generator)
    return torch.cat([rgb_to_sh0(rgb)[:, None], rest[:, : (degree + 1) ** 2 - 1]], 1)


def garden(path: Path, degree: int) -> Workload:
    """W1."""
    data = np.load(path)
    generator = torch.Generator().manual_seed(42)
    keep = np.abs(data["means3d"]).max(1) <= 2
    means, rgb = (torch.from_numpy(data[k][keep]).float() for k in ("means3d", "colors"))
    scales, quats, opacities = random_parts(len(means), 1e-4, generator)
    cameras = [torch.from_numpy(data[k][:1]).float() for k in ("viewmats", "Ks")]
    size = int(data["width"]), int(data["height"])
    return Workload(means, quats, scales, opacities, harmonics(rgb / 255, degree, generator), *cameras, *size, degree)


def pinhole(distance: float, focal: float, size: int = 512) -> tuple[Tensor, Tensor]:
    """A square camera on the z axis; `focal` in pixels."""
    viewmats = torch.eye(4)[None].clone()
    viewmats[:, 2, 3] = distance
    return viewmats, torch.tensor([[[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]]])


def random_cube(factor: float = 1.0, n: int = 100_000, size: int = 512) -> Workload:
    """W2 and, with scales five times larger, W3; other numbers of Gaussians and pixels for the growth curves."""
    generator = torch.Generator().manual_seed(42)
    means = (torch.rand(n, 3, generator=generator) - 0.5) * 2
    scales, quats, opacities = random_parts(n, 1e-3, generator)
    colors = harmonics(torch.rand(n, 3, generator=generator), 3, generator)
    cameras = pinhole(4, 1.4 * size, size)
    return Workload(means, quats, scales * factor, opacities, colors, *cameras, size, size, 3)


def avatar(n: int) -> Workload:
    """n Gaussians of 1 to 3 mm on a head-sized ellipsoid seen from 1 m."""
    generator = torch.Generator().manual_seed(42)
    directions = torch.nn.functional.normalize(torch.randn(n, 3, generator=generator), dim=1)
    means = directions * torch.tensor([0.08, 0.11, 0.09])
    scales = torch.rand(n, 3, generator=generator) * 0.002 + 0.001
    quats = torch.randn(n, 4, generator=generator)
    opacities = torch.rand(n, generator=generator) * 0.8 + 0.15
    rgb = torch.rand(n, 3, generator=generator)
    return Workload(means, quats, scales, opacities, rgb, *pinhole(1, 1400), 512, 512, None)


def make_workloads(path: Path) -> dict[str, Callable[[], Workload]]:
    """By name; without the garden where there is none."""
    makers: dict[str, Callable[[], Workload]] = {
        "W1": lambda: garden(path, 3),
        "W1-SH0": lambda: garden(path, 0),
        "W2": random_cube,
        "W3": lambda: random_cube(5.0),
        "avatar10k": lambda: avatar(10_000),
        "avatar30k": lambda: avatar(30_000),
    }
    if not path.exists():
        print(f"W1 left out: {path} is not there (--garden)")
        del makers["W1"], makers["W1-SH0"]
    return makers
