"""Targets equal the definition of compositing."""

import numpy as np
import torch

from unseen.fit.targets import over


def test_over_is_linear_interpolation_by_the_matte():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, 3), dtype=np.uint8)
    alpha = rng.integers(0, 256, (5, 7), dtype=np.uint8)
    background = torch.tensor([0.2, 0.9, 0.5])
    a = alpha[..., None] / 255
    expected = a * image / 255 + (1 - a) * background.numpy()
    np.testing.assert_allclose(over(image, alpha, background).numpy(), expected, atol=1e-6)
