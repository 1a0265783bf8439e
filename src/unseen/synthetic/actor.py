"""A subject made ready to be filmed: texture, hair, clothes and occlusion built once, then posed frame by frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
import torch
from jaxtyping import Float

from unseen.core.camera import Camera
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.procedural import procedural_head
from unseen.render.mesh import vertex_normals
from unseen.render.mesh.rasterize import draw, homogeneous_vertices
from unseen.synthetic.features import FaceFeatures
from unseen.synthetic.garment import Garment, posed, tailor
from unseen.synthetic.lighting import Lighting, ShadowMap, ambient_occlusion, shadow_map
from unseen.synthetic.shading import CLOTH, EYE, HAIR, SKIN, TEETH, Geometry, Materials, shade
from unseen.synthetic.skin import Canvas, paint
from unseen.synthetic.strands import ribbon_faces, ribbons
from unseen.synthetic.subject import SyntheticSubject
from unseen.synthetic.view import View, resolve
from unseen.synthetic.wig import Wig, make_wigs, posed_points

TEXTURE_SIZE = 1024
OCCLUSION_DIRECTIONS = 40
IRIS_ANGLE_RAD = float(np.radians(29.0))
OCCLUSION_JAW_RAD = 0.1  # the mouth is a little open while occlusion is measured, so that teeth get some light


@dataclass(frozen=True)
class Actor:
    """Everything about a subject that does not change from frame to frame.

    Attributes:
        subject, model: who, on which head.
        rest: vertices and normals of the unposed head, two [V, 3].
        wigs: hair.
        garment: clothes.
        materials: appearance.
        geometry: static part of what is drawn; vertices and normals are those of the rest pose.
        centre: middle of the cranium, unposed, [3].
    """

    subject: SyntheticSubject
    model: HeadModel
    rest: tuple[Float[np.ndarray, "V 3"], Float[np.ndarray, "V 3"]]
    wigs: list[Wig]
    garment: Garment
    materials: Materials
    geometry: Geometry
    centre: Float[np.ndarray, "3"]

    @classmethod
    def build(
        cls,
        subject: SyntheticSubject,
        model: HeadModel | None = None,
        *,
        texture_size: int = TEXTURE_SIZE,
        occlusion_directions: int = OCCLUSION_DIRECTIONS,
    ) -> Actor:
        """Prepare a subject; takes seconds.

        Args:
            subject: who.
            model: the head they wear, the procedural one when None.
            texture_size: side of the skin texture in texels.
            occlusion_directions: from how many the ambient occlusion is measured.

        Raises:
            InputError: the model lacks landmarks or texture coordinates.
        """
        model = procedural_head() if model is None else model
        canvas = _canvas(model, texture_size)
        features = canvas.features
        still = replace(HeadParams.zeros(model), shape=subject.shape)
        rest = _head_arrays(model, still)[0]
        wigs = make_wigs(subject, model, features, *rest)
        joints = model.joint_template.double().numpy()
        garment = tailor(
            subject.garment, model.v_template.double().numpy(), *rest, model.faces.numpy(), joints, subject.seed
        )
        centre = features.centre + (rest[0] - model.v_template.double().numpy()).mean(0)
        materials = _materials(subject, canvas)
        bare = cls(subject, model, rest, wigs, garment, materials, _static(model, wigs, garment), centre)
        open_mouth = replace(still, jaw_pose=torch.tensor([[OCCLUSION_JAW_RAD, 0.0, 0.0]]))
        return cls(
            subject,
            model,
            rest,
            wigs,
            garment,
            materials,
            bare._with_occlusion(open_mouth, occlusion_directions),
            centre,
        )

    def pose(self, params: HeadParams) -> list[PosedActor]:
        """The actor in each frame of `params`."""
        out = self.model.forward(params)
        normals = vertex_normals(out.vertices, self.model.faces).double().numpy()
        vertices, transforms = out.vertices.double().numpy(), out.joint_transforms.double().numpy()
        return [PosedActor(self, v, n, m) for v, n, m in zip(vertices, normals, transforms, strict=True)]

    def _with_occlusion(self, params: HeadParams, directions: int) -> Geometry:
        frame = self.pose(params)[0]
        vertices, normals = frame.vertices_toward(self.centre)
        hair = self.geometry.coords.shape[0] - frame.hair_size()
        outward = vertices[hair:] - self.centre
        normals[hair:] = outward / np.linalg.norm(outward, axis=1, keepdims=True)
        occlusion = ambient_occlusion(vertices, normals, self.geometry.faces, directions=directions)
        occlusion[:hair] = _smoothed(occlusion[:hair], self.geometry.faces[self.geometry.kinds != HAIR])
        return replace(self.geometry, occlusion=occlusion)


@dataclass(frozen=True)
class PosedActor:
    """An actor in one frame.

    Attributes:
        actor: who.
        vertices, normals: of the head in the world, [V, 3].
        transforms: motion of the five joints, [5, 3, 4].
    """

    actor: Actor
    vertices: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    transforms: Float[np.ndarray, "5 3 4"]

    def hair_size(self) -> int:
        """Number of ribbon vertices."""
        return 2 * sum(w.strands.points.shape[0] * w.strands.points.shape[1] for w in self.actor.wigs)

    def vertices_toward(self, eye: Float[np.ndarray, "3"]) -> tuple[Float[np.ndarray, "N 3"], Float[np.ndarray, "N 3"]]:
        """Positions of everything that is drawn, hair turned toward `eye`, and normals (tangents of hair)."""
        cloth, cloth_normals = self._cloth
        parts, normals = [self.vertices, cloth], [self.normals, cloth_normals]
        for points, wig in zip(self._strand_points, self.actor.wigs, strict=True):
            ribbon, tangent = ribbons(points, wig.strands.width_m, np.asarray(eye, float))
            parts.append(ribbon)
            normals.append(tangent)
        return np.concatenate(parts), np.concatenate(normals)

    # the same for every camera and light
    @cached_property
    def _cloth(self) -> tuple[np.ndarray, np.ndarray]:
        garment, faces = self.actor.garment, self.actor.model.faces.numpy()
        cloth = posed(garment, self.vertices, self.normals, faces, self.transforms[0])
        return cloth, _normals(cloth, garment.faces)

    @cached_property
    def _strand_points(self) -> list[np.ndarray]:
        faces = self.actor.model.faces.numpy()
        mine, head, root = (self.vertices, self.normals), self.transforms[1], self.transforms[0]
        return [posed_points(w, self.actor.rest, mine, faces, head, root) for w in self.actor.wigs]

    @cached_property
    def _shadows(self) -> dict[tuple[float, ...], ShadowMap]:
        return {}

    def _shadow(self, direction: Float[np.ndarray, "3"], resolution: int) -> ShadowMap:
        key = (*direction.tolist(), resolution)
        if key not in self._shadows:
            toward = self.vertices_toward(self.actor.centre + 20.0 * direction)[0]
            self._shadows[key] = shadow_map(direction, toward, self.actor.geometry.faces, resolution)
        return self._shadows[key]

    def film(self, camera: Camera, lighting: Lighting, supersampling: int = 2, shadow_resolution: int = 512) -> View:
        """Render one view."""
        static = self.actor.geometry
        shadow = self._shadow(lighting.key_direction, shadow_resolution)
        eye = camera.center.double().numpy()
        vertices, normals = self.vertices_toward(eye)
        geometry = replace(static, vertices=vertices, normals=normals)
        fine = camera.resized(camera.width * supersampling, camera.height * supersampling)
        q = homogeneous_vertices(torch.from_numpy(vertices), fine)[0]
        buffers = draw(q, static.faces, fine.height, fine.width, 0.01, False)
        head = self.transforms[1]
        centre = head[:, :3] @ self.actor.centre + head[:, 3]
        colors = shade(geometry, self.actor.materials, lighting, shadow, buffers, eye, centre)
        hair = len(static.coords) - self.hair_size()
        outward = vertices[hair:] - centre
        normals[hair:] = outward / np.linalg.norm(outward, axis=1, keepdims=True)
        local = normals @ camera.world_to_camera[:3, :3].double().numpy().T
        return resolve(colors, local, static.faces, buffers, supersampling)


def _head_arrays(model: HeadModel, params: HeadParams) -> list[tuple[np.ndarray, np.ndarray]]:
    vertices = model.vertices(params)
    normals = vertex_normals(vertices, model.faces)
    return [(v.double().numpy(), n.double().numpy()) for v, n in zip(vertices, normals, strict=True)]


def _normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    return vertex_normals(torch.from_numpy(vertices), torch.from_numpy(faces.astype(np.int64))).numpy()


def _smoothed(values: np.ndarray, faces: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Per-vertex values averaged over the adjacent faces, a few times: takes the grain off single hairs' occlusion."""
    share = np.bincount(faces.ravel(), minlength=len(values)).clip(1)
    for _ in range(rounds):
        mean = np.repeat(values[faces].mean(1), 3)
        around = np.bincount(faces.ravel(), mean, len(values)) / share
        values = np.where(around > 0, around, values)
    return values


