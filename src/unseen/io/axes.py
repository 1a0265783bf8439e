"""Turning Gaussians between worlds whose y points down (COLMAP, .ply in the wild) and up (heads, three.js, .spz)."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from unseen.core.gaussians import Gaussians
from unseen.core.sh import MAX_DEGREE, sh_basis

Axes = Literal["RDF", "RUB"]
"""Right-down-forward (y down, as .ply files have it) or right-up-back (y up)."""


def rdf_to_rub(gaussians: Gaussians) -> Gaussians:
    """Half a turn about x: right-down-forward axes to right-up-back axes and, being its own inverse, back.

    Only signs change, so applying it twice gives the same bits: y and z of means and quaternions, and the
    spherical-harmonic coefficients whose basis function is odd under (x, y, z) -> (x, -y, -z).
    """
    flip = gaussians.means.new_tensor([1.0, -1.0, -1.0])
    generic = torch.tensor([0.36, 0.48, 0.80], dtype=torch.float64)  # no basis function vanishes here
    parity = (sh_basis(MAX_DEGREE, generic) * sh_basis(MAX_DEGREE, generic * flip.cpu().double())).sign()
    signs = parity[1 : 1 + gaussians.shN.shape[1], None].to(gaussians.shN)
    return replace(
        gaussians,
        means=gaussians.means * flip,
        quats=gaussians.quats * gaussians.quats.new_tensor([1.0, 1.0, -1.0, -1.0]),
        shN=gaussians.shN * signs,
    )
