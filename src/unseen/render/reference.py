"""Gaussian rasterisation in plain torch: any dtype, any device, gradients by autograd. Clear and exact, not fast.

The other backends are tested against this one. Method: EWA splatting (Zwicker et al. 2001) as in 3D Gaussian Splatting
(Kerbl et al. 2023, equations 2, 3 and 5), with gsplat's constants and culling rules.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from unseen.core.rotations import quaternion_to_matrix
from unseen.core.sh import evaluate_sh
from unseen.render.settings import ALPHA_MAX, ALPHA_MIN, FRUSTUM_MARGIN, TRANSMITTANCE_MIN, Scene, Settings


class Projection(NamedTuple):
    """Gaussians as ellipses in the image planes of C cameras; `radii` are zero where a Gaussian is culled."""

    means2d: Float[Tensor, "C N 2"]
    conics: Float[Tensor, "C N 3"]
    depths: Float[Tensor, "C N"]
    opacities: Float[Tensor, "C N"]
    radii: Int[Tensor, "C N 2"]


def rasterize(scene: Scene, settings: Settings, tile_size: int = 16) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Render `scene`; arguments as `unseen.render.rasterization` has checked them.

    Args:
        tile_size: side in pixels of the squares that are evaluated at once. Memory grows with its square; the image
            does not depend on it.
    """
    projection = project(scene, settings)
    features, backgrounds = _features(scene, settings, projection)
    holder = _AbsGrad(projection.means2d) if settings.absgrad else None
    images = [
        _render_camera(Projection(*(t[c] for t in projection)), features[c], settings, tile_size, holder, c)
        for c in range(len(scene.viewmats))
    ]
    renders = torch.stack([image[..., :-1] for image in images])
    alphas = torch.stack([image[..., -1:] for image in images])
    if backgrounds is not None:
        renders = renders + (1 - alphas) * backgrounds[:, None, None]
    return renders, alphas, {**projection._asdict(), "tile_size": tile_size}


