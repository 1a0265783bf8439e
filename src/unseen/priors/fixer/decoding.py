"""Decoding: tokens of renders, scale by scale, while those of their references are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from unseen.core.errors import InputError
from unseen.priors.fixer.quantizer import MultiScaleQuantizer
from unseen.priors.fixer.refiner import Draw
from unseen.priors.fixer.transformer import REFERENCE, RENDER, FixerTransformer, Maps

OnScale = Callable[[int, Float[Tensor, "B V L D"], Float[Tensor, "B V z h w"]], None]
"""Told a scale, what the transformer's last block makes of it, and the latents of all views up to it."""


@dataclass(frozen=True)
class Sampling:
    """How tokens are chosen of what the transformer says.

    Attributes:
        top_k: of how many of the likeliest; with 1 the likeliest is taken, and nothing is random.
        top_p: of the likeliest that together have this probability.
        temperature: below 1 the likeliest become likelier.
        expected: decoded is the mean of all entries, each as likely as it is (ours): nothing is random, and `top_k` and
            `top_p` are of no use.
    """

    top_k: int = 1
    top_p: float = 1.0
    temperature: float = 1.0
    expected: bool = False

    def __post_init__(self) -> None:
        if self.top_k < 1 or not 0 < self.top_p <= 1 or self.temperature <= 0:
            raise InputError(
                f"sampling with top_k {self.top_k}, top_p {self.top_p}, temperature {self.temperature}: expected top_k "
                "of 1 or more, top_p in (0, 1], a positive temperature"
            )

    def choose(self, logits: Float[Tensor, "*batch K"], generator: Generator | None) -> Int[Tensor, "*batch"]:
        """An entry for every token.

        Args:
            logits: of the entries.
            generator: on the CPU; not used with `top_k` 1.
        """
        if self.top_k == 1 or self.expected:
            return logits.argmax(-1)
        likeliest, entries = logits.float().topk(min(self.top_k, logits.shape[-1]), -1)
        chances = (likeliest / self.temperature).softmax(-1)
        before = chances.cumsum(-1) - chances
        chances = chances.masked_fill(before >= self.top_p, 0).cpu()
        picked = torch.multinomial(chances.flatten(0, -2), 1, generator=generator).to(logits.device)
        return entries.flatten(0, -2).gather(1, picked).reshape(logits.shape[:-1])


LIKELIEST = Sampling()


@dataclass(frozen=True)
class Known:
    """What is known of views before the first token of a render is.

    Attributes:
        tokens: of the references, scale by scale, [B, R, L]; none without references.
        seen: latents of all views at every scale, the render's first, where the transformer sees them; else none.
    """

    tokens: list[Int[Tensor, "B R L"]] = field(default_factory=list)
    seen: Maps = ()


@dataclass(frozen=True)
class DecodedTokens:
    """Tokens of all views: the render first, then its references, whose tokens were given.

    Attributes:
        indices: of the codebook's entries, scale by scale, [B, V, L]; the likeliest where a mean is decoded.
        fhat: what they, or the means, add up to.
        condition: what the refiner is told of the last scale's tokens.
    """

    indices: list[Int[Tensor, "B V L"]]
    fhat: Float[Tensor, "B V z h w"]
    condition: Float[Tensor, "B V L D"]


def kinds_of(items: int, views: int, device: torch.device | str = "cpu") -> Int[Tensor, "B V"]:
    """Of renders, each with its references."""
    kinds = [RENDER] + [REFERENCE] * (views - 1)
    return torch.tensor([kinds], device=device).expand(items, -1)


@torch.no_grad()
def decode(
    network: FixerTransformer, quantizer: MultiScaleQuantizer, pictures: Float[Tensor, "B V 3 H W"],
    known: Known, *, sampling: Sampling = LIKELIEST, generator: Generator | None = None,
    coarse: Sequence[Int[Tensor, "B L"]] = (), on_scale: OnScale | None = None,
) -> DecodedTokens:  # fmt: skip
    """Predict the tokens of renders.

    Args:
        network, quantizer: of one model.
        pictures: renders, each with its R references after it, in [-1, 1]; V is R + 1.
        known: of the references, of which there may be none, and of the render.
        sampling: how tokens are chosen.
        generator: of what is random in that, on the CPU.
        coarse: tokens of the renders' coarsest scales, where they are known.
        on_scale: a watcher.

    Raises:
        ShapeError: pictures of another size than the model's.
    """
    items, views = pictures.shape[:2]
    kinds = kinds_of(items, views, pictures.device)
    room, side = network.room(views), network.config.latent_side
    fhat = pictures.new_zeros(items * views, network.config.vqvae["z"], side, side, dtype=torch.float32)
    entries, x, indices, hidden = pictures, network.start(pictures, kinds, known.seen), [], pictures
    for k, bounds in enumerate(network.bounds):
        hidden = network.run(x, kinds, [bounds], room)
        hidden = hidden if k else hidden[:, :, -1:]  # the prefix predicts nothing
        logits = None if k < len(coarse) else network.logits(hidden[:, :1], kinds[:, :1])
        with torch.autocast(pictures.device.type, enabled=False):  # tokens are exact
            chosen = coarse[k][:, None] if logits is None else sampling.choose(logits, generator)
            indices.append(torch.cat([chosen, known.tokens[k]], 1) if views > 1 else chosen)
            entries = quantizer.embed(indices[-1])
            if logits is not None and sampling.expected:
                entries = torch.cat([quantizer.expected(logits / sampling.temperature), entries[:, 1:]], 1)
            fhat = quantizer.add_rows(k, fhat, entries.flatten(0, 1))
        if on_scale is not None:
            on_scale(k, hidden, fhat.unflatten(0, (items, views)))
        if k + 1 < len(network.bounds):
            x = network.embedded(quantizer.next_input(k, fhat).unflatten(0, (items, views)), k + 1, known.seen)
    condition = network.refiner_condition(hidden, entries)
    return DecodedTokens(indices, fhat.unflatten(0, (items, views)), condition)


def refined(
    network: FixerTransformer, fhat: Float[Tensor, "B z h w"], condition: Float[Tensor, "B L D"], draw: Draw | None
) -> Float[Tensor, "B z h w"]:
    """Latents with what their tokens leave out; `draw` as in `Refiner.sample`."""
    residual = network.diffloss.sample(condition.float(), draw)
    return fhat + residual.transpose(1, 2).reshape_as(fhat)
