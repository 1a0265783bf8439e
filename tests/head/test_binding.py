"""Binding of splats to triangles: the definition, its inverse, and gradients."""

import numpy as np
import pytest
import torch

from unseen.core.gaussians import Gaussians
from unseen.core.rotations import axis_angle_to_matrix, quaternion_to_matrix
from unseen.head.binding import BoundSplats, face_frames, to_global, to_local


@pytest.fixture
def scene():
    g = torch.Generator().manual_seed(3)
    vertices = torch.randn(40, 3, generator=g, dtype=torch.float64)
    faces = torch.stack([torch.randperm(40, generator=g)[:3] for _ in range(60)])
    binding = torch.randint(0, 50, (200,), generator=g)  # the last ten triangles carry nothing
    local = Gaussians(
        torch.randn(200, 3, generator=g, dtype=torch.float64),
        torch.randn(200, 4, generator=g, dtype=torch.float64),
        torch.randn(200, 3, generator=g, dtype=torch.float64) * 0.3,
        torch.zeros(200, dtype=torch.float64),
        torch.zeros(200, 3, dtype=torch.float64),
        torch.zeros(200, 0, 3, dtype=torch.float64),
    )
    return vertices, faces, binding, local


def test_frame_of_a_known_triangle():
    vertices = torch.tensor([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]])
    frames = face_frames(vertices, torch.tensor([[0, 1, 2]]))
    # columns: the edge +x, the normal +z, and x cross z = -y
    assert torch.allclose(frames.rotation[0], torch.tensor([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]))
    assert frames.size[0] == pytest.approx(1.5)  # edge 2, height 1
    assert torch.allclose(frames.translation[0], torch.tensor([2 / 3, 1 / 3, 0]))


def test_local_and_global_are_inverse(scene):
    vertices, faces, binding, local = scene
    frames = face_frames(vertices, faces)
    back = to_local(to_global(local, binding, frames), binding, frames)
    assert torch.allclose(back.means, local.means)
    assert torch.allclose(quaternion_to_matrix(back.quats), quaternion_to_matrix(local.quats))
    assert torch.allclose(back.log_scales, local.log_scales)


def test_splats_follow_a_rigid_motion_of_the_mesh(scene):
    vertices, faces, binding, local = scene
    rotation = axis_angle_to_matrix(torch.tensor([0.3, -0.8, 0.5], dtype=torch.float64))
    shift = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    before = to_global(local, binding, face_frames(vertices, faces))
    after = to_global(local, binding, face_frames(vertices @ rotation.T + shift, faces))
    assert torch.allclose(after.means, before.means @ rotation.T + shift)
    assert torch.allclose(quaternion_to_matrix(after.quats), rotation @ quaternion_to_matrix(before.quats))
    assert torch.allclose(after.log_scales, before.log_scales)


def test_kernel_equals_the_torch_form_in_value_and_gradient(scene):
    vertices, faces, binding, local = scene
    g = torch.Generator().manual_seed(0)
    weights = [torch.randn(200, d, generator=g, dtype=torch.float64) for d in (3, 4, 3)]
    gradients = []
    for dtype in (torch.float64, torch.float32):
        inputs = [t.to(dtype).clone().requires_grad_() for t in (local.means, local.quats, local.log_scales, vertices)]
        out = BoundSplats(binding, faces, 40).pose(*inputs)
        # a quaternion and its negative are one rotation: compare and differentiate what does not see the sign
        products = (out[0], out[1] * out[1][:, :1], out[2])
        sum((p * w.to(dtype)).sum() for p, w in zip(products, weights, strict=True)).backward()
        gradients.append([p.detach().double() for p in products] + [t.grad.double() for t in inputs])
    for reference, kernel in zip(*gradients, strict=True):
        assert (reference - kernel).abs().max() < 2e-5 * reference.abs().max()


def test_torch_form_passes_gradcheck(scene):
    vertices, faces, binding, local = scene
    index = BoundSplats(binding[:20], faces, 40)

    def function(m, q, s, v):
        means, quats, scales = index.pose(m, q, s, v)
        return means, quats * quats[:, :1], scales

    inputs = [t.clone().requires_grad_() for t in (local.means[:20], local.quats[:20], local.log_scales[:20], vertices)]
    assert torch.autograd.gradcheck(function, inputs, atol=1e-6)


def test_result_does_not_depend_on_threads(scene):
    import numba

    vertices, faces, binding, local = scene
    index = BoundSplats(binding, faces, 40)
    results = []
    for threads in (1, numba.config.NUMBA_NUM_THREADS):
        numba.set_num_threads(threads)
        v = vertices.float().requires_grad_()
        out = index.pose(local.means.float(), local.quats.float(), local.log_scales.float(), v)
        sum(o.square().sum() for o in out).backward()
        results.append([o.detach().numpy() for o in out] + [v.grad.numpy()])
    assert all(np.array_equal(a, b) for a, b in zip(*results, strict=True))
