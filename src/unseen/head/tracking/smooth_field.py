"""A smooth displacement per vertex: optimised through the inverse of I + lambda L, so that steps are smooth too."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg
import torch
from jaxtyping import Float, Int
from torch import Tensor


class SmoothField:
    """The map x = (I + lambda L)^-1 z from free coefficients to a smooth field (Nicolet et al. 2021, "Large steps in
    inverse rendering of geometry"), with the uniform graph Laplacian L of a mesh.

    Args:
        faces: vertex ids, [F, 3].
        num_vertices: V.
        smoothness: lambda; the field varies over about sqrt(lambda) edges.
        pinned: vertices whose displacement is zero.
    """

    def __init__(
        self, faces: Int[Tensor, "F 3"], num_vertices: int, smoothness: float, pinned: Int[Tensor, "P"]
    ) -> None:
        laplacian = graph_laplacian(faces, num_vertices)
        stiff = np.zeros(num_vertices)
        stiff[pinned.numpy()] = 1e6
        matrix = sp.identity(num_vertices) + smoothness * laplacian + sp.diags(stiff)
        self._solve = scipy.sparse.linalg.splu(matrix.tocsc()).solve

    def __call__(self, coefficients: Float[Tensor, "V 3"]) -> Float[Tensor, "V 3"]:
        """The field of some coefficients; differentiable."""
        return _Solve.apply(coefficients, self._solve)


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, solve: Any) -> Tensor:
        ctx.solve = solve
        return torch.from_numpy(solve(z.detach().double().numpy())).to(z.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        return torch.from_numpy(ctx.solve(grads[0].double().numpy())).to(grads[0].dtype), None  # symmetric matrix


def graph_laplacian(faces: Int[Tensor, "F 3"], num_vertices: int) -> sp.csr_matrix:
    """Degree minus adjacency of the mesh's edge graph, [V, V]."""
    f = faces.numpy()
    i = np.concatenate([f[:, 0], f[:, 1], f[:, 2], f[:, 1], f[:, 2], f[:, 0]])
    j = np.concatenate([f[:, 1], f[:, 2], f[:, 0], f[:, 0], f[:, 1], f[:, 2]])
    adjacency = sp.coo_matrix((np.ones(len(i)), (i, j)), (num_vertices, num_vertices)).tocsr()
    adjacency.data[:] = 1.0  # edges shared by two faces count once
    return (sp.diags(np.asarray(adjacency.sum(1)).ravel()) - adjacency).tocsr()
