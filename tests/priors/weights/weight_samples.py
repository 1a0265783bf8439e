"""Small random checkpoints in the layouts networks are published in."""

import torch

from unseen.priors.weights.image_encoder import CLIPShape, clip_map
from unseen.priors.weights.resampler import ResamplerShape, resampler_map
from unseen.priors.weights.unet import UNetShape, unet_map
from unseen.priors.weights.upsampler import UpsamplerShape
from unseen.priors.weights.vae import VAEShape, vae_map

UNET = UNetShape(8, 4, (32, 64), 1, (True, False), 24, True, camera_dim=16, image_tokens=True)
PLAIN_UNET = UNetShape(4, 4, (32, 64, 64), 2, (True, True, False), 24, False)
VAE = VAEShape((32, 64), 1)
CLIP = CLIPShape(64, 2, 128, 14, 5, 24)
RESAMPLER = ResamplerShape(20, 24, 16, 64, 4, 4, 64)
UPSAMPLER = UpsamplerShape(8, 5, (64, 64, 128, 128), 2, 24, 40)


def random_state(shapes, prefix="", seed=0, dtype=torch.float32):
    """Noise of these shapes, small enough that networks of it stay tame."""
    generator = torch.Generator().manual_seed(seed)
    return {prefix + n: (0.1 * torch.randn(size, generator=generator)).to(dtype) for n, size in shapes.items()}


def imagedream(seed=0):
    """A whole checkpoint as ImageDream publishes one."""
    return {
        **random_state(unet_map(UNET).left, "model.diffusion_model.", seed),
        **random_state(resampler_map(RESAMPLER).left, "model.diffusion_model.image_embed.", seed),
        **random_state(vae_map(VAE).left, "vae_model.", seed),
        **random_state(clip_map(CLIP).left, "clip_model.model.visual.", seed),
        "clip_model.model.token_embedding.weight": torch.zeros(3, 2),
        "betas": torch.zeros(10),
        "sqrt_one_minus_alphas_cumprod": torch.zeros(10),
    }


def same_bits(a, b):
    """Whether two state dicts hold the same tensors, bit by bit."""
    return a.keys() == b.keys() and all(a[n].dtype == b[n].dtype and torch.equal(a[n], b[n]) for n in a)
