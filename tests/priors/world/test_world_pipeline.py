"""Worlds from a small random model."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch

from small_models import small_world, small_world_config
from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError, NonFiniteError, ShapeError
from unseen.core.paths import orbit
from unseen.priors.loading import is_model
from unseen.priors.pipeline import WEIGHTS
from unseen.priors.world import WorldConfig, WorldPipeline
from unseen.priors.world.cameras import WorldCameras, normalized
from unseen.priors.world.pipeline import KIND
from unseen.priors.world.sampling import (
    Conditions,
    Feedback,
    Views,
    composited,
    gaussians_of,
    noise_levels,
    predict,
    render_views,
    renoise,
)


@pytest.fixture(scope="module")
def model():
    return small_world()


def cameras(n=3, width=48, height=32):
    return orbit(n, radius_m=2.0, fov_y_rad=0.9, width=width, height=height)


def generate(model, seed=0, **kwargs):
    given = {"prompt": "a red chair"} | kwargs
    return model.generate(given.pop("path", cameras()), generator=torch.Generator().manual_seed(seed), **given)


def same(a, b):
    return all(torch.equal(getattr(a.gaussians, k), getattr(b.gaussians, k)) for k in vars(a.gaussians))


def test_a_world(model):
    steps = []
    world = generate(model, image=torch.rand(32, 48, 3), image_index=1, on_step=lambda k, n, i: steps.append((k, n, i)))
    assert len(world.gaussians) == 3 * 2 * 16 * 24
    assert world.views.shape == (3, 32, 48, 3)
    assert world.depths.shape == world.alphas.shape == (3, 32, 48)
    assert float(world.views.min()) >= 0 and float(world.views.max()) <= 1
    assert [s[:2] for s in steps] == [(k, 4) for k in range(4)]
    assert [s[2] is None for s in steps] == [False, False, False, True]
    assert {"all", "text", "codec", "transformer", "decoder"} == set(world.seconds)


def test_the_world_is_in_the_callers_frame(model):
    path = orbit(3, radius_m=2.0, start_azimuth_rad=0.2, end_azimuth_rad=0.7, width=48, height=32)
    world = generate(model, path=path)
    seen = render_views(world.gaussians, WorldCameras.of(path).values, 48, 32)
    torch.testing.assert_close(seen.images.clamp(0, 1), world.views, atol=5e-3, rtol=0)


def test_seeds_say_everything(model):
    assert same(generate(model, 3), generate(model, 3))
    assert not same(generate(model, 3), generate(model, 4))


def test_everything_asked_for_matters(model):
    """The heads of an untrained decoder hardly look: they are made to."""
    torch.manual_seed(1)
    for tensor in (model.decoder.gs_head.gs_proj.weight, model.decoder.extra_conv_in.weight):
        torch.nn.init.normal_(tensor, std=0.1)
    plain = generate(model)
    image = torch.rand(32, 48, 3)
    assert not same(plain, generate(model, prompt="a blue room"))
    first, second = (generate(model, image=image, image_index=k) for k in (0, 1))
    assert not same(plain, first) and not same(first, second)
    assert not same(plain, generate(model, feedback=False))
    assert not same(plain, generate(model, steps=2))


def test_what_is_known_guides(model):
    path = cameras()
    known = generate(model, 7, path=path).gaussians
    assert not same(generate(model, path=path), generate(model, path=path, known=known))


def test_the_known_covers_where_it_is_more_there_than_not():
    images = torch.zeros(1, 2, 2, 3)
    known = Views(torch.ones(1, 2, 2, 3), torch.ones(1, 2, 2), torch.tensor([[[0.4, 0.6], [1.0, 0.0]]]))
    assert composited(images, known)[..., 0].tolist() == [[[0, 1], [1, 0]]]
    assert composited(images, None) is images


def test_any_number_of_steps():
    assert noise_levels(4) == pytest.approx([1.0, 0.9, 0.75, 0.5])
    assert noise_levels(1) == [1.0]
    for steps in (2, 7, 8, 50):
        levels = noise_levels(steps)
        assert levels[0] == 1.0 and all(a > b > 0 for a, b in pairwise(levels))
    with pytest.raises(InputError, match="0 steps"):
        noise_levels(0)


def test_batches_change_nothing(model):
    whole = generate(model, 5)
    model.codec.batch = model.decoder.batch = model.render_batch = 1
    model.transformer.chunk_attention(4)
    parts = generate(model, 5)
    model.codec.batch = model.decoder.batch = model.render_batch = None
    model.transformer.chunk_attention(None)
    torch.testing.assert_close(parts.views, whole.views, atol=2e-3, rtol=0)


def test_gradients_reach_every_network():
    """From renders through Gaussians, decoder and transformer."""
    torch.manual_seed(0)
    model = WorldPipeline.random(small_world_config(), pixels=True)
    torch.nn.init.normal_(model.decoder.extra_conv_in.weight, std=0.05)
    path, _ = normalized(WorldCameras.of(cameras()).values)
    conditions = model.conditions(path, (32, 48), "a red chair", None, 0, torch.randn)
    conditions = replace(conditions, text=model.text.encode(["a red chair"]))
    clean = model.codec.encode(torch.rand(3, 32, 48, 3)).transpose(0, 1)[None]
    noisy = renoise(clean, torch.randn_like(clean), 0.5)
    found = predict(model.transformer, noisy, torch.tensor([0.5]), conditions, Feedback.none(noisy, 8))
    gaussians = gaussians_of(model.networks, found, conditions.cameras)[0]
    render_views(gaussians, path, 48, 32).images.square().mean().backward()
    for name, module in model.modules().items():
        grads = [p.grad for p in module.parameters() if p.grad is not None]
        assert grads and all(g.isfinite().all() for g in grads) and any(g.abs().max() > 0 for g in grads), name


def test_recomputing_in_backward_changes_nothing():
    torch.manual_seed(0)
    decoder = WorldPipeline.random(small_world_config()).decoder
    torch.nn.init.normal_(decoder.gs_head.gs_proj.weight, std=0.1)
    latents, features = torch.randn(2, 4, 4, 6), torch.randn(2, 8, 4, 6)
    found = []
    for decoder.checkpointing in (False, True):
        decoder.zero_grad()
        decoder(latents, features).square().mean().backward()
        found.append(decoder.decoder.conv_in.weight.grad.clone())
    torch.testing.assert_close(*found)


def test_batches_of_worlds_are_worlds(model):
    """Training predicts several at once, each with a noise level of its own."""
    path, _ = normalized(WorldCameras.of(cameras()).values)
    one = model.conditions(path, (32, 48), "a red chair", None, 0, torch.randn)
    two = Conditions(*(torch.cat([t, t]) for t in vars(one).values()))
    noisy = torch.randn(2, 4, 3, 4, 6)
    levels = torch.tensor([0.3, 0.8])
    both = predict(model.transformer, noisy, levels, two, Feedback.none(noisy, 8))
    for k in range(2):
        alone = predict(model.transformer, noisy[k : k + 1], float(levels[k]), one, Feedback.none(noisy[:1], 8))
        torch.testing.assert_close(both.clean[k], alone.clean[0], atol=1e-4, rtol=0)


def test_saved_models_come_back(model, tmp_path):
    model.save_pretrained(tmp_path)
    assert is_model(tmp_path, KIND)
    again = WorldPipeline.from_pretrained(tmp_path)
    assert again.config == small_world_config()
    assert same(generate(model, 2), generate(again, 2))
    model.save_pretrained(tmp_path, torch.float16)
    assert WorldPipeline.from_pretrained(tmp_path).transformer.model.proj_out.weight.dtype == torch.float32


def test_damaged_models_are_told(model, tmp_path):
    model.save_pretrained(tmp_path)
    (tmp_path / "decoder" / WEIGHTS).write_bytes(b"no")
    with pytest.raises(FormatError, match="decoder"):
        WorldPipeline.from_pretrained(tmp_path)


def test_lower_precision(model):
    low = small_world().to(dtype=torch.bfloat16)
    assert low.transformer.model.rope.freqs_cos.dtype == torch.float32
    assert low.decoder.gs_head.gs_proj.weight.dtype == low.codec.latents_std.dtype == torch.float32
    assert low.transformer.model.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
    world = generate(low)
    assert world.views.dtype == torch.float32
    assert float((world.views - generate(small_world()).views).abs().mean()) < 0.02


def test_offloading_changes_nothing(model):
    whole = generate(model, 5)
    with model.offloaded("cpu") as offloading:
        assert same(whole, generate(model, 5))
    assert offloading.moves >= 8


@pytest.mark.parametrize(
    ("kwargs", "error", "words"),
    [
        ({"prompt": " "}, InputError, "neither a prompt nor a picture"),
        ({"path": cameras(1)}, InputError, "1 camera"),
        ({"path": cameras(width=50)}, ShapeError, "divisible by 16, such as 48 x 32"),
        ({"image": torch.rand(8, 8, 3)}, ShapeError, "the picture has shape"),
        ({"image": torch.rand(32, 48, 3), "image_index": 3}, InputError, "camera 3, of 3"),
        ({"steps": 0}, InputError, "0 steps"),
        ({"path": [Camera(torch.full((4, 4), torch.nan), torch.eye(3), 48, 32)] * 2}, NonFiniteError, "NaN"),
    ],
)
def test_mistakes_are_told(model, kwargs, error, words):
    with pytest.raises(error, match=words):
        generate(model, **kwargs)


def test_names_of_configurations():
    assert WorldConfig.named("flashworld").multiple == 32
    assert WorldConfig.named("tiny").multiple == 16
    with pytest.raises(InputError, match="flashworld, tiny"):
        WorldConfig.named("huge")
