"""Losses of the fixer's training: they can be learned, follow their generator, and reach what they are to train."""

import math
from dataclasses import replace

import pytest
import torch

from small_models import small_fixer
from unseen.core.errors import FormatError, InputError
from unseen.priors.fixer.training.losses import (
    BridgeLoss,
    CodecLoss,
    Lesson,
    PicturesLoss,
    TokensLoss,
    bridge_of,
    some_references,
    start_codes,
    start_tokens,
    used_entries,
)
from unseen.priors.fixer.training.perceptual import Perceptual
from unseen.priors.fixer.training.triplets import TripletBatch
from unseen.priors.training.stage import Stage, StagePlan

SIDE = 48


class Waves:
    """Truths are waves, renders their noisy selves, references the same waves shifted."""

    def sample(self, count, generator):
        at = torch.linspace(0, 6.3, SIDE)
        phase = torch.rand(count, 3, 1, 1, 1, generator=generator) * 6.3
        tone = torch.tensor([0.8, 1.0, 1.2])
        waves = 0.5 + 0.4 * torch.sin(phase + at[:, None, None] + at[None, :, None] * tone)
        waves = waves + torch.zeros(count, 3, SIDE, SIDE, 3)
        noise = 0.3 * torch.randn(count, SIDE, SIDE, 3, generator=generator)
        return TripletBatch((waves[:, 0] + noise).clamp(0, 1), waves[:, 0], waves[:, 1:], torch.ones(count, 2) > 0)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def trained(modules, loss, steps, rate=2e-3):
    plan = StagePlan(steps, 2, rate, warmup=5, ema=0.5)
    stage = Stage("some", modules, loss, plan, 0, torch.device("cpu"))
    found = [stage.step() for _ in range(steps)]
    stage.finish()
    return found


def test_the_vq_vae_learns():
    model = small_fixer(bridge=False)
    start_codes(model, Waves(), 8, generator())
    losses = trained({"vqvae": model.vqvae}, CodecLoss(model, Waves()), 16, 1e-2)
    assert sum(losses[-4:]) < 0.85 * sum(losses[:4]), losses


def test_codes_start_with_unit_latents_that_show_the_same():
    model = small_fixer()
    model.vqvae.quant_conv.weight.data *= 7
    images = Waves().sample(8, generator(9)).truths.movedim(-1, 1) * 2 - 1
    with torch.no_grad():
        before = model.vqvae.decode(model.vqvae.encode(images)).images
        start_codes(model, Waves(), 8, generator())
        latents = model.vqvae.encode(images)
        assert 0.5 < float(latents.std()) < 2
        assert torch.allclose(model.vqvae.decode(latents).images, before, atol=1e-4)


def test_pictures_are_learned_without_codes():
    model = small_fixer()
    entries = model.vqvae.quantize.embedding.weight.clone()
    losses = trained({"vqvae": model.vqvae}, PicturesLoss(model, Waves()), 32, 1e-2)
    assert sum(losses[-4:]) < 0.85 * sum(losses[:4]), losses
    assert torch.equal(entries, model.vqvae.quantize.embedding.weight)


def test_dead_entries_come_back():
    model = small_fixer(bridge=False)
    entries = model.vqvae.quantize.embedding.weight.data
    entries += 4
    entries[0] = 0  # the only one that is near enough to be taken
    assert used(model) == 1
    trained({"codebook": model.vqvae.quantize.embedding}, CodecLoss(model, Waves()), 16, 0.5)
    assert used(model) > 4


def used(model):
    with torch.no_grad():
        images = Waves().sample(8, generator(9)).truths.movedim(-1, 1) * 2 - 1
        return used_entries(model.vqvae.tokens(model.vqvae.encode(images)).indices)


def test_a_codebook_that_is_filled_is_used():
    model = small_fixer()
    model.vqvae.quantize.embedding.weight.data += 20
    before = used(model)
    start_codes(model, Waves(), 8, generator())
    assert used(model) > max(8, before)


