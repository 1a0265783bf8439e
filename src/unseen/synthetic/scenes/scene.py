"""A scene: textured triangles, daylight and lamps, lit once for all cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from unseen.core.errors import InputError
from unseen.render.mesh.rays import RayMesh, ray_mesh
from unseen.synthetic.color import Color
from unseen.synthetic.lighting import ShadowMap, shadow_map
from unseen.synthetic.scenes.baking import Baked, Lamp, Window, bake
from unseen.synthetic.scenes.materials import Material, Palette, pack
from unseen.synthetic.scenes.shapes import Shape
from unseen.synthetic.scenes.sky import Sky

SHADOW_RESOLUTION = 4096


@dataclass(frozen=True)
class Scene:
    """Everything the cameras see, in metres, +Y up.

    Attributes:
        name: what kind of scene.
        vertices: [V, 3]; normals: unit, [V, 3]; uvs: surface coordinates in metres, [V, 2].
        faces: [F, 3] int32; face_materials: index into the palette, [F]; subject: whether the face belongs to what the
            scene is about, [F].
        light: linear RGB at the vertices, from everything but the sun, [V, 3].
        palette: materials.
        sky: daylight.
        rays: the mesh for mirrored rays.
        shadow: depth seen from the sun.
        exposure: factor per channel on what the camera sees: exposure and white balance, [3].
    """

    name: str
    vertices: Float[np.ndarray, "V 3"]
    normals: Float[np.ndarray, "V 3"]
    uvs: Float[np.ndarray, "V 2"]
    faces: Int[np.ndarray, "F 3"]
    face_materials: Int[np.ndarray, "F"]
    subject: Bool[np.ndarray, "F"]
    light: Float[np.ndarray, "V 3"]
    palette: Palette
    sky: Sky
    rays: RayMesh
    shadow: ShadowMap
    exposure: Float[np.ndarray, "3"]


class Placed(NamedTuple):
    """A shape in the scene: its material, whether it is what the scene is about, whether it is far background."""

    shape: Shape
    material: int
    subject: bool
    far: bool


@dataclass
class SceneBuilder:
    """Collects shapes and lights, then lights them.

    Attributes:
        name: of the scene.
        seed: of everything random.
        step_m: longest edge of large surfaces at detail 1.
        texel_m: finest texture detail at detail 1.
        detail: finer (above 1) or coarser and faster (below 1) textures, surfaces and light.
    """

    name: str
    seed: int
    step_m: float
    texel_m: float
    detail: float = 1.0
    shapes: list[Placed] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not 0.05 <= self.detail <= 8:
            raise InputError(f"detail {self.detail} of a scene: expected 0.05 to 8")
        self.step_m, self.texel_m = self.step_m / self.detail, self.texel_m / self.detail
        self.rng = np.random.default_rng([self.seed, 0x5CE7E])

    def draw_seed(self) -> int:
        """A new seed for a texture or a shape."""
        return int(self.rng.integers(2**30))

    def pick(self, colors: Sequence[Color]) -> Color:
        """One of some colours."""
        return colors[int(self.rng.integers(len(colors)))]

    def material(self, material: Material) -> int:
        """Register a material; returns its number."""
        self.materials.append(material)
        return len(self.materials) - 1

    def add(self, shape: Shape, material: int | Material, *, subject: bool = False, far: bool = False) -> None:
        """Put a shape of one material into the scene; `far` background has no part in exposure and fine shadows."""
        number = material if isinstance(material, int) else self.material(material)
        self.shapes.append(Placed(shape, number, subject, far))

    def finish(self, sky: Sky, *, open_air: bool) -> Scene:
        """Light the scene. `open_air`: the sky lights every surface; otherwise it enters through the windows."""
        parts = [placed.shape for placed in self.shapes]
        counts = [len(part.faces) for part in parts]
        offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
        vertices, normals, uvs = (
            np.ascontiguousarray(np.concatenate([getattr(p, k) for p in parts]), np.float64)
            for k in ("vertices", "normals", "uvs")
        )
        faces = np.concatenate([p.faces + o for p, o in zip(parts, offsets, strict=True)]).astype(np.int32)
        face_materials = np.repeat([placed.material for placed in self.shapes], counts).astype(np.int32)
        far = np.repeat([placed.far for placed in self.shapes], counts)
        resolution = round(SHADOW_RESOLUTION * min(1.0, self.detail))
        palette, rays = pack(self.materials), ray_mesh(vertices, faces)
        lights = (sky, open_air, self.windows, self.lamps)
        baked: Baked = bake(
            (vertices, normals, uvs, faces, face_materials), palette, rays, lights, far, self.seed, detail=self.detail
        )
        return Scene(
            name=self.name,
            vertices=vertices,
            normals=normals,
            uvs=uvs,
            faces=faces,
            face_materials=face_materials,
            subject=np.repeat([placed.subject for placed in self.shapes], counts),
            light=baked.light,
            palette=palette,
            sky=sky,
            rays=rays,
            shadow=shadow_map(sky.sun, vertices, faces, resolution, vertices[np.unique(faces[~far])]),
            exposure=baked.exposure,
        )
