"""The format is checked against a decoder and an encoder written here from its published definition."""

import gzip
import struct
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
import zstandard
from hypothesis import given, settings
from splat_samples import gaussians_strategy, random_gaussians, rotation_error

from unseen.core.errors import FormatError, InputError, MissingDependencyError
from unseen.io.axes import rdf_to_rub
from unseen.io.ply import save_ply
from unseen.io.scene import load_gaussians, save_gaussians
from unseen.io.spz import load_spz, save_spz


def decode(data: bytes) -> dict[str, np.ndarray]:
    """Columns of a version 3 file, right-up-back axes, quaternions xyzw: header, positions, alphas, colours, scales,
    rotations, harmonics."""
    raw = gzip.decompress(data)
    magic, version, n, degree, bits, flags, reserved = struct.unpack_from("<IIIBBBB", raw)
    assert (magic, version, flags, reserved) == (0x5053474E, 3, 0, 0)
    k = (degree + 1) ** 2 - 1
    sizes = [9 * n, n, 3 * n, 3 * n, 4 * n, 3 * k * n]
    assert len(raw) == 16 + sum(sizes)
    ends = np.cumsum([16, *sizes])
    p, a, c, s, r, h = (np.frombuffer(raw[b:e], np.uint8) for b, e in pairwise(ends))
    p = p.reshape(n, 3, 3).astype(np.int64) @ [1, 1 << 8, 1 << 16]
    return {
        "positions": np.where(p >= 1 << 23, p - (1 << 24), p) / 2.0**bits,
        "alphas": a / 255,
        "colors": (c.reshape(n, 3) / 255 - 0.5) / 0.15,
        "scales": s.reshape(n, 3) / 16 - 10,
        "quats_xyzw": np.array([smallest_three(int(word)) for word in r.copy().view("<u4")]).reshape(n, 4),
        "sh": (h.reshape(n, k, 3).astype(np.float64) - 128) / 128,
    }


def smallest_three(word: int) -> list[float]:
    """Two bits name the largest component, ten bits (sign, magnitude of 1/sqrt 2) for each other, in falling order."""
    largest, q = word >> 30, [0.0] * 4
    for shift, axis in zip((20, 10, 0), [i for i in range(4) if i != largest], strict=True):
        bits = word >> shift & 1023
        q[axis] = (bits & 511) / 511 * 0.5**0.5 * (-1 if bits & 512 else 1)
    q[largest] = max(0.0, 1 - sum(x * x for x in q)) ** 0.5
    return q


@settings(max_examples=25, deadline=None, derandomize=True)
@given(gaussians_strategy)
def test_files_mean_what_the_format_says(tmp_path_factory, gaussians):
    path = tmp_path_factory.mktemp("spz") / "a.spz"
    save_spz(path, gaussians, axes="RUB")
    got = {name: torch.from_numpy(np.asarray(value)) for name, value in decode(path.read_bytes()).items()}
    assert ((got["positions"] - gaussians.means).abs() <= 2**-17 + 1e-6).all()
    assert ((got["alphas"] - gaussians.opacities).abs() <= 0.51 / 255).all()
    assert ((got["colors"] - gaussians.sh0).abs() <= 0.51 / 255 / 0.15).all()
    assert ((got["scales"] - gaussians.log_scales).abs() <= 0.51 / 16).all()
    assert ((got["sh"] - gaussians.shN).abs() <= 0.51 / 128).all()
    assert (rotation_error(got["quats_xyzw"][:, [3, 0, 1, 2]], gaussians.quats) < 0.006).all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(gaussians_strategy)
def test_round_trip_within_quantisation(tmp_path_factory, gaussians):
    path = tmp_path_factory.mktemp("spz") / "a.spz"
    save_spz(path, gaussians)
    back = load_spz(path)
    assert ((back.means - gaussians.means).abs() <= 2**-17 + 1e-6).all()
    assert ((back.opacities - gaussians.opacities).abs() <= 0.51 / 255).all()
    assert ((back.sh0 - gaussians.sh0).abs() <= 0.51 / 255 / 0.15).all()
    assert ((back.log_scales - gaussians.log_scales).abs() <= 0.51 / 16).all()
    assert ((back.shN - gaussians.shN).abs() <= 0.51 / 128).all()
    assert (rotation_error(back.quats, gaussians.quats) < 0.006).all()
    save_spz(path, back)
    again = load_spz(path)  # what is on the grid stays there
    assert torch.allclose(again.means, back.means) and torch.equal(again.shN, back.shN)
    assert torch.equal(again.log_scales, back.log_scales) and torch.equal(again.sh0, back.sh0)