@pytest.mark.parametrize("settings", [{}, {"own": True}, {"means": 5.0, "mistakes": 0.6}])
def test_tokens_are_learned(settings):
    model = small_fixer()
    start_codes(model, Waves(), 8, generator())
    loss = TokensLoss(model, Waves(), **settings)
    codec = {name: t.clone() for name, t in model.vqvae.state_dict().items()}
    losses = trained({"transformer": model.transformer}, loss, 20, 1e-2)
    assert sum(losses[-5:]) < 0.8 * sum(losses[:5])
    assert all(torch.equal(t, codec[name]) for name, t in model.vqvae.state_dict().items())


def test_losses_follow_their_generator():
    model = small_fixer()
    for loss in (CodecLoss(model, Waves()), TokensLoss(model, Waves()), BridgeLoss(model, Waves())):
        assert torch.equal(loss(2, generator(1)), loss(2, generator(1)))
        assert not torch.equal(loss(2, generator(1)), loss(2, generator(2)))


def test_the_references_own_loss_counts():
    """Without references it is the same; with them it is not."""
    model = small_fixer()

    def both(without):
        return [float(TokensLoss(model, Waves(), without=without, own=own)(2, generator(1))) for own in (False, True)]

    plain, own = both(1.0)
    assert plain == own
    plain, own = both(0.0)
    assert abs(plain - own) > 1e-3


@torch.no_grad()
def test_whatever_tokens_came_before_the_rest_leads_to_the_truth():
    model = small_fixer()
    quantize = model.vqvae.quantize
    truth, other = torch.randn(2, 2, 2, 4, 3, 3, generator=generator())
    flat = quantize.tokens(truth.flatten(0, 1))
    taught = Lesson.of(quantize, truth, truth)
    assert all(torch.equal(a.flatten(0, 1), b) for a, b in zip(taught.indices, flat.indices, strict=True))
    assert torch.equal(taught.inputs.flatten(0, 1), quantize.inputs(flat.indices, (3, 3)))
    wrong = Lesson.of(quantize, truth, other)
    assert torch.equal(
        wrong.inputs.flatten(0, 1), quantize.inputs(quantize.tokens(other.flatten(0, 1)).indices, (3, 3))
    )
    assert any(not torch.equal(a, b) for a, b in zip(wrong.indices, taught.indices, strict=True))
    for lesson in (taught, wrong):
        before = lesson.inputs[:, :, -9:]
        torch.testing.assert_close(before + lesson.goals[-1], truth.flatten(3).transpose(2, 3))


@torch.no_grad()
def test_an_untrained_transformer_that_sees_latents_says_what_they_lack():
    """It repeats the render, more or less, where one of random weights says nothing of it."""
    model = small_fixer()
    model.transformer.initialise()
    start_codes(model, Waves(), 8, generator())
    drawn = Waves().sample(8, generator(1))
    pictures = drawn.truths[:, None].movedim(-1, 2) * 2 - 1
    latents = model.vqvae.encode(pictures[:, 0])

    def alike():
        return float(torch.cosine_similarity(model.tokens(pictures).fhat.flatten(), latents.flatten(), 0))

    before = alike()
    start_tokens(model, generator())
    assert alike() > before + 0.2, (alike(), before)


def test_how_many_references():
    drawn = Waves().sample(1, generator())
    counts = [some_references(drawn, 0.5, generator(k)).shape[1] for k in range(200)]
    assert {0, 1, 2} == set(counts) and 60 < counts.count(0) < 140
    drawn = replace(drawn, known=torch.tensor([[True, False]]))
    assert all(some_references(drawn, 0.0, generator(k)).shape[1] == 1 for k in range(9))
    drawn = replace(drawn, references=drawn.references[:, :0], known=drawn.known[:, :0])
    assert some_references(drawn, 0.0, generator()).shape[1] == 0


