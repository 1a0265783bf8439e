"""FLAME's model files: .pkl, .npz, .safetensors and folders of .npy, into a `HeadModel` and back to .safetensors.

FLAME itself is not part of this package (https://flame.is.tue.mpg.de; for research only, the 2023 Open release
under CC-BY-4.0).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from unseen.core.errors import FormatError, InputError
from unseen.head.flame_extras import with_extras
from unseen.head.model import JOINT_NAMES, PARENTS, HeadModel, LandmarkEmbedding
from unseen.head.unpickle import load_object_npy, load_object_npz, load_pickle
from unseen.io.atomic import atomic_write

NUM_SHAPE = 300
"""Identity directions of FLAME; in its own files the expression directions follow in the same array."""

_MODEL_FILES = (
    "flame2023.pkl",
    "flame2023_Open.pkl",
    "flame2023_no_jaw.pkl",
    "generic_model.pkl",
    "flame.safetensors",
    "flame.npz",
    "v_template.npy",
)
_FOLDERS = ("", "FLAME2023", "FLAME2023Open", "FLAME2020", "flame", "flame_model/assets/flame")
_ALIASES = {"f": "faces", "J_regressor": "j_regressor", "weights": "lbs_weights", "exprdirs": "expressiondirs"}
_REQUIRED = ("v_template", "faces", "shapedirs", "j_regressor", "lbs_weights")
_FORMAT = "unseen-head-1"


def find_flame(path: str | os.PathLike[str] | None = None) -> Path | None:
    """Where FLAME's model file is: `path`, else the environment variable UNSEEN_FLAME_PATH (each a file, or a folder to
    look in), else the user's cache folder `~/.cache/unseen/flame`. None when it is in none of them.

    Raises:
        InputError: `path` or the variable is given and holds no model.
    """
    for given, whence in ((path, ""), (os.environ.get("UNSEEN_FLAME_PATH"), " (from UNSEEN_FLAME_PATH)")):
        if given:
            if (found := _model_file(Path(given).expanduser())) is None:
                names = ", ".join(_MODEL_FILES)
                raise InputError(f"no FLAME model at {given}{whence}: expected a model file or a folder with {names}")
            return found
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    return _model_file(cache / "unseen" / "flame")


def load_head_model(
    path: str | os.PathLike[str], variant: str | None = None, extras: str | os.PathLike[str] | None = None
) -> HeadModel:
    """Load FLAME 2020, 2023 or 2023 Open, or a model saved by `save_head_model`, in float32.

    Args:
        path: .pkl, .npz, .safetensors, a folder of .npy arrays, or a folder holding one of these.
        variant: parameter space; by default what the file says, else what its name says (see `guess_variant`).
        extras: a folder of the files beside FLAME (masks, landmark embedding, template with UVs, eyelid shapes); the
            model's own folder is searched too.

    Raises:
        InputError: no such file, or the variant cannot be told from the name.
        FormatError: the file is damaged, unsafe, or not a head model; the message says what is missing.
    """
    source = _model_file(Path(path).expanduser())
    if source is None:
        raise InputError(f"no head model at {path}: expected one of {', '.join(_MODEL_FILES)}, or a folder with one")
    arrays, metadata = _read_arrays(source)
    arrays = {_ALIASES.get(name, name): value for name, value in arrays.items()}
    if missing := [name for name in _REQUIRED if name not in arrays]:
        raise FormatError(f"{source} is not a head model: it lacks {', '.join(missing)}; it has {sorted(arrays)[:12]}")
    variant = variant or metadata.get("variant") or guess_variant(source)
    try:
        model = _assemble(arrays, variant, int(metadata.get("appended_vertices", 0)))
    except (ValueError, TypeError, RuntimeError, IndexError) as error:
        raise FormatError(f"{source} is not a head model: {error}") from error
    if metadata.get("format") == _FORMAT and extras is None:
        return model
    return with_extras(model, [Path(folder).expanduser() for folder in (extras, source.parent) if folder is not None])


def save_head_model(model: HeadModel, path: str | os.PathLike[str]) -> None:
    """Write every tensor of the model, and its variant, to a .safetensors file (atomically); `load_head_model` returns
    the same, bit for bit if it is in float32. The main tensors have the names and shapes OxiGAF uses.

    Raises:
        InputError: the model was cut by `subset`.
        ResourceError: the file cannot be written.
    """
    if model.full is not None:
        raise InputError("a head model cut by subset() cannot be saved: save the full one")
    v = model.num_vertices
    tensors: dict[str, Tensor | None] = {
        "v_template": model.v_template,
        "faces": model.faces.int(),
        "shapedirs": model.shapedirs,
        "expressiondirs": model.exprdirs,
        "posedirs": None if model.posedirs is None else model.posedirs.T.reshape(v, 3, 36),
        "j_regressor": model.j_regressor,
        "kintree_table": torch.tensor([model.parents, range(len(JOINT_NAMES))], dtype=torch.int32),
        "lbs_weights": model.lbs_weights,
        "eyelid_dirs": model.eyelid_dirs,
        "uvs": model.uvs,
        "uv_faces": None if model.uv_faces is None else model.uv_faces.int(),
    }
    for name, ids in model.regions.items():
        tensors[f"region/{name}"] = ids.int()
    for name, marks in model.landmarks.items():
        tensors[f"landmark/{name}/face_idx"], tensors[f"landmark/{name}/bary"] = marks.face_idx.int(), marks.bary
    metadata = {"format": _FORMAT, "variant": model.variant, "appended_vertices": str(model.appended_vertices)}
    present = {name: value.detach().cpu().contiguous() for name, value in tensors.items() if value is not None}
    with atomic_write(path) as temporary:
        save_file(present, temporary, metadata=metadata)


def guess_variant(path: Path) -> str:
    """The parameter space by the names FLAME's files are published under, the folder's name included.

    Raises:
        InputError: the names do not tell.
    """
    names = (path.stem + " " + path.parent.name).lower().replace("_", "").replace("-", "").replace(" ", "")
    if "2023" in names:
        if "open" in names:
            return "flame2023-open"
        return "flame2023-nojaw" if "nojaw" in names else "flame2023"
    for prefix, suffix in (("female", "-female"), ("male", "-male"), ("generic", "")):
        if f"{prefix}model" in names:
            return f"flame2020{suffix}"
    if "2020" in names:
        return "flame2020"
    raise InputError(
        f"cannot tell from its name which FLAME {path} is, and parameters do not carry over between versions: "
        'say which, for example variant="flame2023" or "flame2020"'
    )


def _model_file(path: Path) -> Path | None:
    """The model file that a path stands for; for a folder of .npy arrays, its v_template.npy."""
    if path.is_file():
        return path
    candidates = (path / folder / name for folder in _FOLDERS for name in _MODEL_FILES)
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _read_arrays(source: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """All named arrays of a model file, and its metadata."""
    if source.suffix == ".npy":
        return {file.stem: load_object_npy(file) for file in sorted(source.parent.glob("*.npy"))}, {}
    if source.suffix == ".npz":
        return load_object_npz(source), {}
    if source.suffix == ".safetensors":
        try:
            with safe_open(source, framework="pt") as file:
                return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118
        except SafetensorError as error:
            raise FormatError(f"{source} is not a .safetensors file: {error}") from error
    if source.suffix == ".pkl":
        content = load_pickle(source)
        if not isinstance(content, dict):
            raise FormatError(f"{source} holds a {type(content).__name__}, expected a dict of arrays")
        return {str(name): value for name, value in content.items()}, {}
    raise InputError(f"{source} has suffix {source.suffix!r}: expected .pkl, .npz, .safetensors or a folder of .npy")


def _assemble(arrays: Mapping[str, Any], variant: str, appended: int) -> HeadModel:
    """The model from arrays under their canonical names."""

    def real(name: str) -> Tensor | None:
        return torch.as_tensor(np.asarray(arrays[name], np.float32)) if name in arrays else None

    def index(name: str) -> Tensor | None:
        return torch.as_tensor(np.asarray(arrays[name]).astype(np.int64)) if name in arrays else None

    template, faces, shapedirs = real("v_template"), index("faces"), real("shapedirs")
    regressor, weights = real("j_regressor"), real("lbs_weights")
    assert template is not None and faces is not None and shapedirs is not None
    assert regressor is not None and weights is not None
    if faces.numel() and not 0 <= int(faces.min()) <= int(faces.max()) < len(template):
        raise ValueError(f"faces refer to vertex {int(faces.max())} of {len(template)}")
    exprdirs = real("expressiondirs")
    if exprdirs is None:
        shapedirs, exprdirs = shapedirs[..., :NUM_SHAPE], shapedirs[..., NUM_SHAPE:]
    posedirs = real("posedirs")
    if posedirs is not None and posedirs.ndim == 3:
        posedirs = posedirs.flatten(0, 1).T.contiguous()
    _check_parents(arrays.get("kintree_table"))
    return HeadModel(
        variant=variant,
        v_template=template,
        faces=faces,
        shapedirs=shapedirs,
        exprdirs=exprdirs,
        posedirs=posedirs,
        j_regressor=regressor,
        lbs_weights=weights,
        eyelid_dirs=real("eyelid_dirs"),
        uvs=real("uvs"),
        uv_faces=index("uv_faces"),
        regions=dict(_regions(arrays)),
        landmarks=dict(_landmarks(arrays)),
        appended_vertices=appended,
    )


def _regions(arrays: Mapping[str, Any]) -> Iterator[tuple[str, Tensor]]:
    for name, value in arrays.items():
        if name.startswith("region/"):
            yield name.removeprefix("region/"), torch.as_tensor(value).long()


def _landmarks(arrays: Mapping[str, Any]) -> Iterator[tuple[str, LandmarkEmbedding]]:
    for key in arrays:
        if key.startswith("landmark/") and key.endswith("/face_idx"):
            name = key.removeprefix("landmark/").removesuffix("/face_idx")
            bary = torch.as_tensor(arrays[f"landmark/{name}/bary"])
            yield name, LandmarkEmbedding(torch.as_tensor(arrays[key]).long(), bary)


def _check_parents(kintree: Any) -> None:
    """Row 0 of FLAME's table: the parent of each joint, with 2^32 - 1 for the root's."""
    if kintree is None:
        return
    parents = np.asarray(kintree).astype(np.int64).reshape(-1, len(PARENTS))[0]
    parents = tuple(int(p) for p in np.where(parents == 2**32 - 1, -1, parents))
    if parents[1:] != PARENTS[1:]:
        raise ValueError(f"joints have parents {parents}, expected {PARENTS} ({', '.join(JOINT_NAMES)})")
