"""The fixer put together: any size, any number of references, seeds, folders."""

from dataclasses import replace

import pytest
import torch

from small_models import small_fixer
from unseen.core.errors import InputError, NonFiniteError, ShapeError
from unseen.priors.fixer.decoding import Sampling
from unseen.priors.fixer.pipeline import FixerPipeline, at_size


@pytest.fixture(scope="module")
def model():
    return small_fixer()


def images(count, height=48, width=48, seed=0):
    return torch.rand(count, height, width, 3, generator=torch.Generator().manual_seed(seed))


def none(count, height=48, width=48):
    return [torch.zeros(0, height, width, 3)] * count


@pytest.mark.parametrize("size", [(48, 48), (40, 56), (100, 70), (20, 33)])
def test_any_size(model, size):
    renders = images(2, *size)
    fixed = model.fix(renders, [images(1, *size, seed=1), images(3, *size, seed=2)])
    assert fixed.images.shape == renders.shape and fixed.weights.shape == renders.shape[:3]
    for each in (fixed.images, fixed.weights):
        assert each.isfinite().all() and each.min() >= 0 and each.max() <= 1
    assert (fixed.images - renders).abs().mean() > 0.01


def test_large_pictures_are_repaired_small_and_what_changes_is_enlarged(model):
    half = small_fixer()
    half.config = replace(half.config, longest=60)
    renders, photos = images(2, 80, 120), [images(1, 80, 120, seed=1), none(1, 80, 120)[0]]
    small = [at_size(each, (40, 60)).clamp(0, 1) for each in (renders, *photos)]
    found, inside = half.fix(renders, photos), model.fix(small[0], small[1:])
    change = at_size(inside.images - small[0], (80, 120))
    torch.testing.assert_close(found.images, (renders + change).clamp(0, 1))
    assert found.weights.shape == renders.shape[:3]
    assert torch.equal(half.fix(small[0], small[1:]).images, inside.images)  # small ones stay as they are


def test_three_at_once_are_three_alone_whatever_their_references(model):
    renders = images(3, 60, 60)
    references = [images(1, 60, 60, 1), none(1, 60, 60)[0], images(1, 60, 60, 2)]
    together = model.fix(renders, references, seed=3)
    for v in range(3):
        alone = model.fix(renders[v : v + 1], references[v : v + 1], seed=3)
        torch.testing.assert_close(alone.images[0], together.images[v], atol=1e-3, rtol=0)
        torch.testing.assert_close(alone.weights[0], together.weights[v], atol=1e-3, rtol=0)


def test_seeds_and_what_is_refined():
    model, renders = small_fixer(), images(1)

    def fixed(seed, refining="sampled", **changes):
        model.refining = refining
        for name, value in changes.items():
            setattr(model, name, value)
        return model.fix(renders, none(1), seed=seed).images

    assert torch.equal(fixed(1), fixed(1))
    assert not torch.equal(fixed(1), fixed(2))
    assert torch.equal(fixed(1, "mean"), fixed(2, "mean"))
    assert not torch.equal(fixed(1, "mean"), fixed(1, "none"))
    sampled = fixed(1, "mean", sampling=Sampling(top_k=8))
    assert torch.equal(sampled, fixed(1, "mean")) and not torch.equal(sampled, fixed(2, "mean"))


def test_expected_pictures_are_as_they_are():
    """Nothing is left to a seed, and they are not the likeliest ones."""
    model, renders = small_fixer(), images(1)
    found = model.fix(renders, none(1), seed=1).images
    assert torch.equal(found, model.fix(renders, none(1), seed=2).images)
    model.sampling = Sampling()
    assert not torch.equal(found, model.fix(renders, none(1)).images)


def test_what_is_mirrored_is_repaired_as_its_mirror_image(model):
    renders, photos = images(2, 40, 56), [images(1, 40, 56, seed=1), none(1, 40, 56)[0]]
    fixed = model.fix(renders, photos)
    mirrored = model.fix(renders.flip(2), [each.flip(2) for each in photos])
    torch.testing.assert_close(mirrored.images.flip(2), fixed.images)
    torch.testing.assert_close(mirrored.weights.flip(2), fixed.weights)
    once = small_fixer()
    once.config = replace(once.config, mirrored=False)
    looks = (
        once.fix(renders, photos).images,
        once.fix(renders.flip(2), [each.flip(2) for each in photos]).images.flip(2),
    )
    assert not torch.allclose(*looks, atol=1e-3)
    torch.testing.assert_close(fixed.images, (looks[0] + looks[1]) / 2)


def test_references_matter(model):
    renders = images(1)
    plain, with_one = model.fix(renders, none(1)), model.fix(renders, [images(1, seed=5)])
    assert not torch.equal(plain.images, with_one.images)


def test_without_a_bridge_weights_are_agreement_and_colours_are_the_render_s():
    model = small_fixer(bridge=False)
    renders = images(1)
    fixed = model.fix(renders, none(1))
    assert model.colour == "wavelet"
    assert fixed.weights.min() > 0 and fixed.weights.max() <= 1
    assert (fixed.images.mean((1, 2)) - renders.mean((1, 2))).abs().max() < 0.1


def test_saved_and_loaded(model, tmp_path):
    model.save_pretrained(tmp_path)
    loaded = FixerPipeline.from_pretrained(tmp_path)
    assert loaded.config == model.config
    renders = images(1)
    assert torch.equal(loaded.fix(renders, none(1)).images, model.fix(renders, none(1)).images)
    model.save_pretrained(tmp_path, torch.float16)
    half = FixerPipeline.from_pretrained(tmp_path)
    assert torch.equal(half.transformer.lvl_1L, model.transformer.lvl_1L)


def test_in_bf16(model, tmp_path):
    model.save_pretrained(tmp_path)
    low = FixerPipeline.from_pretrained(tmp_path, dtype=torch.bfloat16)
    assert low.transformer.blocks[0].ffn.fc1.weight.dtype == torch.bfloat16
    assert low.transformer.head.weight.dtype == low.vqvae.quantize.embedding.weight.dtype == torch.float32
    fixed = low.fix(images(1, 60, 60), [images(2, 60, 60, 1)])
    assert fixed.images.isfinite().all() and fixed.images.dtype == torch.float32


def test_what_cannot_be(model, tmp_path):
    with pytest.raises(ShapeError, match="for each"):
        model.fix(images(2), none(1))
    with pytest.raises(ShapeError, match="references of render 0"):
        model.fix(images(1), [images(1, 32, 32)])
    with pytest.raises(ShapeError, match="expected \\[views, height, width, 3\\]"):
        model.fix(images(1)[0], none(1))
    with pytest.raises(NonFiniteError):
        model.fix(images(1) * torch.nan, none(1))
    with pytest.raises(InputError, match="cannot read"):
        FixerPipeline.from_pretrained(tmp_path / "nothing")
