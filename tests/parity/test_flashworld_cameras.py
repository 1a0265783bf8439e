"""Cameras and rays against recordings of FlashWorld."""

import pytest
import torch

from unseen.core.rotations import matrix_to_quaternion, quaternion_to_matrix
from unseen.priors.world.cameras import at, between, normalized, ray_map, rays, resampled, upright

QUATERNION = (0, 4)


@pytest.fixture
def recording(flashworld):
    return flashworld("cameras_a")


def check_frame(recording, prefix, given, **kwargs):
    values, frame = normalized(given)
    recording.check(f"{prefix}normalized_cameras", values, **kwargs)
    recording.check(f"{prefix}ref_w2c", torch.linalg.inv(frame.reference)[:, None])
    recording.check(f"{prefix}T_norm", frame.extent[:, None, None])
    return frame


def test_every_output(recording):
    recording.check("quaternion_to_matrix", quaternion_to_matrix(recording["quaternions"]))
    recording.check("matrix_to_quaternion", upright(matrix_to_quaternion(recording["matrices"])), up_to_sign=QUATERNION)
    frame = check_frame(recording, "", recording["cameras"])
    recording.check("normalized_render_cameras", frame.to_network(recording["render_cameras"]))
    for case in ("pure_rotation_at_origin", "pure_rotation_off_origin"):
        check_frame(recording, f"{case}/", recording[case])
    height, width = recording.config["h"], recording.config["w"]
    origins, directions = rays(recording["ray_cameras"], height, width)
    recording.check("rays_o", origins)
    recording.check("rays_d", directions)
    each = recording["ray_cameras"][0, :, None].expand(-1, recording.config["points_per_pixel"], -1)
    origins, directions = rays(each, height, width, recording["uv_offset"])
    recording.check("uv_rays_o", origins)
    recording.check("uv_rays_d", directions)
    maps = ray_map(recording["ray_cameras"], height, width)
    recording.check("raymaps", maps.movedim(2, -1))
    recording.check("raymaps_model_layout", maps.transpose(1, 2))
    dense = recording["dense_cameras"]
    recording.check("dense_more", resampled(dense, recording.config["M_more"]), up_to_sign=QUATERNION)
    recording.check("dense_fewer", resampled(dense, recording.config["M_fewer"]), up_to_sign=QUATERNION)
    recording.check("dense_custom_t", at(dense, recording["custom_t"]), up_to_sign=QUATERNION)
    poses = between(recording["pose_a"], recording["pose_b"], recording["fraction"])
    recording.check("two_pose", poses, up_to_sign=QUATERNION)
    assert not recording.unchecked()