def test_axes_are_those_of_the_format(tmp_path):
    g = random_gaussians(30, 3)
    save_spz(tmp_path / "a.spz", g)  # a .ply scene, y down
    up = load_spz(tmp_path / "a.spz", axes="RUB")
    want = rdf_to_rub(g)
    assert (up.means - want.means).abs().max() < 1e-4
    assert (rotation_error(up.quats, want.quats) < 0.006).all()
    assert ((up.shN - want.shN).abs() <= 0.51 / 128).all()
    assert torch.allclose(torch.from_numpy(decode((tmp_path / "a.spz").read_bytes())["positions"]).float(), up.means)


def test_reads_version_two(tmp_path):
    """Rotations are xyz bytes (q * 127.5 + 127.5), w >= 0 follows."""
    q = np.array([0.5, -0.5, 0.1])
    header = struct.pack("<IIIBBBB", 0x5053474E, 2, 1, 1, 12, 0, 0)
    position = b"".join((round(x * 4096) & 0xFFFFFF).to_bytes(3, "little") for x in (1.5, -2.25, 0.125))
    body = position + bytes([200]) + bytes([255, 0, 128]) + bytes([0, 80, 160])
    body += bytes(np.round(q * 127.5 + 127.5).astype(np.uint8)) + bytes(range(120, 129))
    (tmp_path / "a.spz").write_bytes(gzip.compress(header + body))
    g = load_spz(tmp_path / "a.spz", axes="RUB")
    assert g.means.tolist() == [[1.5, -2.25, 0.125]]
    assert torch.allclose(g.opacities, torch.tensor([200 / 255]))
    assert g.log_scales.tolist() == [[-10.0, -5.0, 0.0]]
    assert torch.allclose(g.sh0.double(), (torch.tensor([[255.0, 0.0, 128.0]]).double() / 255 - 0.5) / 0.15)
    wxyz = torch.tensor([[(1 - (q**2).sum()) ** 0.5, *q]])
    assert (rotation_error(g.quats, wxyz) < 0.02).all()
    assert torch.equal(g.shN, torch.arange(-8.0, 1.0).reshape(1, 3, 3) / 128)


def test_large_and_awkward_scenes(tmp_path):
    g = random_gaussians(4, 0)
    g.means[0] = torch.tensor([50000.0, -60000.0, 3.0])
    g.quats[1] = 0
    g.logit_opacities[2], g.logit_opacities[3] = 1000.0, float("nan")
    save_spz(tmp_path / "a.spz", g)
    back = load_spz(tmp_path / "a.spz")
    assert len(back) == 3 and torch.allclose(back.means, g.means[:3], atol=0.005)
    assert back.quats[1].abs().tolist() == [1, 0, 0, 0] and back.opacities[2] > 0.999
    g.means[0] = 1e9
    with pytest.raises(InputError, match="1e\\+09 units"):
        save_spz(tmp_path / "b.spz", g)
    assert not (tmp_path / "b.spz").exists()


def test_what_is_no_readable_spz(tmp_path):
    path = tmp_path / "a.spz"
    with pytest.raises(InputError, match="No such file"):
        load_spz(path)
    for data, words in [
        (b"hello", "not gzip"),
        (gzip.compress(b"x" * 100), "NGSP"),
        (gzip.compress(b""), "not gzip"),
        (struct.pack("<II", 0x5053474E, 5) + bytes(24), "version 5"),
        (struct.pack("<II", 0x5053474E, 4) + bytes(20), "28 bytes"),
        (struct.pack("<III", 0x5053474E, 4, 1) + bytes(20), "table of 0 streams"),
        (gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 1, 0, 0, 12, 0, 0)), "version 1"),
        (gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, 0, 4, 12, 0, 0)), "degree 4"),
        (gzip.compress(struct.pack("<IIIBBBB", 0x5053474E, 3, 9, 0, 12, 0, 0)), "truncated"),
    ]:
        path.write_bytes(data)
        with pytest.raises(FormatError, match=words):
            load_spz(path)
    save_spz(path, random_gaussians(200, 1))
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(FormatError, match="truncated"):
        load_spz(path)


