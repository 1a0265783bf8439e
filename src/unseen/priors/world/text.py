"""Prompts as the transformer takes them: tokens of UMT5, or of a small encoder over a fixed vocabulary."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from unseen.core.errors import MissingDependencyError

PREFIX = "[Static] "
"""Put before every prompt of the published model, which knows moving scenes too."""
_WORD = re.compile(r"[a-z]+")


class Vocabulary:
    """Words and their numbers; 0 is the start of every prompt.

    Args:
        words: known.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self.numbers = {word: k + 1 for k, word in enumerate(words)}
        self._told: set[str] = set()

    def __len__(self) -> int:
        """Of the numbers, the start's included."""
        return len(self.numbers) + 1

    def encode(self, prompt: str) -> list[int]:
        """Numbers of the words that are known, the start first; each unknown word is warned about once."""
        words = _WORD.findall(prompt.lower())
        unknown = [word for word in dict.fromkeys(words) if word not in self.numbers and word not in self._told]
        if unknown:
            self._told.update(unknown)
            warnings.warn(f"the small model does not know: {', '.join(unknown)}; left out of the prompt", stacklevel=3)
        return [0, *(self.numbers[word] for word in words if word in self.numbers)]


class WordEncoder(nn.Module):
    """Small text encoder: embedded words in order, and a transformer over them.

    Args:
        words: of the vocabulary.
        width: of what it gives.
        layers, heads: of the transformer.
        length: most tokens of a prompt; more are cut off.
    """

    def __init__(self, words: Sequence[str], width: int, layers: int, heads: int, length: int) -> None:
        super().__init__()
        self.vocabulary, self.length = Vocabulary(words), length
        self.words = nn.Embedding(len(self.vocabulary), width)
        self.places = nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)

    def encode(self, prompts: list[str]) -> Float[Tensor, "B L D"]:
        """Tokens of prompts, differentiable; rows past a prompt's end are zero."""
        ids, there = _padded([self.vocabulary.encode(p)[: self.length] for p in prompts], self.length)
        return self(ids.to(self.words.weight.device), there.to(self.words.weight.device))

    def forward(self, ids: Tensor, there: Tensor) -> Float[Tensor, "B L D"]:
        """Of numbers [B, L] and where they are, as booleans."""
        x = self.words(ids) + self.places.weight
        out: Tensor = self.layers(x, src_key_padding_mask=~there)
        return out * there[..., None]


class UMT5Encoder(nn.Module):
    """The published text encoder.

    Args:
        model: transformers' UMT5EncoderModel.
        tokenizer: its tokenizer; None where there are only random weights, which take ids alone.
        length: tokens of every prompt, padded or cut.
    """

    def __init__(self, model: nn.Module, tokenizer: Any, length: int) -> None:
        super().__init__()
        self.model, self.tokenizer, self.length = model, tokenizer, length

    def encode(self, prompts: list[str]) -> Float[Tensor, "B L D"]:
        """Tokens of prompts; rows past a prompt's end are zero.

        Raises:
            MissingDependencyError: there is no tokenizer.
        """
        if self.tokenizer is None:
            raise MissingDependencyError("this text encoder has no tokenizer: load the model from its files")
        given = self.tokenizer(
            [PREFIX + p for p in prompts], padding="max_length", max_length=self.length, truncation=True,
            return_attention_mask=True, return_tensors="pt",
        )  # fmt: skip
        device = next(self.parameters()).device
        return self(given.input_ids.to(device), given.attention_mask.to(device).bool())

    def forward(self, ids: Tensor, there: Tensor) -> Float[Tensor, "B L D"]:
        """Of numbers [B, L] and where they are, as booleans."""
        out: Tensor = self.model(ids, there.long()).last_hidden_state
        return out * there[..., None]


class PassingUMT5(nn.Module):
    """The published text encoder, in memory only while it encodes: it is larger than all else together.

    Args:
        load: gives the encoder.
    """

    def __init__(self, load: Callable[[], UMT5Encoder]) -> None:
        super().__init__()
        self.load = load

    def encode(self, prompts: list[str]) -> Float[Tensor, "B L D"]:
        """As `UMT5Encoder.encode`, on the CPU."""
        return self.load().eval().encode(prompts)


TextEncoder = WordEncoder | UMT5Encoder | PassingUMT5


def random_text_encoder(config: dict[str, Any]) -> TextEncoder:
    """A text encoder with random weights, from the `text` of a WorldConfig."""
    sizes = {k: v for k, v in config.items() if k not in ("kind", "length")}
    if config["kind"] == "words":
        return WordEncoder(**sizes, length=config["length"])
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5Encoder(UMT5EncoderModel(UMT5Config(**sizes)), None, config["length"])


def published_text_encoder(folder: Path, dtype: torch.dtype, length: int, keep: bool) -> TextEncoder:
    """The text encoder and tokenizer of a folder as Wan publishes them.

    Args:
        folder: with `text_encoder` and `tokenizer`.
        dtype: of its weights.
        length: tokens of every prompt.
        keep: in memory; else it is loaded for every prompt.
    """

    def load() -> UMT5Encoder:
        from transformers import AutoTokenizer, UMT5EncoderModel

        model = UMT5EncoderModel.from_pretrained(folder / "text_encoder", dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer")
        return UMT5Encoder(model.requires_grad_(False).eval(), tokenizer, length)

    return load() if keep else PassingUMT5(load)


def _padded(rows: list[list[int]], length: int) -> tuple[Tensor, Tensor]:
    """Numbers [B, L], zero where there are none, and where there are some."""
    ids = torch.zeros(len(rows), length, dtype=torch.long)
    there = torch.zeros(len(rows), length, dtype=torch.bool)
    for k, row in enumerate(rows):
        ids[k, : len(row)] = torch.tensor(row)
        there[k, : len(row)] = True
    return ids, there
