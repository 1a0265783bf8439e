"""Prompts to tokens."""

import pytest
import torch

from small_models import WORDS
from unseen.core.errors import MissingDependencyError
from unseen.priors.world.text import WordEncoder, random_text_encoder


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return WordEncoder(WORDS, 8, 1, 2, 6).eval()


def test_rows_past_the_end_are_zero(encoder):
    tokens = encoder.encode(["", "Red chair!", "a red chair with a blue chair with a room"])
    assert tokens.shape == (3, 6, 8)
    there = tokens.abs().sum(-1) > 0
    assert there.sum(1).tolist() == [1, 3, 6]


def test_prompts_of_a_batch_are_apart(encoder):
    together = encoder.encode(["red", "a blue room with a chair"])
    torch.testing.assert_close(together[0], encoder.encode(["red"])[0], atol=1e-6, rtol=0)
    assert not torch.allclose(encoder.encode(["red chair"]), encoder.encode(["chair red"]))


def test_unknown_words_are_told_once(encoder):
    with pytest.warns(UserWarning, match=r"does not know: purple, elephant;"):
        encoder.encode(["purple elephant"])
    encoder.encode(["a purple elephant"])  # warnings are errors no more than once


def test_the_published_encoder_by_transformers():
    sizes = {"vocab_size": 32, "d_model": 16, "d_kv": 4, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    encoder = random_text_encoder({"kind": "umt5", "length": 5, "feed_forward_proj": "gated-gelu"} | sizes).eval()
    there = torch.tensor([[True, True, False, False, False]])
    tokens = encoder(torch.tensor([[3, 1, 0, 0, 0]]), there)
    assert tokens.shape == (1, 5, 16)
    assert not tokens[0, 2:].any() and tokens[0, :2].abs().sum() > 0
    with pytest.raises(MissingDependencyError, match="tokenizer"):
        encoder.encode(["a"])
