"""The fused image loss against plain torch in float64, and both against what the formulas say."""

import pytest
import torch

from unseen.core import ShapeError
from unseen.fit.losses import image_loss, ssim_map

SHAPES = [
    (1, 37, 53, 3),
    (2, 64, 48, 3),
    (40, 33, 3),
    (1, 5, 6, 3),
    (1, 1, 40, 3),
    (1, 12, 16, 3),
    (1, 9, 5, 3),
    (1, 3, 1, 3),
]


def pair(shape, seed=0):
    """An image with flat, equal and textured parts, and a noisy version of it."""
    g = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=g)
    target[..., : shape[-3] // 3, :, :] = 0.4
    render = (target + 0.2 * torch.randn(shape, generator=g)).clamp(0, 1)
    render[..., : shape[-2] // 4, :] = target[..., : shape[-2] // 4, :]
    return render, target


def gradient_of(render, target, mask, dtype, weight=0.2):
    """Value and gradient of 3 times the loss, so that the upstream gradient is not 1."""
    leaf = render.detach().to(dtype, copy=True).requires_grad_()
    loss = image_loss(leaf, target.to(dtype), weight, None if mask is None else mask.to(dtype))
    (3 * loss).backward()
    return loss.item(), leaf.grad.double()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.2, 1.0])
def test_fused_equals_plain_torch(shape, masked, weight):
    render, target = pair(shape)
    mask = torch.rand(shape[:-1], generator=torch.Generator().manual_seed(1)).round() if masked else None
    value, gradient = gradient_of(render, target, mask, torch.float32, weight)
    expected, exact = gradient_of(render, target, mask, torch.float64, weight)
    assert value == pytest.approx(expected, abs=1e-6)
    scale = exact.abs().max().clamp_min(1e-6)
    assert ((gradient - exact).abs().max() / scale) < 2e-5


def test_plain_torch_gradient_against_differences():
    render, target = (t.double() for t in pair((1, 4, 3, 3)))
    mask = torch.rand(1, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    render = (render + 0.01).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, y: image_loss(x, y, 0.3, mask), (render, target.requires_grad_()))


def test_ssim_by_its_definition():
    """At one interior pixel: means, variances and covariance under the 11 x 11 Gaussian window."""
    render, target = (t.double() for t in pair((1, 15, 15, 3), seed=3))
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window = (window / window.sum())[..., None]
    x, y = render[0, 2:13, 2:13], target[0, 2:13, 2:13]
    mx, my = (window * x).sum((0, 1)), (window * y).sum((0, 1))
    vx, vy = (window * (x - mx) ** 2).sum((0, 1)), (window * (y - my) ** 2).sum((0, 1))
    cov = (window * (x - mx) * (y - my)).sum((0, 1))
    expected = (2 * mx * my + 1e-4) * (2 * cov + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4))
    torch.testing.assert_close(ssim_map(render, target)[0, 7, 7], expected, rtol=1e-5, atol=1e-7)


def test_equal_images_have_no_loss():
    render, _ = pair((1, 40, 40, 3))
    assert image_loss(render, render.clone()).item() == pytest.approx(0, abs=1e-6)


def test_mask_of_zeros_gives_zero():
    render, target = pair((1, 20, 20, 3))
    leaf = render.requires_grad_()
    loss = image_loss(leaf, target, mask=torch.zeros(1, 20, 20))
    loss.backward()
    assert loss.item() == 0 and leaf.grad.abs().max() == 0


def test_mask_keeps_the_rest_out_of_l1():
    render, target = pair((1, 20, 30, 3))
    mask = torch.zeros(1, 20, 30)
    mask[:, 5:9, 7:20] = 1
    expected = (render - target)[:, 5:9, 7:20].abs().mean().item()
    assert image_loss(render, target, 0.0, mask).item() == pytest.approx(expected, rel=1e-5)


def test_same_bits_with_one_and_two_threads():
    render, target = pair((2, 70, 90, 3))
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(gradient_of(render, target, None, torch.float32))
    torch.set_num_threads(before)
    assert results[0][0] == results[1][0] and torch.equal(results[0][1], results[1][1])


def test_without_gradient():
    render, target = pair((1, 20, 30, 3))
    with torch.no_grad():
        value = image_loss(render, target)
    assert not value.requires_grad
    assert value.item() == pytest.approx(image_loss(render.double(), target.double()).item(), abs=1e-6)


def test_shapes_are_checked():
    render, target = pair((1, 20, 30, 3))
    with pytest.raises(ShapeError, match="images"):
        image_loss(render, target[:, :-1])
    with pytest.raises(ShapeError, match="mask"):
        image_loss(render, target, mask=torch.ones(1, 20, 30, 1))
    with pytest.raises(ShapeError, match="float64"):
        image_loss(render, target.double())