def version_4(
    columns: list[bytes], count: int, degree: int, extensions: bytes = b"", streams: int | None = None
) -> bytes:
    """A file of version 4: header in the open, records of vendors, sizes, then the columns that are not empty."""
    packed = [(zstandard.ZstdCompressor().compress(column), len(column)) for column in columns if column]
    table = b"".join(struct.pack("<QQ", len(data), size) for data, size in packed)
    number = len(packed) if streams is None else streams
    header = struct.pack(
        "<IIIBBBBI", 0x5053474E, 4, count, degree, 12, 2 if extensions else 0, number, 32 + len(extensions)
    )
    return header + bytes(12) + extensions + table + b"".join(data for data, _ in packed)


def test_reads_version_four(tmp_path):
    columns = [bytes(range(9)), b"\xc8", b"\x00\x80\xff", b"\x00\x50\xa0", struct.pack("<I", 3 << 30 | 511 << 20), b""]
    path = tmp_path / "a.spz"
    path.write_bytes(version_4(columns, 1, 0))
    g = load_spz(path, axes="RUB")
    assert g.means.tolist() == [[0x020100 / 4096, 0x050403 / 4096, 0x080706 / 4096]]
    assert torch.allclose(g.quats, torch.tensor([[0.5**0.5, 0.5**0.5, 0, 0]]))  # w largest, x at its greatest
    assert torch.allclose(g.opacities, torch.tensor([200 / 255]))
    path.write_bytes(version_4([bytes(9), b"", bytes(3), bytes(3), bytes(4), b""], 1, 0))
    with pytest.raises(FormatError, match="table of 4 streams"):
        load_spz(path)
    path.write_bytes(version_4([*columns[:4], bytes(5), b""], 1, 0))
    with pytest.raises(FormatError, match="stream of 5 bytes, expected 4"):
        load_spz(path)


def test_version_four_without_its_package_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    (tmp_path / "a.spz").write_bytes(version_4([bytes(9), b"a", bytes(3), bytes(3), bytes(4), b""], 1, 0))
    with pytest.raises(MissingDependencyError, match="pip install zstandard"):
        load_spz(tmp_path / "a.spz")


def test_other_axes_are_refused_and_other_records_skipped(tmp_path):
    columns = [bytes(9), b"a", bytes(3), bytes(3), bytes(4), b""]
    camera = struct.pack("<IIfff", 0xADBE0002, 12, 1, 2, 3)
    for axes, fine in ((4, True), (6, False)):
        record = struct.pack("<III", 0xADBE0003, 4, axes)
        (tmp_path / "4.spz").write_bytes(version_4(columns, 1, 0, camera + record))
        legacy = struct.pack("<IIIBBBB", 0x5053474E, 3, 1, 0, 12, 2, 0) + b"".join(columns) + camera + record
        (tmp_path / "3.spz").write_bytes(gzip.compress(legacy))
        for name in ("3.spz", "4.spz"):
            if fine:
                assert len(load_spz(tmp_path / name)) == 1
            else:
                with pytest.raises(FormatError, match="axes number 6"):
                    load_spz(tmp_path / name)


def test_dispatch_by_suffix(tmp_path):
    g = random_gaussians(10, 0)
    save_ply(tmp_path / "a.ply", g)
    for suffix in (".PLY", ".splat", ".spz"):
        save_gaussians(tmp_path / f"b{suffix}", load_gaussians(tmp_path / "a.ply"))
        means = load_gaussians(tmp_path / f"b{suffix}").means
        assert (means.sort(0).values - g.means.sort(0).values).abs().max() < 1e-4
    with pytest.raises(InputError, match=r"'\.obj': expected a splat file, one of .*\.ply, \.splat, \.spz"):
        load_gaussians(tmp_path / "a.obj")
    with pytest.raises(InputError, match="expected a splat file"):
        save_gaussians(tmp_path / "a", g)
