"""Make the procedural head's assets from its sculpture: `python -m unseen.head.procedural.build`.

Writes `model.npz` beside this file: the left half of everything that is mirror-symmetric, displacements as 16-bit
integers, so that the head loads in a moment and the package stays small. Run it after any change to the modules here;
the result is the same on every run.
"""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from unseen.head.procedural import rig
from unseen.head.procedural.anatomy import Anatomy
from unseen.head.procedural.charts import texture_coordinates
from unseen.head.procedural.expression import NAMES, SIDED, expression_directions, eyelid_directions
from unseen.head.procedural.fields import Fields
from unseen.head.procedural.identity import shape_directions
from unseen.head.procedural.load import ASSET, DIRECTION_STEP_MM, STEP_MM
from unseen.head.procedural.regions import regions
from unseen.head.procedural.sculpt import sculpted_head


def asset_arrays() -> dict[str, np.ndarray]:
    """Everything the loader needs, quantised; displacements and positions coefficient-major."""
    head = sculpted_head()
    fields = Fields(head)
    half = left_half(head)
    expression = expression_directions(fields)
    keep = [*range(0, 2 * len(SIDED), 2), *range(2 * len(SIDED), len(NAMES))]
    uvs, uv_faces = texture_coordinates(head)
    named = regions(head)
    entries, pose = rig.pose_correctives(head)
    weights = rig.lbs_weights(head).astype(np.float32)
    return {
        "vertices": np.round(head.vertices[half] / STEP_MM).astype(np.int32),
        "mirror": head.mirror.astype(np.int32),
        "faces": head.triangles.astype(np.int32),
        "shape": _quantise(shape_directions(fields)[half]),
        "expression": _quantise(expression[..., keep]),
        "eyelids": _quantise(eyelid_directions(fields))[0],
        "pose_entries": np.array(entries),
        "pose": _quantise(pose),
        "weights": weights / weights.sum(1, keepdims=True),
        "regressor": rig.j_regressor(head).astype(np.float32),
        "uvs": uvs.astype(np.float32),
        "uv_faces": uv_faces.astype(np.int32),
        "region_names": np.array(list(named)),
        "region_sizes": np.array([len(ids) for ids in named.values()]),
        "region_members": np.concatenate(list(named.values())).astype(np.int32),
    }


def left_half(head: Anatomy) -> np.ndarray:
    """The vertices whose mirror image does not come before them: the left half with the midline, sorted."""
    return np.flatnonzero(head.mirror >= np.arange(len(head.mirror)))


def _quantise(directions: np.ndarray) -> np.ndarray:
    """[V, 3, K] millimetres as [K, V, 3] integers."""
    return np.moveaxis(np.round(directions / DIRECTION_STEP_MM), -1, 0).astype(np.int16)


def write_asset(path: Path = ASSET) -> None:
    """Write the asset; the same bytes for the same arrays."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in asset_arrays().items():
            data = io.BytesIO()
            np.lib.format.write_array(data, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(
                zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0)), data.getvalue(), zipfile.ZIP_DEFLATED
            )


if __name__ == "__main__":
    write_asset()
    print(f"{ASSET}: {ASSET.stat().st_size / 1e6:.2f} MB")