def project(scene: Scene, settings: Settings) -> Projection:
    """Means, inverse covariances (xx, xy, yy) and depths in the image planes, with gsplat's culling."""
    rotated = quaternion_to_matrix(scene.quats) * scene.scales[:, None]
    world_to_camera = scene.viewmats[:, None, :3, :3]
    means = (world_to_camera @ scene.means[..., None]).squeeze(-1) + scene.viewmats[:, None, :3, 3]
    factors = world_to_camera @ rotated  # covariance in the camera frame is factors @ factors^T
    depths = means[..., 2]
    inside = (depths >= settings.near_plane) & (depths <= settings.far_plane)
    means = torch.where(inside[..., None], means, torch.ones_like(means))
    fx, fy, cx, cy = (scene.Ks[:, i, j, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    x, y, z = means.unbind(-1)
    means2d = torch.stack([fx * x / z + cx, fy * y / z + cy], -1)
    rows = torch.stack(
        [_jacobian_row(fx, cx, x, z, settings.width, 0), _jacobian_row(fy, cy, y, z, settings.height, 1)], -2
    )
    flat = rows @ factors
    covariances = flat @ flat.transpose(-1, -2)
    a, b, c = covariances[..., 0, 0], covariances[..., 0, 1], covariances[..., 1, 1]
    determinant = (a * c - b * b).clamp_min(0)
    a, c = a + settings.eps2d, c + settings.eps2d
    blurred = a * c - b * b
    inside = inside & (blurred > 0)
    blurred = torch.where(inside, blurred, torch.ones_like(blurred))
    opacities = scene.opacities.expand_as(depths)
    if settings.antialiased:
        ratio = determinant / blurred
        positive = ratio > 0
        opacities = opacities * torch.where(positive, torch.where(positive, ratio, 1.0).sqrt(), 0.0)
    conics = torch.stack([c, -b, a], -1) / blurred[..., None]
    radii = _radii(a, c, opacities, means2d, inside, settings)
    return Projection(means2d, conics, depths, opacities, radii)


def _jacobian_row(focal: Tensor, center: Tensor, offset: Tensor, z: Tensor, size: int, axis: int) -> Tensor:
    """One row of the projection's Jacobian [..., 3]; the ray it is taken at stays near the field of view."""
    margin = FRUSTUM_MARGIN * 0.5 * size / focal
    ray = torch.minimum(torch.maximum(offset / z, -(center / focal + margin)), (size - center) / focal + margin)
    row = [torch.zeros_like(z), torch.zeros_like(z), -focal * ray / z]
    row[axis] = focal / z
    return torch.stack(row, -1)


@torch.no_grad()
def _radii(a: Tensor, c: Tensor, opacities: Tensor, means2d: Tensor, inside: Tensor, settings: Settings) -> Tensor:
    """Half sizes in whole pixels of the box outside which alpha is below its minimum; 0 where culled."""
    extent = torch.sqrt(2 * torch.log((opacities / ALPHA_MIN).clamp_min(1)))
    radii = torch.ceil(extent[..., None] * torch.stack([a, c], -1).clamp_min(0).sqrt())
    size = torch.tensor([settings.width, settings.height], dtype=means2d.dtype, device=means2d.device)
    seen = ((means2d + radii > 0) & (means2d - radii < size)).all(-1) & (opacities >= ALPHA_MIN) & inside
    limit = float(torch.iinfo(torch.int32).max // 2)
    return torch.where(seen[..., None], radii.clamp_max(limit), 0).to(torch.int32)


def _features(scene: Scene, settings: Settings, projection: Projection) -> tuple[Tensor, Tensor | None]:
    """What is composited, [C, N, D], and its background: colours, evaluated SH, depths."""
    colors, backgrounds = scene.colors, scene.backgrounds
    cameras = len(scene.viewmats)
    depths = projection.depths[..., None]
    if settings.depth == "only":
        return depths, None
    if settings.sh_degree is not None:
        centers = torch.linalg.inv(scene.viewmats)[:, None, :3, 3]
        coefficients = colors.expand(cameras, *colors.shape[-3:])
        colors = (evaluate_sh(settings.sh_degree, scene.means - centers, coefficients) + 0.5).clamp_min(0)
    colors = colors.expand(cameras, *colors.shape[-2:])
    if settings.depth == "append":
        colors = torch.cat([colors, depths], -1)
        if backgrounds is not None:
            backgrounds = torch.cat([backgrounds, backgrounds.new_zeros(cameras, 1)], -1)
    return colors, backgrounds


def _render_camera(
    projection: Projection, features: Tensor, settings: Settings, tile_size: int, holder: "_AbsGrad | None", camera: int
) -> Float[Tensor, "H W D+1"]:
    """Colours without background and, as last channel, alpha of one camera, tile by tile."""
    order = torch.argsort(projection.depths.detach(), stable=True)
    order = order[(projection.radii[order] > 0).all(-1)]
    strips = []
    for top in range(0, settings.height, tile_size):
        bottom = min(top + tile_size, settings.height)
        in_strip = _touching(projection, order, 1, top, bottom)
        tiles = []
        for left in range(0, settings.width, tile_size):
            right = min(left + tile_size, settings.width)
            index = _touching(projection, in_strip, 0, left, right)
            pixels = _pixel_centers(left, right, top, bottom, projection.means2d)
            means2d = projection.means2d[index][:, None]
            if holder is not None:
                means2d = _Watch.apply(means2d.expand(-1, len(pixels), -1), holder, camera, index)
            tile = checkpoint(
                _composite,
                *(pixels, means2d, projection.conics[index], projection.opacities[index], features[index]),
                use_reentrant=False,
            )
            tiles.append(tile.reshape(bottom - top, right - left, -1))
        strips.append(torch.cat(tiles, 1))
    return torch.cat(strips, 0)


def _touching(projection: Projection, index: Tensor, axis: int, low: int, high: int) -> Tensor:
    """Those of the Gaussians in `index` whose box reaches between two pixel coordinates."""
    center, radius = projection.means2d.detach()[index, axis], projection.radii[index, axis]
    return index[(center - radius < high) & (center + radius > low)]


def _pixel_centers(left: int, right: int, top: int, bottom: int, like: Tensor) -> Float[Tensor, "P 2"]:
    """Centres of the pixels of a rectangle, row by row."""
    xs = torch.arange(left, right, dtype=like.dtype, device=like.device) + 0.5
    ys = torch.arange(top, bottom, dtype=like.dtype, device=like.device) + 0.5
    return torch.stack(torch.meshgrid(xs, ys, indexing="xy"), -1).reshape(-1, 2)


def _composite(
    pixels: Float[Tensor, "P 2"],
    means2d: Float[Tensor, "M P 2"] | Float[Tensor, "M 1 2"],
    conics: Float[Tensor, "M 3"],
    opacities: Float[Tensor, "M"],
    features: Float[Tensor, "M D"],
) -> Float[Tensor, "P D+1"]:
    """Front-to-back compositing of M Gaussians, sorted by depth, at every one of P pixels.

    Transmittance only falls, so 'stop at the first Gaussian that would bring it to 1e-4' is one comparison.
    """
    dx, dy = means2d[..., 0] - pixels[:, 0], means2d[..., 1] - pixels[:, 1]
    xx, xy, yy = conics[:, None].unbind(-1)
    exponent = 0.5 * (xx * dx * dx + yy * dy * dy) + xy * dx * dy
    alpha = (opacities[:, None] * torch.exp(-exponent.clamp_min(0))).clamp_max(ALPHA_MAX)
    alpha = torch.where(alpha >= ALPHA_MIN, alpha, 0)
    after = torch.cumprod(1 - alpha, 0)
    before = torch.cat([torch.ones_like(after[:1]), after])[: len(after)]
    weights = torch.where(after > TRANSMITTANCE_MIN, alpha * before, 0)
    return torch.cat([weights.T @ features, weights.sum(0)[:, None]], -1)


class _AbsGrad:
    """Sums absolute gradients of `means2d` over pixels into its attribute `absgrad`, as gsplat does."""

    def __init__(self, means2d: Tensor):
        self.means2d = means2d

    def add(self, camera: int, index: Tensor, grads: Tensor) -> None:
        if getattr(self.means2d, "absgrad", None) is None:
            self.means2d.absgrad = torch.zeros_like(self.means2d)  # type: ignore[attr-defined]
        self.means2d.absgrad[camera].index_add_(0, index, grads)  # type: ignore[attr-defined]


class _Watch(torch.autograd.Function):
    """Identity that reports the gradient of every (Gaussian, pixel) pair before it is summed."""

    @staticmethod
    def forward(ctx, expanded: Tensor, holder: _AbsGrad, camera: int, index: Tensor) -> Tensor:
        ctx.holder, ctx.camera, ctx.index = holder, camera, index
        return expanded.view_as(expanded)

    @staticmethod
    @once_differentiable
    def backward(ctx, grads: Tensor):  # type: ignore[override]
        ctx.holder.add(ctx.camera, ctx.index, grads.abs().sum(1))
        return grads, None, None, None
