"""A scene: textured triangles, daylight and lamps, lit once for all cameras."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int

from unseen.render.mesh.rays import RayMesh, ray_mesh
from unseen.synthetic.lighting import ShadowMap, shadow_map
from unseen.synthetic.scenes.baking import Baked, Lamp, Window, bake
from unseen.synthetic.scenes.materials import Material, Palette, pack
from unseen.synthetic.scenes.shapes import Shape
from unseen.synthetic.scenes.sky import Sky

SHADOW_RESOLUTION = 3072


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
        exposure: factor per channel that brings the scene's mean to mid-grey (exposure and white balance), [3].
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


@dataclass
class SceneBuilder:
    """Collects shapes and lights, then lights them.

    Attributes:
        name: of the scene.
        seed: of everything random.
        step_m: longest edge of large surfaces.
        texel_m: finest texture detail.
    """

    name: str
    seed: int
    step_m: float
    texel_m: float
    shapes: list[tuple[Shape, int, bool]] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    lamps: list[Lamp] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng([self.seed, 0x5CE7E])

    def draw_seed(self) -> int:
        """A new seed for a texture or a shape."""
        return int(self.rng.integers(2**30))

    def material(self, material: Material) -> int:
        """Register a material; returns its number."""
        self.materials.append(material)
        return len(self.materials) - 1

    def add(self, shape: Shape, material: int | Material, *, subject: bool = False) -> None:
        """Put a shape of one material into the scene."""
        number = material if isinstance(material, int) else self.material(material)
        self.shapes.append((shape, number, subject))

    def finish(self, sky: Sky, *, open_air: bool) -> Scene:
        """Light the scene. `open_air`: the sky lights every surface; otherwise it enters through the windows."""
        parts = [shape for shape, _, _ in self.shapes]
        counts = [len(part.faces) for part in parts]
        offsets = np.cumsum([0] + [len(part.vertices) for part in parts[:-1]])
        vertices, normals, uvs = (
            np.ascontiguousarray(np.concatenate([getattr(p, k) for p in parts]), np.float64)
            for k in ("vertices", "normals", "uvs")
        )
        faces = np.concatenate([p.faces + o for p, o in zip(parts, offsets, strict=True)]).astype(np.int32)
        face_materials = np.repeat([m for _, m, _ in self.shapes], counts).astype(np.int32)
        palette, rays = pack(self.materials), ray_mesh(vertices, faces)
        lights = (sky, open_air, self.windows, self.lamps)
        baked: Baked = bake((vertices, normals, uvs, faces, face_materials), palette, rays, lights, self.seed)
        return Scene(
            name=self.name,
            vertices=vertices,
            normals=normals,
            uvs=uvs,
            faces=faces,
            face_materials=face_materials,
            subject=np.repeat([s for _, _, s in self.shapes], counts),
            light=baked.light,
            palette=palette,
            sky=sky,
            rays=rays,
            shadow=shadow_map(sky.sun, vertices, faces, SHADOW_RESOLUTION),
            exposure=baked.exposure,
        )
