"""Latents of mean 0 and covariance 1 that decode to the same pictures."""

import torch

from small_models import micro_model
from unseen.priors.multiview.training.whitening import whiten, whitening


class Noise:
    """Pictures of noise in place of albums."""

    def singles(self, count, generator):
        return torch.rand(count, 32, 32, 3, generator=generator)


def test_the_matrix_whitens_mixed_channels():
    g = torch.Generator().manual_seed(0)
    mixed = torch.einsum("ij,njhw->nihw", torch.tensor([[0.1, 0.0], [0.5, 2.0]]), torch.randn(50, 2, 8, 8, generator=g))
    mean, matrix = whitening(mixed + torch.tensor([3.0, -1.0])[:, None, None])
    torch.testing.assert_close(mean, torch.tensor([3.0, -1.0]), atol=0.1, rtol=0)
    white = torch.einsum("ij,njhw->nihw", matrix, mixed).transpose(0, 1).flatten(1)
    torch.testing.assert_close(torch.cov(white), torch.eye(2), atol=1e-4, rtol=0)


def test_a_whitened_autoencoder_decodes_the_same():
    model, pictures = micro_model(), Noise()
    images = pictures.singles(64, torch.Generator().manual_seed(1))
    before, old = model.decode(model.encode(images)), model.encode(images)
    mean, matrix = whiten(model, pictures)
    latents = model.encode(images)
    torch.testing.assert_close(model.decode(latents), before, atol=1e-5, rtol=0)
    between = torch.einsum("ij,njhw->nihw", matrix, old - mean[:, None, None])
    torch.testing.assert_close(latents, between, atol=1e-3, rtol=1e-3)
    variance = torch.linalg.eigvalsh(torch.cov(latents.transpose(0, 1).flatten(1)))
    assert model.config.vae["scaling_factor"] == model.vae.config.scaling_factor == 1
    assert variance.min() > 0.3 and variance.max() < 2
