"""Image metrics by hand."""

import math

import pytest
import torch

from unseen.core import ShapeError
from unseen.fit.metrics import MAX_PSNR_DB, l1, psnr, ssim


def test_psnr_of_a_constant_offset():
    target = torch.rand(2, 8, 9, 3) * 0.5
    expected = -20 * math.log10(0.1)
    torch.testing.assert_close(psnr(target + 0.1, target), torch.full((2,), expected), rtol=1e-4, atol=0)
    torch.testing.assert_close(l1(target + 0.1, target), torch.full((2,), 0.1), rtol=1e-4, atol=0)


def test_one_value_per_image():
    target = torch.zeros(2, 3, 8, 8, 3)
    image = target + torch.tensor([[0.1, 0.2, 0.4], [0.01, 0.5, 1.0]])[..., None, None, None]
    assert psnr(image, target).shape == ssim(image, target).shape == (2, 3)
    torch.testing.assert_close(l1(image, target), torch.tensor([[0.1, 0.2, 0.4], [0.01, 0.5, 1.0]]))
    assert psnr(image, target)[1, 2].item() == pytest.approx(0, abs=1e-5)


def test_equal_images():
    image = torch.rand(1, 20, 20, 3)
    assert psnr(image, image).item() == MAX_PSNR_DB
    assert ssim(image, image).item() == pytest.approx(1)


def test_weights_choose_pixels():
    target = torch.zeros(1, 6, 6, 3)
    image = target.clone()
    image[:, :3] = 0.1
    image[:, 3:] = 0.3
    weights = torch.zeros(1, 6, 6)
    weights[:, :3] = 1
    assert psnr(image, target, weights).item() == pytest.approx(20, abs=1e-4)
    weights[:, 3:] = 0.5
    assert l1(image, target, weights).item() == pytest.approx((0.1 + 0.5 * 0.3) / 1.5, rel=1e-5)
    assert math.isnan(psnr(image, target, torch.zeros(1, 6, 6)).item())


def test_ssim_falls_with_noise():
    g = torch.Generator().manual_seed(0)
    target = torch.rand(1, 64, 64, 3, generator=g)
    values = [ssim(target + s * torch.randn(target.shape, generator=g), target).item() for s in (0.02, 0.1, 0.5)]
    assert 1 > values[0] > values[1] > values[2] > 0


def test_shapes_are_checked():
    image = torch.rand(1, 6, 6, 3)
    with pytest.raises(ShapeError, match="weights"):
        psnr(image, image, torch.ones(6, 6))
    with pytest.raises(ShapeError, match="images"):
        ssim(image, image[..., :1])
