"""A linear head model with joints: FLAME's parametrisation, whatever the mesh. Template, bases, regressor, skinning.

FLAME (Li et al. 2017, "Learning a model of facial shape and expression from 4D scans", equations 1 to 6); the
procedural head of this package has the same interface, so everything downstream takes either.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from unseen.core.errors import InputError, ShapeError
from unseen.core.rotations import axis_angle_to_matrix
from unseen.head.params import HeadParams, match_length

JOINT_NAMES = ("root", "neck", "jaw", "left_eye", "right_eye")
PARENTS = (-1, 0, 1, 1, 1)


@dataclass(frozen=True, eq=False)
class LandmarkEmbedding:
    """L points fixed to triangles of a mesh.

    Attributes:
        face_idx: triangle of each point, [L].
        bary: weights of its three corners, summing to 1, [L, 3].
    """

    face_idx: Int[Tensor, "L"]
    bary: Float[Tensor, "L 3"]

    def __post_init__(self) -> None:
        if self.face_idx.ndim != 1 or tuple(self.bary.shape) != (len(self.face_idx), 3):
            raise ShapeError(
                f"LandmarkEmbedding got face_idx {tuple(self.face_idx.shape)} and bary {tuple(self.bary.shape)}, "
                "expected [L] and [L, 3]"
            )

    def __len__(self) -> int:
        return self.face_idx.shape[0]

    def points(self, vertices: Float[Tensor, "*batch V 3"], faces: Int[Tensor, "F 3"]) -> Float[Tensor, "*batch L 3"]:
        """Positions of the points on a posed mesh with these faces."""
        corners = vertices.index_select(-2, faces[self.face_idx].flatten()).unflatten(-2, (-1, 3))
        return (corners * self.bary[..., None]).sum(-2)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> LandmarkEmbedding:
        """Copy on another device, weights in another dtype."""
        return LandmarkEmbedding(self.face_idx.to(device), self.bary.to(device, dtype))


class HeadOutput(NamedTuple):
    """A posed head.

    Attributes:
        vertices: world positions in metres, [T, V, 3].
        joints: world positions of root, neck, jaw, left eye, right eye, [T, 5, 3].
        joint_transforms: rigid motion of each joint from the unposed mesh to the world, [T, 5, 3, 4]. What follows the
            root joint (a torso, say) moves by `joint_transforms[:, 0]`.
    """

    vertices: Float[Tensor, "T V 3"]
    joints: Float[Tensor, "T 5 3"]
    joint_transforms: Float[Tensor, "T 5 3 4"]

    @property
    def joint_rotations(self) -> Float[Tensor, "T 5 3 3"]:
        """World rotation of each joint."""
        return self.joint_transforms[..., :3]


@dataclass(frozen=True, eq=False)
class HeadModel:
    """Blend shapes, pose correctives and linear blend skinning over five joints.

    Metres, +Y up, the face looks to +Z, the subject's left is +X. S shape and E expression directions; V vertices.

    Attributes:
        variant: name of the parameter space ("flame2020", "flame2023", "flame2023-nojaw", "flame2023-open",
            "procedural-1", ...). Parameters of one variant mean nothing to another: store it with every file.
        v_template, faces: the mean head, [V, 3] and [F, 3] int64, counter-clockwise seen from outside.
        shapedirs, exprdirs: displacement per unit coefficient, [V, 3, S] and [V, 3, E].
        posedirs: displacement per entry of (R - I) of the four joints after the root, row-major, [36, V*3], or None.
        j_regressor: joints as weighted sums of vertices, dense, [5, V].
        parents: parent of each joint, -1 for the root; parents come before children.
        lbs_weights: skinning weights, rows sum to 1, [V, 5].
        eyelid_dirs: displacement that closes the left and the right eye at coefficient 1, [V, 3, 2], or None.
        uvs, uv_faces: texture coordinates in [0, 1], v up, [U, 2], and their index per face corner, [F, 3], or None.
        regions: vertex indices of named parts.
        landmarks: named point sets on the surface ("mediapipe478", "ibug68").
        appended_vertices: how many vertices at the end a file made for the plain model lacks (VHAP's 120 teeth
            vertices); per-vertex offsets without them are padded with zeros.
        full, vertex_ids: set by `subset`: the model this one was cut from and its vertices there, [V].
    """

    variant: str
    v_template: Float[Tensor, "V 3"]
    faces: Int[Tensor, "F 3"]
    shapedirs: Float[Tensor, "V 3 S"]
    exprdirs: Float[Tensor, "V 3 E"]
    posedirs: Float[Tensor, "36 V3"] | None
    j_regressor: Float[Tensor, "5 V"]
    lbs_weights: Float[Tensor, "V 5"]
    parents: tuple[int, ...] = PARENTS
    eyelid_dirs: Float[Tensor, "V 3 2"] | None = None
    uvs: Float[Tensor, "U 2"] | None = None
    uv_faces: Int[Tensor, "F 3"] | None = None
    regions: Mapping[str, Int[Tensor, "R"]] = field(default_factory=dict)
    landmarks: Mapping[str, LandmarkEmbedding] = field(default_factory=dict)
    appended_vertices: int = 0
    full: HeadModel | None = field(default=None, repr=False)
    vertex_ids: Int[Tensor, "V"] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        v, f, j = self.v_template.shape[0], self.faces.shape[0], len(PARENTS)
        expected: dict[str, tuple[int, ...]] = {
            "v_template": (v, 3),
            "faces": (f, 3),
            "shapedirs": (v, 3, self.shapedirs.shape[-1]),
            "exprdirs": (v, 3, self.exprdirs.shape[-1]),
            "posedirs": (9 * (j - 1), 3 * v),
            "j_regressor": (j, v),
            "lbs_weights": (v, j),
            "eyelid_dirs": (v, 3, 2),
            "uv_faces": (f, 3),
        }
        for name, shape in expected.items():
            value = getattr(self, name)
            if value is not None and tuple(value.shape) != shape:
                raise ShapeError(f"HeadModel.{name} has shape {tuple(value.shape)}, expected {shape}")
        if tuple(self.parents) != PARENTS:
            raise ShapeError(f"HeadModel.parents is {self.parents}, expected {PARENTS} ({', '.join(JOINT_NAMES)})")
        for name in ("shapedirs", "exprdirs", "eyelid_dirs"):  # coefficient-major in memory: a basis is then one matrix
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, value.permute(2, 0, 1).contiguous().permute(1, 2, 0))

    @property
    def num_vertices(self) -> int:
        """V."""
        return self.v_template.shape[0]

    @property
    def num_faces(self) -> int:
        """F."""
        return self.faces.shape[0]

    @property
    def num_shape(self) -> int:
        """S, the number of identity coefficients."""
        return self.shapedirs.shape[-1]

    @property
    def num_expr(self) -> int:
        """E, the number of expression coefficients."""
        return self.exprdirs.shape[-1]

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return self.v_template.device

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of the model."""
        return self.v_template.dtype

    @cached_property
    def joint_template(self) -> Float[Tensor, "5 3"]:
        """Joints of the mean head."""
        return self.full.joint_template if self.full else self.j_regressor @ self.v_template

    @cached_property
    def joint_dirs(self) -> Float[Tensor, "5 3 K"]:
        """Displacement of the joints per unit coefficient; K = S + E (+ 2 with eyelids): the regressor applied to the
        bases once, so that joints need no full mesh."""
        if self.full:
            return self.full.joint_dirs
        bases = [self.shapedirs, self.exprdirs] + ([] if self.eyelid_dirs is None else [self.eyelid_dirs])
        return torch.cat([torch.einsum("jv,vck->jck", self.j_regressor, basis) for basis in bases], -1)

    def vertices(self, params: HeadParams) -> Float[Tensor, "T V 3"]:
        """World positions of the vertices; see `forward`."""
        return self.forward(params).vertices

    def forward(self, params: HeadParams) -> HeadOutput:
        """Pose the head: blend shapes, joints of the blended mesh, pose correctives, skinning, translation.

        Differentiable in every parameter, batched over the T frames. Coefficient vectors shorter than the model's mean
        zeros for the rest. A model cut by `subset` takes the offsets of the full mesh and returns exact joints.

        Raises:
            ShapeError: more coefficients than the model has, and not zero; offsets of another mesh.
        """
        shape = match_length(params.shape, self.num_shape, "shape", exact=False)
        expr = match_length(params.expr, self.num_expr, "expr", exact=False)
        lids = None if self.eyelid_dirs is None else params.eyelids
        offset, joint_offset = self._offsets(params)

        rest = self.v_template.flatten() + shape @ _rows(self.shapedirs, shape.shape[-1])
        blended = torch.addmm(rest[None], expr, _rows(self.exprdirs, expr.shape[-1]))
        if lids is not None and self.eyelid_dirs is not None:
            blended = torch.addmm(blended, lids, _rows(self.eyelid_dirs, 2))
        joints = self._joints(shape, expr, lids)
        if offset is not None:
            blended, joints = blended + offset.flatten(-2), joints + joint_offset

        rotations = axis_angle_to_matrix(params.joint_rotations())
        if self.posedirs is not None:
            eye = torch.eye(3, dtype=rotations.dtype, device=rotations.device)
            blended = torch.addmm(blended, (rotations[:, 1:] - eye).flatten(1), self.posedirs)
        transforms, posed_joints = _chain(rotations, joints, self.parents, params.translation)
        return HeadOutput(_skin(blended.unflatten(-1, (-1, 3)), self.lbs_weights, transforms), posed_joints, transforms)

    def landmark_points(self, params: HeadParams, name: str = "mediapipe478") -> Float[Tensor, "T L 3"]:
        """World positions of a landmark set, computing only the vertices it touches.

        Raises:
            InputError: the model has no such set.
        """
        part = self.landmark_subset(name)
        return part.landmarks[name].points(part.vertices(params), part.faces)

    def landmark_subset(self, name: str = "mediapipe478") -> HeadModel:
        """The model cut down to the vertices that a landmark set touches; made once."""
        if name not in self.landmarks:
            raise InputError(f"head model {self.variant!r} has no landmarks {name!r}: it has {sorted(self.landmarks)}")
        if name not in self._landmark_subsets:
            ids = self.faces[self.landmarks[name].face_idx].unique()
            self._landmark_subsets[name] = self.subset(ids)
        return self._landmark_subsets[name]

    @cached_property
    def _landmark_subsets(self) -> dict[str, HeadModel]:
        return {}

    def subset(self, vertex_ids: Int[Tensor, "N"]) -> HeadModel:
        """The model restricted to distinct vertices, in the order given: faster to pose, identical where it is defined.

        Faces and landmarks survive when all their vertices do. Parameters stay those of the full model, per-vertex
        offsets included; joints stay exact.
        """
        ids = torch.as_tensor(vertex_ids, device=self.device)
        local = torch.full((self.num_vertices,), -1, device=self.device)
        local[ids] = torch.arange(len(ids), device=self.device)
        faces = local[self.faces]
        keep = (faces >= 0).all(-1)
        new_face = torch.where(keep, keep.cumsum(0) - 1, -1)
        landmarks = {
            name: LandmarkEmbedding(new_face[mark.face_idx], mark.bary)
            for name, mark in self.landmarks.items()
            if keep[mark.face_idx].all()
        }
        return replace(
            self,
            v_template=self.v_template[ids],
            faces=faces[keep],
            shapedirs=self.shapedirs[ids],
            exprdirs=self.exprdirs[ids],
            posedirs=None if self.posedirs is None else self.posedirs.unflatten(-1, (-1, 3))[:, ids].flatten(1),
            j_regressor=self.j_regressor[:, ids],
            lbs_weights=self.lbs_weights[ids],
            eyelid_dirs=None if self.eyelid_dirs is None else self.eyelid_dirs[ids],
            uv_faces=None if self.uv_faces is None else self.uv_faces[keep],
            regions={name: local[part][local[part] >= 0] for name, part in self.regions.items()},
            landmarks=landmarks,
            full=self.full or self,
            vertex_ids=ids if self.vertex_ids is None else self.vertex_ids[ids],
        )

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> HeadModel:
        """Copy on another device, floating-point tensors in another dtype."""

        def move(value: Any) -> Any:
            if isinstance(value, Tensor):
                return value.to(device, dtype if value.is_floating_point() else None)
            if isinstance(value, LandmarkEmbedding | HeadModel):
                return value.to(device, dtype)
            return {k: move(v) for k, v in value.items()} if isinstance(value, Mapping) else value

        return replace(self, **{f.name: move(getattr(self, f.name)) for f in fields(self)})

    def _offsets(self, params: HeadParams) -> tuple[Tensor | None, Tensor]:
        """Static plus dynamic offset on this model's vertices, [V, 3] or [T, V, 3], and what it does to the joints."""
        whole = self.full or self
        given = [
            match_length(x, whole.num_vertices, name, dim=-2, exact=True, padding=whole.appended_vertices)
            for name, x in (("static_offset", params.static_offset), ("dynamic_offset", params.dynamic_offset))
            if x is not None
        ]
        if not given:
            return None, self.v_template.new_zeros(())
        total = given[0] if len(given) == 1 else given[0] + given[1]
        return total if self.vertex_ids is None else total.index_select(-2, self.vertex_ids), whole.j_regressor @ total

    def _joints(self, shape: Tensor, expr: Tensor, lids: Tensor | None) -> Float[Tensor, "T 5 3"]:
        """Unposed joints of the blended mesh, without offsets."""
        s, e = self.num_shape, self.num_expr
        joints = self.joint_template + self.joint_dirs[..., : shape.shape[-1]] @ shape
        joints = joints.flatten() + expr @ self.joint_dirs[..., s : s + expr.shape[-1]].flatten(0, 1).T
        if lids is not None:
            joints = joints + lids @ self.joint_dirs[..., s + e :].flatten(0, 1).T
        return joints.unflatten(-1, (-1, 3))


