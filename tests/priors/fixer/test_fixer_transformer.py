"""The transformer beyond what was recorded: any number of references, any batch, cached and not."""

import pytest
import torch

from small_models import small_fixer
from unseen.core.errors import InputError, ShapeError
from unseen.priors.fixer.decoding import Sampling, decode, kinds_of
from unseen.priors.fixer.refiner import Refiner


@pytest.fixture(scope="module")
def model():
    return small_fixer()


def pictures(items, views, seed=1):
    return torch.rand(items, views, 3, 48, 48, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def forced(model, given, indices):
    """All scales at once, from tokens of all views."""
    flat = [each.flatten(0, 1) for each in indices]
    inputs = model.vqvae.quantize.inputs(flat, (3, 3)).unflatten(0, given.shape[:2])
    return model.transformer(given, inputs, kinds_of(*given.shape[:2]), model.known(given).seen)


@pytest.mark.parametrize("views", [1, 2, 4])
@torch.no_grad()
def test_decoding_with_kept_keys_is_the_teacher_forced_pass(model, views):
    given = pictures(2, views)
    by_scale = []
    known = model.known(given)
    found = decode(
        model.transformer, model.vqvae.quantize, given, known, on_scale=lambda k, hidden, _: by_scale.append(hidden)
    )
    whole = forced(model, given, found.indices)
    torch.testing.assert_close(torch.cat(by_scale, 2), whole.hidden, atol=1e-4, rtol=1e-4)
    sizes = [1, 4, 9]
    for k, logits in enumerate(whole.logits[:, 0].split(sizes, 1)):
        assert torch.equal(logits.argmax(-1), found.indices[k][:, 0])
        if views > 1:
            assert torch.equal(found.indices[k][:, 1:], known.tokens[k])


@pytest.mark.parametrize("views", [1, 3])
@torch.no_grad()
def test_three_at_once_are_three_alone(model, views):
    given = pictures(3, views)
    together = model.tokens(given)
    for b in range(3):
        alone = model.tokens(given[b : b + 1])
        assert all(torch.equal(a[0], t[b]) for a, t in zip(alone.indices, together.indices, strict=True))
        torch.testing.assert_close(alone.condition[0], together.condition[b], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_references_are_a_set(model):
    """In another order they say the same; another one says something else."""
    given = pictures(1, 4)
    indices = model.tokens(given).indices
    swapped = [0, 3, 1, 2]
    plain = forced(model, given, indices).logits
    permuted = forced(model, given[:, swapped], [each[:, swapped] for each in indices]).logits
    torch.testing.assert_close(permuted, plain[:, swapped], atol=1e-4, rtol=1e-4)
    fewer = forced(model, given[:, :3], [each[:, :3] for each in indices]).logits
    assert (fewer[:, 0] - plain[:, 0]).abs().max() > 1e-3


@torch.no_grad()
def test_tokens_that_are_known_are_taken(model):
    given = pictures(2, 2)
    coarse = [torch.full((2, 1), 5), torch.full((2, 4), 7)]
    known = model.known(given)
    found = decode(model.transformer, model.vqvae.quantize, given, known, coarse=coarse)
    assert all(torch.equal(f[:, 0], c) for f, c in zip(found.indices[:2], coarse, strict=True))


def test_sampling():
    logits = torch.tensor([[3.0, 2.0, 1.0, -9.0]]).expand(4000, -1)
    generator = torch.Generator().manual_seed(0)
    assert (Sampling().choose(logits, None) == 0).all()
    three = Sampling(top_k=3).choose(logits, generator)
    shares = torch.bincount(three, minlength=4) / 4000
    torch.testing.assert_close(shares[:3], logits[0, :3].softmax(0), atol=0.03, rtol=0)
    assert shares[3] == 0
    assert (Sampling(top_k=4, top_p=0.6).choose(logits, generator) == 0).all()
    cold = Sampling(top_k=3, temperature=0.3).choose(logits, generator)
    assert (cold == 0).float().mean() > 0.95
    again = Sampling(top_k=3).choose(logits, torch.Generator().manual_seed(0))
    assert torch.equal(again, three)
    with pytest.raises(InputError, match="top_k of 1 or more"):
        Sampling(top_k=0)


@torch.no_grad()
def test_expected_tokens(model):
    """Cold, they are the likeliest ones; hot, what all entries are on average."""
    given = pictures(2, 2)

    def expected(temperature):
        sampling = Sampling(expected=True, temperature=temperature)
        return decode(model.transformer, model.vqvae.quantize, given, model.known(given), sampling=sampling)

    likeliest = decode(model.transformer, model.vqvae.quantize, given, model.known(given))
    torch.testing.assert_close(expected(1e-6).fhat, likeliest.fhat)
    assert not torch.allclose(expected(1.0).fhat[:, 0], likeliest.fhat[:, 0], atol=1e-2)
    assert torch.equal(expected(1.0).fhat[:, 1], likeliest.fhat[:, 1])  # references are known
    fhat, mean = torch.zeros(1, 4, 3, 3), model.vqvae.quantize.embedding.weight.mean(0)
    for k, length in enumerate((1, 4, 9)):
        fhat = model.vqvae.quantize.add_rows(k, fhat, mean.expand(1, length, -1))
    torch.testing.assert_close(expected(1e6).fhat[0, 0], fhat[0], atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_tokens_see_latents_of_their_own_view_at_their_own_place(model):
    """As far as no attention passes it on."""
    network = small_fixer().transformer
    for block in network.blocks:
        block.attn.proj.weight.zero_()
    given, kinds = pictures(1, 2), kinds_of(1, 2)
    inputs, seen = torch.randn(1, 2, 13, 4), model.known(given).seen
    other = [each.clone() for each in seen]
    other[1][0, 0, 2] += 1
    plain, changed = (network(given, inputs, kinds, maps).logits[0] for maps in (seen, other))
    differ = (plain != changed).any(-1)
    assert differ[0, 3] and differ.sum() == 1


def test_pictures_of_another_size(model):
    with pytest.raises(ShapeError, match=r"expected \[batch, views, 3, 48, 48\]"):
        model.tokens(torch.zeros(1, 1, 3, 32, 32))


def test_gradients_reach_every_weight_and_are_finite(model):
    """But for those the recipe has none for: the key's bias, which is zero by design, is no weight."""
    network = small_fixer().transformer.requires_grad_(True)
    given = pictures(2, 2)
    indices = model.tokens(given).indices
    flat = [each.flatten(0, 1) for each in indices]
    inputs = model.vqvae.quantize.inputs(flat, (3, 3)).unflatten(0, (2, 2))
    found = network(given, inputs, kinds_of(2, 2), model.known(given).seen)
    told = network.refiner_condition(found.hidden, torch.randn(2, 2, 14, 4))
    (found.logits.square().mean() + network.diffloss.sample(told).square().mean()).backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and p.grad.isfinite().all() and p.grad.abs().max() > 0, name


def test_the_refiner_learns_a_distribution():
    """Residuals around a mean that the condition tells: samples have its mean and spread, and follow their seed."""
    torch.manual_seed(0)
    refiner = Refiner(2, 4, {"width": 32, "depth": 2, "steps": 10, "scale": 0.6})
    refiner.initialise()
    optimizer = torch.optim.Adam(refiner.parameters(), 3e-3)
    for _ in range(400):
        told = torch.rand(256, 4) * 2 - 1
        truth = 0.3 * told[:, :2] + 0.06 * torch.randn(256, 2)
        squared, bits = refiner.losses(truth, told, torch.randint(1000, (256,)), torch.randn(256, 2))
        optimizer.zero_grad()
        (squared + bits).mean().backward()
        optimizer.step()
    told = (torch.rand(1, 4) * 2 - 1).expand(512, -1)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        samples = refiner.sample(told, lambda shape: torch.randn(shape, generator=generator))
        mean = refiner.sample(told[:1])
    truth = 0.3 * told[0, :2]
    print(truth, samples.mean(0), samples.std(0), mean)
    assert (samples.mean(0) - truth).abs().max() < 0.05
    assert 0.02 < float(samples.std(0).mean()) < 0.15
    assert (mean[0] - truth).abs().max() < 0.1
