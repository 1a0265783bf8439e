"""The files published beside a FLAME model: region masks, landmark embeddings, the textured template, eyelid shapes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from unseen.core.errors import FormatError
from unseen.head.model import HeadModel, LandmarkEmbedding
from unseen.head.unpickle import load_object_npy, load_pickle

_MASKS = ("FLAME_masks.pkl", "FLAME_masks/FLAME_masks.pkl")
_UV_MASKS = ("uv_masks.npz",)
_LANDMARKS = ("landmark_embedding_with_eyes.npy", "landmark_embedding.npy")
_TEMPLATES = ("head_template_mesh.obj", "head_template.obj", "head_template_color.obj")
_EYELIDS = (("l_eyelid.npy", "r_eyelid.npy"), ("blendshapes/l_eyelid.npy", "blendshapes/r_eyelid.npy"))


def with_extras(model: HeadModel, folders: Iterable[Path]) -> HeadModel:
    """The model with whatever the folders hold of: region masks (FLAME_masks.pkl; uv_masks.npz adds what it lacks), the
    68-point embedding, UVs of the template .obj, eyelid shapes. The eyeballs are regions in any case: the vertices that
    follow an eye joint, where no mask says otherwise.

    Raises:
        FormatError: a file is damaged or was made for another mesh.
    """
    folders = list(folders)
    if template := _find(folders, _TEMPLATES):
        model = _with_uvs(model, template)
    if table := _find(folders, _LANDMARKS):
        model = replace(model, landmarks={**model.landmarks, "ibug68": read_embedding(table, model.num_faces)})
    if (painted := _find(folders, _UV_MASKS)) and model.uvs is not None:
        model = replace(model, regions={**_read_uv_masks(painted, model), **model.regions})
    balls = {f"{side}_eyeball": model.lbs_weights[:, j] > 0.5 for side, j in (("left", 3), ("right", 4))}
    model = replace(model, regions={**model.regions, **{k: ids.nonzero()[:, 0] for k, ids in balls.items()}})
    if masks := _find(folders, _MASKS):
        model = replace(model, regions={**model.regions, **_read_masks(masks, model.num_vertices)})
    for pair in _EYELIDS if model.eyelid_dirs is None else ():
        left, right = (_find(folders, [name]) for name in pair)
        if left and right:
            model = replace(model, eyelid_dirs=torch.stack([_read_shape(p, model) for p in (left, right)], -1))
            break
    return model


def read_embedding(path: Path, num_faces: int) -> LandmarkEmbedding:
    """The 68 iBUG points of FLAME's `landmark_embedding*.npy` (further points, of the eyes, are left out).

    Raises:
        FormatError: the file lacks the table, or refers to faces the mesh does not have.
    """
    table = load_object_npy(path)
    if not isinstance(table, dict) or not {"full_lmk_faces_idx", "full_lmk_bary_coords"} <= set(table):
        raise FormatError(f"{path} holds no table full_lmk_faces_idx / full_lmk_bary_coords of landmarks")
    faces = np.asarray(table["full_lmk_faces_idx"]).reshape(-1)[:68].astype(np.int64)
    bary = np.asarray(table["full_lmk_bary_coords"], np.float32).reshape(-1, 3)[:68]
    if len(faces) < 68 or len(bary) < 68 or faces.min() < 0 or faces.max() >= num_faces:
        raise FormatError(f"{path} does not fit a mesh of {num_faces} faces: expected 68 or more points on its faces")
    return LandmarkEmbedding(torch.from_numpy(faces), torch.from_numpy(bary))


def read_obj(path: Path) -> dict[str, np.ndarray]:
    """Positions, UVs and triangles of an .obj: `v` [V, 3], `vt` [U, 2], `faces` [F, 3], `uv_faces` [F, 3] (zero-based).

    Raises:
        FormatError: not triangles with UVs.
    """
    rows: dict[str, list[list[str]]] = {"v": [], "vt": [], "f": []}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, *values = line.split() or [""]
        if key in rows:
            rows[key].append(values)
    try:
        corners = np.array([[corner.split("/")[:2] for corner in face] for face in rows["f"]], dtype=np.int64) - 1
        v = np.array([r[:3] for r in rows["v"]], np.float64)
        vt = np.array([r[:2] for r in rows["vt"]], np.float64)
        if (
            corners.ndim != 3
            or corners.shape[1:] != (3, 2)
            or corners.min() < 0
            or (corners >= (len(v), len(vt))).any()
        ):
            raise ValueError(f"faces of shape {corners.shape} on {len(v)} vertices and {len(vt)} texture vertices")
    except ValueError as error:
        raise FormatError(f"{path} is not an .obj of triangles with texture coordinates: {error}") from error
    return {"v": v, "vt": vt, "faces": corners[..., 0], "uv_faces": corners[..., 1]}


def _find(folders: list[Path], names: Iterable[str]) -> Path | None:
    return next((folder / name for name in names for folder in folders if (folder / name).is_file()), None)


def _with_uvs(model: HeadModel, path: Path) -> HeadModel:
    """UVs of the template, its faces brought into the model's order and each to the model's first corner."""
    obj, faces = read_obj(path), model.faces.numpy()
    found = {
        tuple(np.roll(f, -k)): np.roll(u, -k)
        for f, u in zip(obj["faces"], obj["uv_faces"], strict=True)
        for k in range(3)
    }
    try:
        uv_faces = np.array([found[tuple(face)] for face in faces])
    except KeyError as error:
        raise FormatError(f"{path} is the template of another mesh: it has no face {error}") from error
    return replace(model, uvs=torch.from_numpy(obj["vt"]).to(model.dtype), uv_faces=torch.from_numpy(uv_faces))


def _read_masks(path: Path, num_vertices: int) -> dict[str, Tensor]:
    masks = load_pickle(path)
    if not isinstance(masks, dict):
        raise FormatError(f"{path} holds a {type(masks).__name__}, expected a dict of vertex indices")
    regions = {str(name): torch.from_numpy(np.asarray(ids).astype(np.int64).reshape(-1)) for name, ids in masks.items()}
    for name, ids in regions.items():
        if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < num_vertices:
            raise FormatError(f"{path}: region {name!r} has vertex {int(ids.max())}, the model has {num_vertices}")
    return regions


def _read_uv_masks(path: Path, model: HeadModel) -> dict[str, Tensor]:
    """Regions painted in texture space, [H, W] boolean, row 0 at v = 1: a vertex belongs where a corner of it lies."""
    assert model.uvs is not None and model.uv_faces is not None
    u, v = model.uvs[model.uv_faces.flatten()].numpy().T
    vertex = model.faces.flatten().numpy()
    regions = {}
    with np.load(path, allow_pickle=False) as masks:
        for name in masks.files:
            mask = masks[name]
            row = np.clip(((1 - v) * mask.shape[0]).astype(int), 0, mask.shape[0] - 1)
            column = np.clip((u * mask.shape[1]).astype(int), 0, mask.shape[1] - 1)
            regions[name] = torch.from_numpy(np.unique(vertex[mask[row, column].astype(bool)]))
    return {name: ids for name, ids in regions.items() if len(ids)}


def _read_shape(path: Path, model: HeadModel) -> Tensor:
    shape = np.asarray(load_object_npy(path), np.float32)
    if shape.size != model.num_vertices * 3:
        raise FormatError(f"{path} has shape {shape.shape}, expected ({model.num_vertices}, 3)")
    return torch.from_numpy(shape.reshape(-1, 3)).to(model.dtype)
