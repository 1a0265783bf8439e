"""What FlashWorld hands to files against recordings; its defects are told apart, not copied.

The reference multiplies by the extent what was divided by the extent and a margin: worlds shrink, and vanish where the
camera only turns. Here `Frame.to_caller` undoes the division, so its numbers are compared after the same shrinking. It
adds 1e-8 to scales before their logarithm, which is taken into account too.
"""

import pytest
import torch

from unseen.core.gaussians import Gaussians
from unseen.io.ply import save_ply
from unseen.io.ply_tables import read_ply_tables
from unseen.io.spz import load_spz, save_spz
from unseen.priors.world.cameras import MARGIN, Frame

TINY_SCALE = 1e-8
QUANTISED = {"spz_positions": 2e-4, "spz_scales": 1 / 32 + 1e-3, "spz_colors": 0.5 / 38, "spz_sh": 0.5 / 128 + 1e-4}
ROTATION_STEP = 2 / 723


@pytest.fixture
def recording(flashworld):
    return flashworld("export_a")


def decoded(points):
    """Gaussians as the decoder gives them, from the reference's 38 numbers."""
    means, opacities, scales, quats, sh = points.split([3, 1, 3, 4, 27], 1)
    sh = sh.unflatten(1, (9, 3))
    return Gaussians(means, quats, scales.log(), torch.logit(opacities[:, 0]), sh[:, 0], sh[:, 1:])


def shrunk(gaussians, extent, variant):
    """Worlds as the reference leaves them: not in the caller's frame but in the first camera's, and too small."""
    if not variant["use_T_norm"]:
        return gaussians
    frame = Frame(torch.eye(4, dtype=torch.float64), extent.double().squeeze())
    ours = frame.to_caller(gaussians)
    factor = float(extent / (extent + MARGIN))
    return ours.transform(torch.eye(3), torch.zeros(3), factor)


def exported(recording, variant):
    points = recording["scene_params"]
    threshold = variant["opacity_threshold"]
    return shrunk(decoded(points[points[:, 3] >= threshold]), recording["T_norm"], variant)


@pytest.fixture(params=["cli_threshold0", "web_threshold", "no_T_norm"])
def case(recording, request):
    variant = next(v for v in recording.config["variants"] if v["name"] == request.param)
    return recording, request.param, exported(recording, variant)


def log_scales(gaussians):
    return (gaussians.scales + TINY_SCALE).log()


def test_ply(case, tmp_path):
    recording, name, gaussians = case
    save_ply(tmp_path / "world.ply", gaussians)
    rows = read_ply_tables(tmp_path / "world.ply").rows("vertex")
    columns = {field: torch.from_numpy(rows[field].copy()) for field in rows.dtype.names}
    recording.check(f"{name}/standard_3dgs_f_dc", torch.stack([columns[f"f_dc_{k}"] for k in range(3)], 1))
    recording.check(f"{name}/standard_3dgs_f_rest", torch.stack([columns[f"f_rest_{k}"] for k in range(24)], 1))
    for k in range(3):
        columns[f"scale_{k}"] = log_scales(gaussians)[:, k]
    for k, values in enumerate(gaussians.sh.flatten(1).unbind(1)):
        columns[f"f_dc_{k}"] = values  # the reference's own fields: coefficient-major, all of them f_dc
    fields = recording.config["ply_fields"]
    recording.check(f"{name}/ply_fields", torch.stack([columns[field] for field in fields], 1))


def test_spz(case, tmp_path):
    recording, name, gaussians = case
    found = {
        "spz_positions": gaussians.means,
        "spz_scales": log_scales(gaussians),
        "spz_alphas": gaussians.logit_opacities[:, None],
        "spz_colors": gaussians.sh0,
        "spz_sh": gaussians.shN.flatten(1),
        "correct_spz_rotations_xyzw": gaussians.quats[:, [1, 2, 3, 0]],
    }
    for key, values in found.items():
        recording.check(f"{name}/{key}", values)
    save_spz(tmp_path / "world.spz", gaussians, axes="RUB")  # the first camera's axes, y up: .spz's own
    stored = load_spz(tmp_path / "world.spz", axes="RUB")
    inside = (found["spz_scales"] > -10).all(1) & (found["spz_sh"].abs() <= 1).all(1)
    again = {
        "spz_positions": stored.means, "spz_scales": stored.log_scales, "spz_colors": stored.sh0,
        "spz_sh": stored.shN.flatten(1),
    }  # fmt: skip
    for key, values in again.items():
        wanted = recording.tensors[f"outputs/{name}/{key}"]
        assert float((values - wanted)[inside].abs().max()) < QUANTISED[key], key
    right, wrong = (
        recording.tensors[f"outputs/{name}/{key}"]
        for key in ("correct_spz_rotations_xyzw", "defect_spz_rotations_zwxy")
    )
    turns = stored.quats[:, [1, 2, 3, 0]]
    assert float(apart(turns, right).max()) < ROTATION_STEP
    assert float(apart(turns, wrong).median()) > 0.1


def apart(a, b):
    """Largest difference of components of quaternions, up to sign."""
    a, b = (torch.nn.functional.normalize(q, dim=1) for q in (a, b))
    return torch.minimum((a - b).abs().amax(1), (a + b).abs().amax(1))


def test_worlds_of_cameras_that_only_turn_keep_their_size(recording):
    """The reference puts all of them on the origin there."""
    gaussians = decoded(recording["scene_params"])
    still = Frame(torch.eye(4, dtype=torch.float64), torch.zeros((), dtype=torch.float64))
    torch.testing.assert_close(still.to_caller(gaussians).means, MARGIN * gaussians.means)
