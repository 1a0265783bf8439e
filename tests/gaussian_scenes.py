"""Scenes for the rasteriser's tests, and an independent float64 evaluation of what an image should be."""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from unseen.render import rasterization

DIFFERENTIABLE = ("means", "quats", "scales", "opacities", "colors", "viewmats", "backgrounds")


@dataclass
class Scene:
    """Arguments of `rasterization`."""

    means: Tensor
    quats: Tensor
    scales: Tensor
    opacities: Tensor
    colors: Tensor
    viewmats: Tensor
    Ks: Tensor
    width: int
    height: int
    backgrounds: Tensor | None = None
    sh_degree: int | None = None

    def to(self, dtype: torch.dtype) -> "Scene":
        """Copy in another dtype."""
        changed = {k: v.to(dtype) for k, v in vars(self).items() if isinstance(v, Tensor)}
        return replace(self, **changed)

    def leaves(self) -> dict[str, Tensor]:
        """Detached copies of the differentiable inputs that require gradients."""
        tensors = {name: getattr(self, name) for name in DIFFERENTIABLE}
        return {k: v.detach().clone().requires_grad_() for k, v in tensors.items() if v is not None}

    def render(self, **options):
        """Call `rasterization`."""
        tensors = [getattr(self, k) for k in ("means", "quats", "scales", "opacities", "colors", "viewmats", "Ks")]
        options = {"backgrounds": self.backgrounds, "sh_degree": self.sh_degree, **options}
        return rasterization(*tensors, self.width, self.height, **options)


def random_scene(
    n: int = 60,
    cameras: int = 1,
    sh_degree: int | None = None,
    channels: int = 3,
    size: tuple[int, int] = (47, 35),
    seed: int = 0,
    scale: tuple[float, float] = (0.02, 0.3),
    background: bool = True,
) -> Scene:
    """Overlapping anisotropic Gaussians in a cube around the origin before cameras that look at it; float32 values."""
    g = torch.Generator().manual_seed(seed)
    width, height = size
    low, high = np.log(scale[0]), np.log(scale[1])
    shape = (n, channels) if sh_degree is None else (n, (sh_degree + 1) ** 2, 3)
    colors = torch.rand(shape, generator=g) if sh_degree is None else 0.4 * torch.randn(shape, generator=g)
    viewmats = torch.eye(4).repeat(cameras, 1, 1)
    for c in range(cameras):
        angle = torch.tensor(0.3 * c + 0.1)
        viewmats[c, :3, :3] = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
        viewmats[c, :3, 3] = torch.tensor([0.05 * c, -0.04 * c, 3.5])
    focal = 1.1 * max(size)
    ks = torch.tensor([[focal, 0, 0.48 * width], [0, 0.95 * focal, 0.53 * height], [0, 0, 1]]).repeat(cameras, 1, 1)
    return Scene(
        means=(torch.rand(n, 3, generator=g) - 0.5) * 2,
        quats=torch.randn(n, 4, generator=g),
        scales=torch.exp(low + (high - low) * torch.rand(n, 3, generator=g)),
        opacities=0.05 + 0.95 * torch.rand(n, generator=g),
        colors=colors,
        viewmats=viewmats,
        Ks=ks,
        width=width,
        height=height,
        backgrounds=torch.rand(cameras, channels if sh_degree is None else 3, generator=g) if background else None,
        sh_degree=sh_degree,
    )


def all_pixels(scene: Scene) -> np.ndarray:
    """Integer (x, y) of every pixel, row by row."""
    ys, xs = np.mgrid[: scene.height, : scene.width]
    return np.stack([xs.ravel(), ys.ravel()], 1)


