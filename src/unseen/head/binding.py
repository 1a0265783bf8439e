"""Gaussians bound to the triangles of a mesh (GaussianAvatars, arXiv 2312.02069, section 3.2; GAF eqs 1-3).

A splat lives in the local frame of its parent triangle and follows it: with the triangle's rotation R, centroid T and
size k, ``mean' = k R mean + T``, ``q' = quat(R) q``, ``s' = k s``. Colour and opacity stay. Every function takes one
frame of vertices; gradients reach the local splats and the vertices.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from unseen.core.gaussians import Gaussians
from unseen.core.rotations import matrix_to_quaternion, quaternion_multiply
from unseen.head import _binding_kernels as kernels


@dataclass(frozen=True)
class FaceFrames:
    """Local frames of F triangles: rotation [F, 3, 3] (columns: first edge, normal, their completion), translation
    [F, 3] (centroid, metres) and size [F] (mean of the first edge's length and of the height over it, metres)."""

    rotation: Float[Tensor, "F 3 3"]
    translation: Float[Tensor, "F 3"]
    size: Float[Tensor, "F"]


def face_frames(vertices: Float[Tensor, "V 3"], faces: Int[Tensor, "F 3"]) -> FaceFrames:
    """Local frame of each triangle (v0, v1, v2).

    a0 = v1 - v0 normalised; a1 = a0 x (v2 - v0) normalised, the face normal; a2 = a0 x a1, so that R = [a0 a1 a2] is a
    rotation; k = (|v1 - v0| + |a2 . (v2 - v0)|) / 2.
    """
    v0, v1, v2 = vertices[faces].unbind(1)
    edge, other = v1 - v0, v2 - v0
    a0 = normalize(edge, dim=-1, eps=1e-12)
    a1 = normalize(torch.linalg.cross(a0, other), dim=-1, eps=1e-12)
    a2 = torch.linalg.cross(a0, a1)
    size = 0.5 * (edge.norm(dim=-1) + (a2 * other).sum(-1).abs())
    return FaceFrames(torch.stack([a0, a1, a2], -1), (v0 + v1 + v2) / 3, size)


def to_global(local: Gaussians, binding: Int[Tensor, "N"], frames: FaceFrames) -> Gaussians:
    """Splats in the world from splats in triangle space (the pure torch form, any dtype and device)."""
    rotation, size = frames.rotation[binding], frames.size[binding]
    means = size[:, None] * (rotation @ local.means[..., None]).squeeze(-1) + frames.translation[binding]
    quats = quaternion_multiply(matrix_to_quaternion(frames.rotation)[binding], normalize(local.quats, dim=-1))
    return Gaussians(means, quats, local.log_scales + size.log()[:, None], local.logit_opacities, local.sh0, local.shN)


def to_local(world: Gaussians, binding: Int[Tensor, "N"], frames: FaceFrames) -> Gaussians:
    """Inverse of `to_global`."""
    rotation, size = frames.rotation[binding], frames.size[binding]
    means = (rotation.transpose(-1, -2) @ (world.means - frames.translation[binding])[..., None]).squeeze(-1)
    inverse = matrix_to_quaternion(frames.rotation.transpose(-1, -2))[binding]
    return Gaussians(
        means / size[:, None],
        quaternion_multiply(inverse, normalize(world.quats, dim=-1)),
        world.log_scales - size.log()[:, None],
        world.logit_opacities,
        world.sh0,
        world.shN,
    )


class BoundSplats:
    """Index structure of N splats on F triangles, rebuilt after densification: which splats sit on which triangle.

    Args:
        binding: parent triangle of each splat, [N].
        faces: vertex ids, [F, 3].
        num_vertices: V.
    """

    def __init__(self, binding: Int[Tensor, "N"], faces: Int[Tensor, "F 3"], num_vertices: int) -> None:
        self.binding, self.faces, self.num_vertices = binding, faces, num_vertices
        order = torch.argsort(binding, stable=True)
        counts = torch.bincount(binding, minlength=len(faces))
        self.splats_by_face = order.numpy() if binding.device.type == "cpu" else None
        self.face_start = torch.cat([counts.new_zeros(1), counts.cumsum(0)]).cpu().numpy()
        corner = faces.flatten()
        self.corners_by_vertex = torch.argsort(corner, stable=True).cpu().numpy()
        valence = torch.bincount(corner, minlength=num_vertices)
        self.vertex_start = torch.cat([valence.new_zeros(1), valence.cumsum(0)]).cpu().numpy()
        self.counts = counts

    def pose(
        self,
        means: Float[Tensor, "N 3"],
        quats: Float[Tensor, "N 4"],
        log_scales: Float[Tensor, "N 3"],
        vertices: Float[Tensor, "V 3"],
    ) -> tuple[Float[Tensor, "N 3"], Float[Tensor, "N 4"], Float[Tensor, "N 3"]]:
        """World means, quats and scales (standard deviations, not logarithms) of local splats on posed vertices.

        The same mathematics as `face_frames` and `to_global`; on CPU float32 one compiled kernel with an analytic
        backward (per triangle, then gathered per vertex: deterministic for any number of threads).
        """
        if vertices.device.type == "cpu" and vertices.dtype == torch.float32:
            return _PoseSplats.apply(means, quats, log_scales, vertices, self)
        frames = face_frames(vertices, self.faces)
        rotation, size = frames.rotation[self.binding], frames.size[self.binding]
        world_means = size[:, None] * (rotation @ means[..., None]).squeeze(-1) + frames.translation[self.binding]
        face_quats = matrix_to_quaternion(frames.rotation)[self.binding]
        return world_means, quaternion_multiply(face_quats, normalize(quats, dim=-1)), size[:, None] * log_scales.exp()


class _PoseSplats(torch.autograd.Function):
    @staticmethod
    def forward(ctx, means, quats, log_scales, vertices, index: BoundSplats):
        args = [t.detach().contiguous().numpy() for t in (means, quats, log_scales, vertices)]
        out = [torch.empty_like(t, memory_format=torch.contiguous_format) for t in (means, quats, log_scales)]
        kernels.pose_forward(
            *args, index.faces.numpy(), index.splats_by_face, index.face_start, *[t.numpy() for t in out]
        )
        ctx.args, ctx.index, ctx.needs_vertices = args, index, ctx.needs_input_grad[3]
        return tuple(out)

    @staticmethod
    def backward(ctx, *grads):
        index: BoundSplats = ctx.index
        means, quats, log_scales, vertices = ctx.args
        shapes = (means, quats, log_scales)
        given = [
            g.contiguous().numpy() if g is not None else torch.zeros(s.shape).numpy()
            for g, s in zip(grads, shapes, strict=True)
        ]
        out = [torch.empty(s.shape) for s in shapes]
        corners = torch.empty(len(index.faces), 3, 3)
        kernels.pose_backward(
            means, quats, log_scales, vertices, index.faces.numpy(), index.splats_by_face, index.face_start,
            *given, *[t.numpy() for t in out], corners.numpy(),
        )  # fmt: skip
        vertex_grad = None
        if ctx.needs_vertices:
            vertex_grad = torch.empty(index.num_vertices, 3)
            kernels.gather_corners(
                corners.view(-1, 3).numpy(), index.corners_by_vertex, index.vertex_start, vertex_grad.numpy()
            )
        return *out, vertex_grad, None
