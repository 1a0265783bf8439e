"""Codebooks: 256 values that stand for many numbers, and palettes of vectors that stand for many vectors."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from numpy.typing import NDArray
from torch import Tensor

CODEBOOK_SIZE = 256
_ANCHORS = 64  # entries evenly over the range, which bound the greatest error; the others follow the density
_ITERATIONS = 8
_BRANCHES = 256
_SAMPLES_PER_CENTROID = 256
_LARGEST = 1e15  # its squares add up in float32
_SEED = 0


def fit_codebook(values: Float[NDArray, "*shape"]) -> Float[NDArray, "256"]:
    """256 ascending numbers near to the given ones: Lloyd's algorithm in one dimension, with 64 of them held in place
    evenly over the range, so that no value is farther than range/126 from the nearest."""
    ordered = np.sort(values.astype(np.float64), axis=None)
    if not len(ordered):
        return np.zeros(CODEBOOK_SIZE)
    anchors = np.linspace(ordered[0], ordered[-1], _ANCHORS)
    free = np.quantile(ordered, (np.arange(CODEBOOK_SIZE - _ANCHORS) + 0.5) / (CODEBOOK_SIZE - _ANCHORS))
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    for _ in range(_ITERATIONS):
        book = np.concatenate([anchors, free])
        order = np.argsort(book, kind="stable")
        book = book[order]
        edges = np.searchsorted(ordered, (book[1:] + book[:-1]) / 2)
        first, last = np.concatenate([[0], edges]), np.concatenate([edges, [len(ordered)]])
        counts = last - first
        book = np.where(counts > 0, (sums[last] - sums[first]) / np.maximum(counts, 1), book)
        free = book[order >= _ANCHORS]
    return np.sort(np.concatenate([anchors, free]))


def nearest(codebook: Float[NDArray, "256"], values: Float[NDArray, "*shape"]) -> UInt8[NDArray, "*shape"]:
    """Index of the entry of an ascending codebook that is nearest to each value."""
    return np.searchsorted((codebook[1:] + codebook[:-1]) / 2, values).astype(np.uint8)


def fit_palette(vectors: Float[Tensor, "N D"], size: int) -> tuple[Float[Tensor, "P D"], Int[Tensor, "N"]]:
    """At most `size` vectors near to the given ones, and which of them stands for each.

    N up to `size` is returned as it is. Otherwise k-means in two levels: 256 groups, and in each as many centroids as
    its share of the squared deviation warrants. Seeded: the same vectors give the same palette.
    """
    if len(vectors) <= size:
        return vectors, torch.arange(len(vectors))
    generator = torch.Generator().manual_seed(_SEED)
    vectors = vectors.clamp(-_LARGEST, _LARGEST)
    num_groups = min(_BRANCHES, size)
    groups = _assign(vectors, _lloyd(vectors, num_groups, generator))
    counts = torch.bincount(groups, minlength=num_groups)
    members = torch.argsort(groups, stable=True).split(counts.tolist())
    shares = _shares(vectors, groups, counts, size)
    palette, labels = [], torch.empty(len(vectors), dtype=torch.int64)
    used = 0
    for index, share in zip(members, shares, strict=True):
        if share:
            centroids = _lloyd(vectors[index], share, generator)
            labels[index] = _assign(vectors[index], centroids) + used
            palette.append(centroids)
            used += share
    return torch.cat(palette), labels


def _shares(vectors: Tensor, groups: Tensor, counts: Tensor, size: int) -> list[int]:
    """How many centroids each group gets by its squared deviation: at least one where it has members, at most one per
    member, not more than `size` in all."""
    sums = vectors.new_zeros(len(counts), vectors.shape[1]).index_add_(0, groups, vectors)
    residuals = (vectors - (sums / counts[:, None].clamp_min(1))[groups]).square().sum(1).double()
    deviations = residuals.new_zeros(len(counts)).index_add_(0, groups, residuals)
    room = size - len(counts)
    shares = 1 + (room * deviations / deviations.sum().clamp_min(1e-300)).floor().long()
    return torch.minimum(shares, counts).tolist()


def _lloyd(vectors: Tensor, num: int, generator: torch.Generator) -> Tensor:
    """k-means centroids of a sample of the vectors; those that lose all their vectors stay where they were."""
    sample = torch.randperm(len(vectors), generator=generator)[: num * _SAMPLES_PER_CENTROID]
    points = vectors[sample]
    centroids = points[:num].clone()
    for _ in range(_ITERATIONS if num < len(points) else 0):
        labels = _assign(points, centroids)
        sums = torch.zeros_like(centroids).index_add_(0, labels, points)
        counts = torch.bincount(labels, minlength=num)[:, None]
        centroids = torch.where(counts > 0, sums / counts.clamp_min(1), centroids)
    return centroids


def _assign(vectors: Tensor, centroids: Tensor) -> Tensor:
    """Index of the nearest centroid of each vector."""
    half_squares = centroids.square().sum(1) / 2
    return torch.cat([(part @ centroids.T - half_squares).argmax(1) for part in vectors.split(1 << 15)])
