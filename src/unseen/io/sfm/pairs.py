"""Which pairs of pictures to match: all of few, neighbours in time and in looks of many."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Int, UInt8
from scipy.cluster.vq import kmeans2

EXHAUSTIVE_LIMIT = 80
"""Up to so many pictures every pair is matched: 3160 pairs, a few minutes on two cores."""
TIME_WINDOW = 10
LOOKALIKES = 24
LOOP_LOOKALIKES = 8

_WORDS = 64
_SAMPLE = 20_000

Pair = tuple[int, int]


def all_pairs(count: int) -> list[Pair]:
    """Every pair."""
    return list(combinations(range(count), 2))


def pairs_in_time(count: int, window: int = TIME_WINDOW) -> set[Pair]:
    """Each picture with the next `window` ones and with those 2, 4, 8, ... further, which hold long sequences stiff."""
    steps = {*range(1, window + 1), *(2**k for k in range(count.bit_length()))}
    return {(i, i + step) for step in steps for i in range(count - step)}


def lookalike_pairs(signatures: Float[np.ndarray, "N D"], neighbours: int) -> set[Pair]:
    """Each picture with the `neighbours` ones whose signatures are most alike."""
    likeness = signatures @ signatures.T
    np.fill_diagonal(likeness, -np.inf)
    count = min(neighbours, len(likeness) - 1)
    nearest = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
    return {(min(i, int(j)), max(i, int(j))) for i, row in enumerate(nearest) for j in row}


def signatures_of(descriptors: Sequence[UInt8[np.ndarray, "M 128"]], seed: int) -> Float[np.ndarray, "N D"]:
    """One vector per picture from its local features: residuals to the words of a small vocabulary made from these
    very pictures, summed, each word's and the whole scaled to length 1 (VLAD, Jégou et al. 2010; Arandjelović and
    Zisserman 2013). No vocabulary has to be downloaded."""
    generator = np.random.default_rng(seed)
    share = max(1, _SAMPLE // max(len(descriptors), 1))
    sample = np.concatenate([d[generator.permutation(len(d))[:share]] for d in descriptors]).astype(np.float32)
    if len(sample) < 2 * _WORDS:
        return np.zeros((len(descriptors), 1))
    words, _ = kmeans2(sample, _WORDS, iter=10, minit="points", seed=generator)
    return np.stack([_vlad(d.astype(np.float32), words) for d in descriptors])


def _vlad(descriptors: Float[np.ndarray, "M 128"], words: Float[np.ndarray, "W 128"]) -> Float[np.ndarray, "D"]:
    nearest = _nearest(descriptors, words)
    sums = np.zeros_like(words)
    np.add.at(sums, nearest, descriptors - words[nearest])
    sums /= np.linalg.norm(sums, axis=1, keepdims=True) + 1e-9
    return (sums / (np.linalg.norm(sums) + 1e-9)).ravel()


def _nearest(descriptors: Float[np.ndarray, "M 128"], words: Float[np.ndarray, "W 128"]) -> Int[np.ndarray, "M"]:
    return ((words**2).sum(1) - 2 * descriptors @ words.T).argmin(1)