def dense(
    scene: Scene, camera: int, pixels: np.ndarray, antialiased: bool = False, near: float = 0.01, far: float = 1e10
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Colours [P, D], alphas [P] of plain colours by the rules, in float64: every Gaussian at every pixel, one after
    the other, no tiles, no bounds. The third result marks pixels where a rule that jumps (alpha against 1/255,
    transmittance against 1e-4) was decided by less than float32 can resolve."""
    means2d, inverses, depths, opacities, index = _ellipses(scene, camera, antialiased, near, far)
    colors = scene.colors.double().numpy()[index]
    background = np.zeros(colors.shape[1]) if scene.backgrounds is None else scene.backgrounds[camera].double().numpy()
    points = pixels + 0.5
    light = np.zeros((len(points), colors.shape[1]))
    transmittance = np.ones(len(points))
    done = np.zeros(len(points), bool)
    doubtful = np.zeros(len(points), bool)
    for i in np.argsort(depths, kind="stable"):
        d = points - means2d[i]
        power = -0.5 * np.einsum("pi,ij,pj->p", d, inverses[i], d)
        alpha = np.minimum(opacities[i] * np.exp(power), 0.999)
        doubtful |= ~done & (np.abs(alpha * 255 - 1) < 2e-4)
        alpha = np.where(alpha >= 1 / 255, alpha, 0)
        after = transmittance * (1 - alpha)
        doubtful |= ~done & (alpha > 0) & (np.abs(after / 1e-4 - 1) < 1e-3)
        done |= (alpha > 0) & (after <= 1e-4)
        weight = np.where(done, 0, alpha * transmittance)
        light += weight[:, None] * colors[i]
        transmittance = np.where(done, transmittance, after)
    return light + transmittance[:, None] * background, 1 - transmittance, doubtful


def _ellipses(scene: Scene, camera: int, antialiased: bool, near: float, far: float):
    """Means, inverse covariances, depths, opacities and indices of the Gaussians between the planes."""
    view, k = scene.viewmats[camera].double().numpy(), scene.Ks[camera].double().numpy()
    points = scene.means.double().numpy() @ view[:3, :3].T + view[:3, 3]
    index = np.flatnonzero((points[:, 2] >= near) & (points[:, 2] <= far))
    x, y, z = points[index].T
    quats = scene.quats.double().numpy()[index]
    w, i, j, l = (quats / np.linalg.norm(quats, axis=1, keepdims=True)).T  # noqa: E741
    rotation = np.stack(
        [1 - 2 * (j * j + l * l), 2 * (i * j - w * l), 2 * (i * l + w * j),
         2 * (i * j + w * l), 1 - 2 * (i * i + l * l), 2 * (j * l - w * i),
         2 * (i * l - w * j), 2 * (j * l + w * i), 1 - 2 * (i * i + j * j)], -1
    ).reshape(-1, 3, 3)  # fmt: skip
    axes = view[:3, :3] @ rotation * scene.scales.double().numpy()[index][:, None]
    fx, fy, cx, cy = k[0, 0], k[1, 1], k[0, 2], k[1, 2]
    margin_x, margin_y = 0.15 * scene.width / fx, 0.15 * scene.height / fy
    rx = np.clip(x / z, -cx / fx - margin_x, (scene.width - cx) / fx + margin_x)
    ry = np.clip(y / z, -cy / fy - margin_y, (scene.height - cy) / fy + margin_y)
    zero = np.zeros_like(z)
    jacobian = np.stack([fx / z, zero, -fx * rx / z, zero, fy / z, -fy * ry / z], -1).reshape(-1, 2, 3)
    flat = jacobian @ axes
    thin = flat @ flat.transpose(0, 2, 1)
    full = thin + 0.3 * np.eye(2)
    opacities = scene.opacities.double().numpy()[index]
    if antialiased:
        cross = np.cross(flat[:, 0], flat[:, 1])
        opacities = opacities * np.sqrt((cross**2).sum(-1) / np.linalg.det(full))
    means2d = np.stack([fx * x / z + cx, fy * y / z + cy], -1)
    return means2d, np.linalg.inv(full), z, opacities, index