def _rows(dirs: Float[Tensor, "V 3 K"], count: int) -> Float[Tensor, "count V3"]:
    """The first `count` directions as rows; a view of the coefficient-major storage."""
    return dirs.permute(2, 0, 1)[:count].flatten(1)


def _chain(
    rotations: Float[Tensor, "T J 3 3"], joints: Float[Tensor, "T J 3"], parents: tuple[int, ...], translation: Tensor
) -> tuple[Float[Tensor, "T J 3 4"], Float[Tensor, "T J 3"]]:
    """Walk the kinematic chain: per joint the rigid motion x -> R x + (p - R j), and the posed joints p."""
    turned, posed = [rotations[:, 0]], [joints[:, 0] + translation]
    for j, parent in list(enumerate(parents))[1:]:
        bone = (joints[:, j] - joints[:, parent])[..., None]
        posed.append(torch.baddbmm(posed[parent][..., None], turned[parent], bone)[..., 0])
        turned.append(turned[parent] @ rotations[:, j])
    r, p = torch.stack(turned, 1), torch.stack(posed, 1)
    shift = p - (r @ joints[..., None])[..., 0]
    return torch.cat([r, shift[..., None]], -1), p


def _skin(
    v: Float[Tensor, "T V 3"], weights: Float[Tensor, "V J"], transforms: Float[Tensor, "T J 3 4"]
) -> Float[Tensor, "T V 3"]:
    """Linear blend skinning, v' = sum_j w_j (R_j v + t_j), as three products with the blended matrix's columns."""
    blended = (weights @ transforms.transpose(-1, -2).flatten(2)).unflatten(-1, (4, 3))  # column-major 3x4 per vertex
    x, y, z, t = blended.unbind(-2)
    return x * v[..., 0:1] + y * v[..., 1:2] + z * v[..., 2:3] + t
