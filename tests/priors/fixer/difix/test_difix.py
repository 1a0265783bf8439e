"""Difix: any size, any references, and what each of its parts does."""

from dataclasses import replace

import pytest
import torch

from difix_models import small_difix
from unseen.core.errors import NonFiniteError, ShapeError
from unseen.priors.fixer.difix.vae import SKIPS

NONE = torch.zeros(0, 20, 28, 3)


def pictures(count, height=20, width=28, seed=0):
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))


def test_pictures_of_any_size_with_any_references():
    model = small_difix()
    for height, width in ((20, 28), (9, 31), (3, 2)):
        renders = pictures(3, height, width)
        fixed = model.fix(renders, [pictures(r, height, width, seed=1) for r in range(3)])
        assert fixed.images.shape == renders.shape and fixed.weights.shape == renders.shape[:3]
        assert fixed.images.min() >= 0 and fixed.images.max() <= 1
        assert fixed.weights.min() >= 0 and fixed.weights.max() <= 1


def test_references_are_looked_at_in_any_order_and_only_where_they_belong():
    model = small_difix()
    renders, photos = pictures(2), pictures(2, seed=1)
    alone = model.fix(renders, [NONE, NONE]).images
    both = model.fix(renders, [photos, NONE]).images
    turned = model.fix(renders, [photos.flip(0), NONE]).images
    assert (both[0] - alone[0]).abs().max() > 1e-3
    torch.testing.assert_close(both[0], turned[0], atol=1e-4, rtol=0)
    assert torch.equal(both[1], alone[1])


def test_a_model_without_references_does_not_look():
    model = small_difix()
    model.config = replace(model.config, references=False)
    renders = pictures(1)
    seen = model.fix(renders, [pictures(2, seed=1)]).images
    assert torch.equal(seen, model.fix(renders, [NONE]).images)


def test_the_same_render_is_repaired_the_same_whatever_the_seed():
    model = small_difix()
    renders = pictures(1)
    assert torch.equal(model.fix(renders, [NONE], seed=1).images, model.fix(renders, [NONE], seed=2).images)


def test_large_pictures_are_tiled():
    model = small_difix()
    renders = pictures(1, 16, 44)
    whole = model.fix(renders, [pictures(1, 16, 44, seed=1)]).images
    model.config = replace(model.config, largest=24, overlap=8)
    tiled = model.fix(renders, [pictures(1, 16, 44, seed=1)]).images
    assert tiled.shape == whole.shape and not torch.equal(tiled, whole)
    model.batch = 1
    torch.testing.assert_close(model.fix(renders, [pictures(1, 16, 44, seed=1)]).images, tiled, atol=1e-5, rtol=0)


@torch.no_grad()
def test_without_skips_the_autoencoder_is_stable_diffusions():
    from diffusers import AutoencoderKL

    model = small_difix()
    theirs = AutoencoderKL(**model.config.vae).eval()
    theirs.load_state_dict({k: v for k, v in model.vae.state_dict().items() if not k.startswith(SKIPS)}, strict=True)
    images = pictures(2).permute(0, 3, 1, 2) * 2 - 1
    latents, entered = model.vae.encode(images)
    scale = model.config.vae["scaling_factor"]
    torch.testing.assert_close(latents, theirs.encode(images).latent_dist.mode() * scale)
    skipping = model.vae.decode(latents, entered)
    plain = theirs.decode(latents / scale).sample
    assert (skipping - plain).abs().max() > 1e-2
    for skip in model.vae.skips():
        skip.weight.zero_()
    torch.testing.assert_close(model.vae.decode(latents, entered), plain)


def test_shapes_of_the_published_skips():
    from unseen.priors.fixer.difix import sd_turbo
    from unseen.priors.fixer.difix.vae import SkipVAE
    from unseen.priors.unfilled import without_memory

    with without_memory():
        skips = SkipVAE(sd_turbo().vae).skips()
    found = [(skip.in_channels, skip.out_channels) for skip in skips]
    assert found == [(512, 512), (256, 512), (128, 512), (128, 256)]


def test_lower_precision_gives_nearly_the_same():
    model = small_difix()
    renders, photos = pictures(1), [pictures(1, seed=1)]
    exact = model.fix(renders, photos).images
    coarse = model.to(dtype=torch.bfloat16).fix(renders, photos).images
    assert coarse.dtype == torch.float32
    assert 0 < (coarse - exact).abs().mean() < 0.02


def test_views_that_do_not_fit():
    model = small_difix()
    with pytest.raises(ShapeError, match="references for 1 renders of 2"):
        model.fix(pictures(2), [NONE])
    with pytest.raises(ShapeError, match=r"references of render 0 have shape \(1, 20, 20, 3\)"):
        model.fix(pictures(1), [pictures(1, 20, 20)])
    with pytest.raises(NonFiniteError):
        model.fix(pictures(1) * torch.nan, [NONE])
