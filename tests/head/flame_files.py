"""Stand-ins for FLAME's files: any mesh with random bases, as the dictionary its pickle holds."""

from pathlib import Path

import numpy as np
import scipy.sparse

from unseen.head.flame_extras import read_obj

PARENTS = np.array([[2**32 - 1, 0, 1, 1, 1], [0, 1, 2, 3, 4]], dtype=np.uint32)


def with_random_bases(vertices: np.ndarray, faces: np.ndarray, columns: int = 400, seed: int = 0) -> dict:
    """Template and faces as given; bases, regressor and weights drawn. Keys and shapes of FLAME's own pickles."""
    rng = np.random.default_rng(seed)
    v = len(vertices)
    weights = rng.random((v, 5)) ** 4
    picks = np.stack([rng.choice(v, 12, replace=False) for _ in range(5)])
    shares = rng.dirichlet(np.ones(12), 5)
    regressor = scipy.sparse.csc_matrix((shares.ravel(), (np.repeat(np.arange(5), 12), picks.ravel())), (5, v))
    return {
        "v_template": vertices.astype(np.float64),
        "f": faces.astype(np.uint32),
        "shapedirs": rng.normal(size=(v, 3, columns)) * 1e-3,
        "posedirs": rng.normal(size=(v, 3, 36)) * 1e-4,
        "J_regressor": regressor,
        "kintree_table": PARENTS,
        "weights": weights / weights.sum(1, keepdims=True),
        "bs_style": "lbs",
        "bs_type": "lrotmin",
    }


def small() -> dict:
    """A random mesh of 30 vertices under FLAME's keys."""
    rng = np.random.default_rng(3)
    faces = np.stack([rng.choice(30, 3, replace=False) for _ in range(50)])
    return with_random_bases(rng.normal(size=(30, 3)) * 0.1, faces)


def real_topology(shared_dir: Path) -> dict:
    """FLAME's template mesh with random bases."""
    obj = read_obj(shared_dir / "data/flame_template/head_template_mesh.obj")
    return with_random_bases(obj["v"], obj["faces"])
