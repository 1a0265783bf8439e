"""Triangle meshes on the CPU: face ids, barycentrics, depth, normals, silhouettes and occluding contours.

Coordinates are those of `unseen.core.Camera`: OpenCV axes, pixel centres at +0.5. Faces wind counter-clockwise seen
from outside. Every output is written by exactly one loop iteration: results do not depend on the thread count.
"""

from unseen.render.mesh.contour import Contour, contour
from unseen.render.mesh.geometry import MeshEdges, face_normals, mesh_edges, vertex_normals
from unseen.render.mesh.interpolate import barycentrics, interpolate, normal_map
from unseen.render.mesh.rasterize import MeshBuffers, rasterize_mesh
from unseen.render.mesh.silhouette import mesh_silhouette, silhouette
from unseen.render.mesh.visibility import visible_faces, visible_points

__all__ = [
    "Contour",
    "MeshBuffers",
    "MeshEdges",
    "barycentrics",
    "contour",
    "face_normals",
    "interpolate",
    "mesh_edges",
    "mesh_silhouette",
    "normal_map",
    "rasterize_mesh",
    "silhouette",
    "vertex_normals",
    "visible_faces",
    "visible_points",
]