def test_the_bridge_alone_is_trained_and_learns():
    model = small_fixer()
    bridge = bridge_of(model)
    before = {name: t.clone() for name, t in model.vqvae.state_dict().items()}
    transformer = {name: t.clone() for name, t in model.transformer.state_dict().items()}
    losses = trained({"bridge": bridge}, BridgeLoss(model, Waves()), 20, 2e-2)
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    changed = {name for name, t in model.vqvae.state_dict().items() if not torch.equal(t, before[name])}
    assert changed and all("cond_" in name for name in changed)
    assert all(torch.equal(t, transformer[name]) for name, t in model.transformer.state_dict().items())
    with pytest.raises(InputError, match="no bridge"):
        bridge_of(small_fixer(bridge=False))


def test_the_decoder_may_learn_with_its_bridge():
    model = small_fixer()
    before = {name: t.clone() for name, t in model.vqvae.state_dict().items()}
    loss = BridgeLoss(model, Waves(), decibels=True)
    losses = trained({"bridge": bridge_of(model, decoder=True)}, loss, 20, 2e-2)
    assert sum(losses[-5:]) < sum(losses[:5]) - 0.1
    changed = {name for name, t in model.vqvae.state_dict().items() if not torch.equal(t, before[name])}
    assert all(name.startswith("decoder.") for name in changed)
    assert "decoder.conv_out.weight" in changed and any("cond_" in name for name in changed)


def test_decibels_count_good_renders_as_much_as_bad_ones():
    """Where the render is given back: ten times less noise, the same share of it to lose."""
    model = small_fixer()
    model.vqvae.decoder.blend_out_cond_layer[-1].bias.data.fill_(-200)

    class Noisy:
        def __init__(self, noise):
            self.noise = noise

        def sample(self, count, generator):
            drawn = Waves().sample(count, generator)
            noise = self.noise * torch.randn(drawn.truths.shape, generator=generator)
            return replace(drawn, renders=drawn.truths + noise)

    def losses(decibels):
        return [float(BridgeLoss(model, Noisy(n), decibels=decibels)(4, generator())) for n in (0.2, 0.6)]

    low, high = losses(decibels=True)
    assert abs((high - low) - 0.1 * math.log(9)) < 0.02
    low, high = losses(decibels=False)
    assert high - low > 1


def test_a_bridge_that_gives_back_the_render_still_learns():
    """Its last blend is shut; what comes before is judged all the same."""
    model = small_fixer()
    bridge = bridge_of(model).requires_grad_(True)
    bridge["blend_out_cond_layer"][-1].bias.data.fill_(-200)
    BridgeLoss(model, Waves())(1, generator()).backward()
    assert all(p.grad.abs().max() > 0 for p in bridge["cond_layer"].parameters())


def test_vgg_s_distances(tmp_path):
    torch.manual_seed(0)
    network = Perceptual((2, 2, 3, 3, 3))
    a, b = torch.rand(2, 2, 3, 32, 32) * 2 - 1
    assert not network.distance(a, a).any() and not network.gram_distance(a, a).any()
    assert network.distance(a, b) > 0 and network.gram_distance(a, b) > 0
    # textures do not mind where they are
    moved = a.roll((16, 16), (2, 3))
    assert network.gram_distance(a, moved) < 0.3 * network.gram_distance(a, b.abs())
    model = small_fixer()
    plain = BridgeLoss(model, Waves())(2, generator())
    seen = BridgeLoss(model, Waves(), perceptual=network)(2, generator())
    textured = BridgeLoss(model, Waves(), perceptual=network, gram=0.5)(2, generator())
    assert plain < seen < textured
    torch.save({"weight": torch.zeros(1)}, tmp_path / "no.pth")
    with pytest.raises(FormatError, match="no VGG-16"):
        Perceptual.open(tmp_path / "no.pth")
    torch.save(network.state_dict(), tmp_path / "small.pth")
    with pytest.raises(InputError, match="of another shape"):
        Perceptual.open(tmp_path / "small.pth")
