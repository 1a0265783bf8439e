import struct

import pytest
import torch
from hypothesis import given, settings
from splat_samples import gaussians_strategy, random_gaussians, rotation_error

from unseen.core.errors import FormatError, InputError
from unseen.io.splat import load_splat, save_splat


def test_one_record_byte_for_byte(tmp_path):
    record = struct.pack("<6f8B", 1.0, -2.0, 3.5, 0.1, 0.2, 0.3, 255, 0, 51, 128, 128, 255, 128, 0)
    (tmp_path / "a.splat").write_bytes(record)
    g = load_splat(tmp_path / "a.splat")
    assert g.means.tolist() == [[1.0, -2.0, 3.5]]
    assert torch.allclose(g.scales, torch.tensor([[0.1, 0.2, 0.3]]))
    assert torch.allclose(g.rgb, torch.tensor([[1.0, 0.0, 0.2]]), atol=1e-6)
    assert torch.allclose(g.opacities, torch.tensor([128 / 255]))
    assert g.quats.tolist() == [[0.0, 127 / 128, 0.0, -1.0]]  # wxyz
    save_splat(tmp_path / "b.splat", g)
    back = (tmp_path / "b.splat").read_bytes()
    assert back[:12] == record[:12] and back[24:28] == record[24:28]
    assert struct.unpack("<3f", back[12:24]) == pytest.approx((0.1, 0.2, 0.3))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(gaussians_strategy)
def test_round_trip_within_quantisation(tmp_path_factory, gaussians):
    path = tmp_path_factory.mktemp("splat") / "a.splat"
    save_splat(path, gaussians)
    back = load_splat(path)
    assert len(back) == len(gaussians) and path.stat().st_size == 32 * len(gaussians)
    want = gaussians.select(torch.cdist(back.means, gaussians.means).argmin(1))
    importance = want.log_scales.sum(1) + want.opacities.log()
    assert (importance.diff() <= 1e-5).all()  # largest and most opaque first
    assert torch.equal(back.means, want.means)
    assert torch.allclose(back.scales, want.scales, rtol=1e-5)
    assert ((back.opacities - want.opacities).abs() <= 0.5 / 255 + 1e-6).all()
    assert ((back.rgb - want.rgb.clamp(0, 1)).abs() <= 0.5 / 255 + 1e-6).all()
    assert (rotation_error(back.quats, want.quats) < 0.02).all()
    assert back.sh_degree == 0


def test_saving_again_changes_nothing(tmp_path):
    save_splat(tmp_path / "a.splat", random_gaussians(100, 0))
    save_splat(tmp_path / "b.splat", load_splat(tmp_path / "a.splat"))
    a, b = (load_splat(tmp_path / name) for name in ("a.splat", "b.splat"))
    assert sorted(a.means.tolist()) == sorted(b.means.tolist())
    assert torch.allclose(a.logit_opacities.sort().values, b.logit_opacities.sort().values)


def test_non_finite_are_left_out(tmp_path):
    g = random_gaussians(5, 0)
    g.means[2, 1] = float("nan")
    save_splat(tmp_path / "a.splat", g)
    assert len(load_splat(tmp_path / "a.splat")) == 4


def test_what_is_no_splat_file(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_splat(tmp_path / "none.splat")
    (tmp_path / "a.splat").write_bytes(b"x" * 33)
    with pytest.raises(FormatError, match="33 bytes"):
        load_splat(tmp_path / "a.splat")
    (tmp_path / "a.splat").write_bytes(b"\xff" * 64)
    with pytest.raises(FormatError, match="scales"):
        load_splat(tmp_path / "a.splat")