@lru_cache(maxsize=2)
def _canvas(model: HeadModel, resolution: int) -> Canvas:
    return Canvas.of(model, FaceFeatures.of(model), resolution)


def _materials(subject: SyntheticSubject, canvas: Canvas) -> Materials:
    root, style = np.array(subject.hair_color[0]), subject.hair
    texture = paint(subject.skin, canvas, root, style.cover, 0.75 * subject.brow_density, style.recede_m)
    lash = ((0.01, 0.008, 0.007),) * 2
    brow = 0.8 * np.array(subject.brow_color) + 0.16 * subject.skin.base
    hair = np.array([subject.hair_color, brow, lash, brow])
    g = subject.garment
    cloth = np.array([[g.pattern, *g.colors[0], *g.colors[1], g.size_m]])
    return Materials(
        texture, np.array(subject.iris), IRIS_ANGLE_RAD, subject.pupil_share, hair, cloth, subject.seed % 2**31
    )


def _static(model: HeadModel, wigs: list[Wig], garment: Garment) -> Geometry:
    """Faces, kinds and coordinates of everything; positions are filled in per frame."""
    head_faces, count = model.faces.numpy(), model.num_vertices
    kinds = np.full(len(head_faces), SKIN, np.uint8)
    coords = np.zeros((count, 3))
    template = model.v_template.double().numpy()
    for name, joint in (("left_eyeball", 3), ("right_eyeball", 4)):
        ids = model.regions[name].numpy()
        kinds[np.isin(head_faces, ids).all(1)] = EYE
        ray = template[ids] - model.joint_template[joint].double().numpy()
        coords[ids] = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    kinds[np.isin(head_faces, model.regions["teeth"].numpy()).all(1)] = TEETH
    for name, edge in (("upper_teeth", np.min), ("lower_teeth", np.max)):
        ids = model.regions[name].numpy()
        coords[ids, 0] = np.abs(template[ids, 1] - edge(template[ids, 1]))
        coords[ids, 1] = template[ids, 2].max() - template[ids, 2]
    shown = np.where(garment.covered[:, None], 0, head_faces)  # degenerate faces are not drawn
    faces, groups = [shown, garment.faces + count], [np.zeros(len(shown)), np.zeros(len(garment.faces))]
    kind = [kinds, np.full(len(garment.faces), CLOTH)]
    coord, base, serial = [coords, garment.rest], count + len(garment.rest), 0
    for wig in wigs:
        strands, points = wig.strands.points.shape[:2]
        ribbon = ribbon_faces(strands, points)
        faces.append(ribbon + base)
        kind.append(np.full(len(ribbon), HAIR))
        groups.append(np.full(len(ribbon), wig.group))
        coord.append(_strand_coords(strands, points, serial))
        base, serial = base + 2 * strands * points, serial + strands
    assert model.uvs is not None and model.uv_faces is not None
    uvs = model.uvs.double().numpy()[model.uv_faces.numpy()] * [1.0, -1.0] + [0.0, 1.0]
    total = sum(len(c) for c in coord)
    return Geometry(
        vertices=np.zeros((total, 3)),
        normals=np.zeros((total, 3)),
        occlusion=np.ones(total),
        coords=np.concatenate(coord),
        faces=np.concatenate(faces).astype(np.int32),
        kinds=np.concatenate(kind).astype(np.uint8),
        groups=np.concatenate(groups).astype(np.uint8),
        uvs=uvs,
    )


def _strand_coords(strands: int, points: int, serial: int) -> np.ndarray:
    across = np.tile([-1.0, 1.0], strands * points)
    along = np.tile(np.repeat(np.linspace(0, 1, points), 2), strands)
    return np.stack([across, along, np.repeat(serial + np.arange(strands), 2 * points).astype(float)], 1)
