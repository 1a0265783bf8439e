"""How close two images are: PSNR, SSIM, L1, differences of gradients; and how a film flickers."""

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import ShapeError
from unseen.fit.losses import image_loss

MAX_PSNR_DB = 100.0
"""Value reported for identical images."""


def psnr(
    image: Float[Tensor, "*batch H W 3"],
    target: Float[Tensor, "*batch H W 3"],
    weights: Float[Tensor, "*batch H W"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Peak signal-to-noise ratio in dB, -10 log10(MSE) for peak 1, MSE over pixels and channels of each image.

    With `weights` (a mask, or any weights >= 0 per pixel) the MSE is the weighted mean. At most 100 dB; NaN for an
    image without any weight. Average PSNRs over images, not MSEs, to compare with published figures.
    """
    mse = _mean((image - target) ** 2, weights)
    return (-10 * torch.log10(mse)).clamp_max(MAX_PSNR_DB)


def l1(
    image: Float[Tensor, "*batch H W 3"],
    target: Float[Tensor, "*batch H W 3"],
    weights: Float[Tensor, "*batch H W"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Mean absolute difference of each image over pixels and channels, weighted as in `psnr`."""
    return _mean((image - target).abs(), weights)


def ssim(
    image: Float[Tensor, "*batch H W 3"],
    target: Float[Tensor, "*batch H W 3"],
    weights: Float[Tensor, "*batch H W"] | None = None,
) -> Float[Tensor, "*batch"]:
    """Structural similarity of each image: the (weighted) mean of the SSIM map of `unseen.fit.losses`, 11 x 11 Gaussian
    window of sigma 1.5, zero padding, peak 1 (Wang et al. 2004)."""
    _check(image, target)
    batch, size = image.shape[:-3], image.shape[-3:]
    images, targets = image.detach().reshape(-1, *size), target.detach().reshape(-1, *size)
    masks = [None] * len(images) if weights is None else weights.reshape(-1, *size[:2])
    pairs = zip(images, targets, masks, strict=True)
    values = [1 - image_loss(a[None], b[None], 1.0, None if m is None else m[None]) for a, b, m in pairs]
    return torch.stack(values).reshape(batch)


def gradient_error(
    image: Float[Tensor, "*batch H W 3"], target: Float[Tensor, "*batch H W 3"]
) -> Float[Tensor, "*batch"]:
    """Mean absolute difference of the differences between neighbouring pixels, right and below: what blur and ringing
    do, whatever the colours."""
    difference = image - target
    across, down = (difference.diff(dim=d).abs().mean((-3, -2, -1)) for d in (-2, -3))
    return (across + down) / 2


def flicker(frames: Float[Tensor, "T H W 3"], truth: Float[Tensor, "T H W 3"]) -> float:
    """Mean absolute difference between how a film changes from frame to frame and how the truth does."""
    return float((frames.diff(dim=0) - truth.diff(dim=0)).abs().mean())


def _mean(values: Float[Tensor, "*batch H W 3"], weights: Tensor | None) -> Float[Tensor, "*batch"]:
    per_pixel = values.mean(-1)
    if weights is None:
        return per_pixel.mean((-2, -1))
    if weights.shape != per_pixel.shape:
        raise ShapeError(f"weights have shape {tuple(weights.shape)}, expected one per pixel {tuple(per_pixel.shape)}")
    return (per_pixel * weights).sum((-2, -1)) / weights.sum((-2, -1))


def _check(image: Tensor, target: Tensor) -> None:
    if image.shape != target.shape or image.ndim < 3 or image.shape[-1] != 3:
        raise ShapeError(
            f"images have shapes {tuple(image.shape)} and {tuple(target.shape)}, expected [..., H, W, 3] twice"
        )
