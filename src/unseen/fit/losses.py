"""Image losses of Gaussian fitting: (1 - w) L1 + w (1 - SSIM), fused and multi-threaded on the CPU.

SSIM is Wang et al. 2004 with an 11 x 11 Gaussian window of sigma 1.5, C1 = 0.01^2, C2 = 0.03^2, per channel, over
images padded with zeros and averaged over every pixel: 3D Gaussian Splatting's convention. (Implementations that crop
the border or pad by reflection give other numbers.)
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from unseen.core.errors import ShapeError
from unseen.fit.ssim_kernels import C1, C2, RADIUS, loss_gradient, loss_maps, window
from unseen.render.cpu.runtime import run, take

_MIN_WIDTH = 6
"""Narrower images do not fill a vector and take the torch path."""


def image_loss(
    render: Float[Tensor, "*batch H W 3"],
    target: Float[Tensor, "*batch H W 3"],
    ssim_weight: float = 0.2,
    mask: Float[Tensor, "*batch H W"] | None = None,
) -> Float[Tensor, ""]:
    """(1 - w) L1 + w (1 - SSIM), both averaged over pixels and channels (Kerbl et al. 2023, equation 7).

    Args:
        render, target: images in [0, 1]. Gradients reach both.
        ssim_weight: w.
        mask: weight per pixel; L1 and the SSIM map are then averaged with these weights. SSIM's windows still see the
            pixels outside. A mask of zeros gives 0.

    Float32 CPU images take compiled kernels (one pass forward, one backward); everything else plain torch.

    Raises:
        ShapeError: shapes, dtypes or devices differ.
    """
    _check(render, target, mask)
    weights = None if mask is None else mask.detach().reshape(-1, *render.shape[-3:-1])
    images = render.reshape(-1, *render.shape[-3:]), target.reshape(-1, *target.shape[-3:])
    fused = render.device.type == "cpu" and render.dtype == torch.float32 and not target.requires_grad
    if fused and render.shape[-2] >= _MIN_WIDTH and render.numel():
        return _FusedLoss.apply(*images, float(ssim_weight), weights)
    difference, similarity = (images[0] - images[1]).abs(), ssim_map(*images)
    per_pixel = ((1 - ssim_weight) * difference + ssim_weight * (1 - similarity)).mean(-1)
    if weights is None:
        return per_pixel.mean()
    return (per_pixel * weights).sum() / weights.sum().clamp_min(1e-12)


def ssim_map(a: Float[Tensor, "B H W 3"], b: Float[Tensor, "B H W 3"]) -> Float[Tensor, "B H W 3"]:
    """SSIM per pixel and channel, in plain torch; conventions in the module's docstring."""
    x, y = a.movedim(-1, 1), b.movedim(-1, 1)
    mean_x, mean_y = _blur(x), _blur(y)
    variances = _blur(x * x) + _blur(y * y) - mean_x**2 - mean_y**2
    covariance = _blur(x * y) - mean_x * mean_y
    upper = (2 * mean_x * mean_y + C1) * (2 * covariance + C2)
    return (upper / ((mean_x**2 + mean_y**2 + C1) * (variances + C2))).movedim(1, -1)


def _blur(images: Float[Tensor, "B D H W"]) -> Float[Tensor, "B D H W"]:
    """Separable Gaussian window with zero padding."""
    taps = torch.as_tensor(window(), dtype=images.dtype, device=images.device)
    channels = images.shape[1]
    for shape, padding in (((1, 1, -1, 1), (RADIUS, 0)), ((1, 1, 1, -1), (0, RADIUS))):
        weight = taps.reshape(shape).expand(channels, -1, -1, -1)
        images = torch.nn.functional.conv2d(images, weight, padding=padding, groups=channels)
    return images


def _check(render: Tensor, target: Tensor, mask: Tensor | None) -> None:
    if render.shape != target.shape or render.ndim < 3 or render.shape[-1] != 3:
        raise ShapeError(
            f"images have shapes {tuple(render.shape)} and {tuple(target.shape)}, expected [..., H, W, 3] twice"
        )
    if render.dtype != target.dtype or render.device != target.device:
        raise ShapeError(
            f"render is {render.dtype} on {render.device}, target {target.dtype} on {target.device}: convert one"
        )
    if mask is not None and mask.shape != render.shape[:-1]:
        raise ShapeError(
            f"mask has shape {tuple(mask.shape)}, expected one weight per pixel {tuple(render.shape[:-1])}"
        )


class _FusedLoss(torch.autograd.Function):
    """The loss of float32 CPU images [B, H, W, 3]; forward leaves three maps from which backward makes the
    gradient."""

    @staticmethod
    def forward(ctx, render, target, ssim_weight: float, mask):
        x, y = (_rows(t) for t in (render, target))
        weights = np.zeros((0, 0, 0), np.float32) if mask is None else mask.contiguous().float().numpy()
        batch, height, length = x.shape
        maps = [take(x.shape) for _ in range(3 if ctx.needs_input_grad[0] else 0)] or [
            np.zeros((0, 0, 0), np.float32)
        ] * 3
        sums = take((batch * height, 2), np.float64)
        run(loss_maps, x, y, weights, window(), *maps, sums)
        amount = (
            float(batch * height) * length if mask is None else max(3 * float(weights.sum(dtype=np.float64)), 1e-12)
        )
        ctx.arrays, ctx.scale = (x, y, weights, maps), ((1 - ssim_weight) / amount, -ssim_weight / amount)
        ctx.save_for_backward(render, target)  # notices changes in place
        absolute, dissimilarity = sums.sum(0) / amount
        return render.new_tensor((1 - ssim_weight) * absolute + ssim_weight * dissimilarity)

    @staticmethod
    @once_differentiable
    def backward(ctx, upstream):  # type: ignore[override]
        render, _ = ctx.saved_tensors
        x, y, weights, maps = ctx.arrays
        factor = float(upstream)
        out = take(x.shape)
        run(loss_gradient, x, y, weights, window(), *maps, factor * ctx.scale[0], factor * ctx.scale[1], out)
        return torch.from_numpy(out).view(render.shape), None, None, None


def _rows(images: Tensor) -> np.ndarray:
    """[B, H, W * 3] view of the values."""
    return images.detach().contiguous().flatten(2).numpy()
