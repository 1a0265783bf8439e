"""The explicit vectors of the cpu backend."""

import platform
import re

import numba
import numpy as np
import pytest

from unseen.render.cpu import simd


@numba.njit
def exp2_of(values, out):
    for i in range(0, len(values), simd.WIDTH):
        simd.store(out, i, simd.exp2(simd.load(values, i)))


@numba.njit
def log2_of(values, out):
    for i in range(0, len(values), simd.WIDTH):
        simd.store(out, i, simd.log2(simd.load(values, i)))


@numba.njit
def shift_columns(matrix, out, rows):
    for row in range(0, rows, simd.WIDTH):
        count = min(simd.WIDTH, rows - row)
        x, y, z = simd.load3(matrix, row, count)
        simd.store3(out, row, count, (y + 1.0, -z, 2.0 * x))


@numba.njit
def masks_of(begin, end):
    return simd.block_rows(simd.load(begin, 0), simd.load(end, 0))


@numba.njit
def totals(values):
    a = simd.load(values, 0)
    positive = a > 0.0
    return (
        simd.total(a), simd.total(simd.select(positive, a, simd.like(a, 0.0))), simd.bits_of(positive),
        simd.any_lane(positive), simd.total(simd.sqrt(simd.widen(a) * simd.widen(a))),
    )  # fmt: skip


def test_exp2_is_accurate_over_the_range_used():
    values = np.linspace(-9, 0.2, 1 << 16).astype(np.float32)
    out = np.empty_like(values)
    exp2_of(values, out)
    assert np.abs(out / 2.0 ** values.astype(np.float64) - 1).max() < 5e-7 + 9 * 2**-24


def test_log2_is_accurate_over_the_range_used():
    values = np.linspace(1 / 255, 1, 1 << 16).astype(np.float32)
    out = np.empty_like(values)
    log2_of(values, out)
    assert np.abs(out - np.log2(values.astype(np.float64))).max() < 6e-7
    assert np.abs(out - np.log2(values.astype(np.float64)))[-1] == 0


@pytest.mark.parametrize("rows", [1, 5, 16, 17, 47])
def test_columns_go_out_and_back_without_touching_neighbours(rows):
    matrix = np.arange(3 * rows, dtype=np.float32)
    out = np.full(3 * rows + 3 * simd.WIDTH, -7, np.float32)
    shift_columns(matrix, out, rows)
    x, y, z = matrix.reshape(-1, 3).T
    np.testing.assert_array_equal(out[: 3 * rows].reshape(-1, 3), np.stack([y + 1, -z, 2 * x], 1))
    assert (out[3 * rows :] == -7).all()


def test_block_rows_mark_the_integers_between():
    rng = np.random.default_rng(0)
    begin = rng.uniform(-4, 10, 16).astype(np.float32)
    end = begin + rng.uniform(-1, 6, 16).astype(np.float32)
    masks = masks_of(begin, end)
    for lane in range(16):
        expected = sum(1 << k for k in range(8) if begin[lane] <= k <= end[lane])
        assert (masks[lane // 8] >> (8 * (lane % 8))) & 0xFF == expected


def test_reductions_and_masks():
    values = np.linspace(-1, 2, 16).astype(np.float32)
    whole, positive, bits, some, absolute = totals(values)
    assert whole == pytest.approx(values.sum(), rel=1e-6)
    assert positive == pytest.approx(values[values > 0].sum(), rel=1e-6)
    assert bits == sum(1 << i for i in range(16) if values[i] > 0)
    assert some and not totals(-np.ones(16, np.float32))[3]
    assert absolute == pytest.approx(np.abs(values).sum(), rel=1e-6)


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86-64 assembly")
def test_kernels_are_made_of_vector_instructions():
    """The guard against silent loss of vectorisation: arithmetic of `exp2` on packed registers, none on scalars."""
    exp2_of(np.zeros(16, np.float32), np.zeros(16, np.float32))
    assembly = "\n".join(exp2_of.inspect_asm().values())
    packed = re.findall(r"\bv?(?:fmadd\w*|mul|add|sub)ps\b", assembly)
    scalar = re.findall(r"\bv?(?:fmadd\w*|mul|add|sub)ss\b", assembly)
    assert len(packed) >= 8 and not scalar
