"""Landmark tables against MediaPipe's own and real faces; carrying landmarks to meshes where the answer is known."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from flame_files import real_topology

from unseen.core.errors import InputError
from unseen.head import HeadModel, LandmarkEmbedding
from unseen.head.flame_extras import read_embedding
from unseen.head.landmarks import (
    IBUG68_TO_MEDIAPIPE,
    MEDIAPIPE_REGIONS,
    closest_on_mesh,
    transfer_landmarks,
    with_mediapipe_landmarks,
)
from unseen.head.procedural import procedural_head

LOOPS = {
    "oval": "FACEMESH_FACE_OVAL",
    "left_eye": "FACEMESH_LEFT_EYE",
    "right_eye": "FACEMESH_RIGHT_EYE",
}
SETS = {
    "lips": "FACEMESH_LIPS",
    "left_eyebrow": "FACEMESH_LEFT_EYEBROW",
    "right_eyebrow": "FACEMESH_RIGHT_EYEBROW",
    "nose": "FACEMESH_NOSE",
}


def test_tables_agree_with_mediapipes_own(shared_dir):
    own = np.load(shared_dir / "data/mediapipe_face_regions.npz")
    for name, key in {**LOOPS, **SETS}.items():
        assert sorted(MEDIAPIPE_REGIONS[name]) == sorted(set(own[key].ravel().tolist())), name
    loops = {name: own[key] for name, key in LOOPS.items()}
    loops |= {"lips_outer": own["FACEMESH_LIPS"], "lips_inner": own["FACEMESH_LIPS"]}
    for name, edges in loops.items():
        ring = MEDIAPIPE_REGIONS[name]
        known = {frozenset(edge) for edge in edges.tolist()}
        assert all(frozenset(pair) in known for pair in zip(ring, ring[1:] + ring[:1], strict=True)), name
    irises = {*own["FACEMESH_LEFT_IRIS"].ravel().tolist()}, {*own["FACEMESH_IRISES"].ravel().tolist()}
    assert {*MEDIAPIPE_REGIONS["left_iris"][1:]} == irises[0]
    assert {*MEDIAPIPE_REGIONS["left_iris"][1:], *MEDIAPIPE_REGIONS["right_iris"][1:]} == irises[1]


def frontal(shared_dir) -> np.ndarray:
    """MediaPipe's points on a real frontal face, x right in the image, y up, z toward the camera."""
    points = np.load(shared_dir / "data/real/three_views_front.landmarks.npz")["landmarks_px"][0]
    return points * [1, -1, -1]


def test_68_points_lie_where_their_names_say(shared_dir):
    face = frontal(shared_dir)[list(IBUG68_TO_MEDIAPIPE)]
    assert len(set(IBUG68_TO_MEDIAPIPE)) == 68
    x, y = face[:, 0], face[:, 1]
    for start, stop in ((2, 15), (17, 27), (31, 36), (48, 55), (60, 65)):
        assert (np.diff(x[start:stop]) > 0).all(), "from the right of the subject, left in the image"
    assert (np.diff(y[:9]) < 0).all() and (np.diff(y[8:17]) > 0).all() and (np.diff(y[27:31]) < 0).all()
    assert (y[[37, 38, 43, 44]] > y[[41, 40, 47, 46]]).all() and (y[50:53] > y[[58, 57, 56]]).all()
    assert (y[61:64] >= y[[67, 66, 65]]).all() and x[36] < x[39] < x[42] < x[45]


def sphere(rows: int = 24, columns: int = 48) -> tuple[torch.Tensor, torch.Tensor]:
    """Unit sphere, counter-clockwise faces; poles are rings of tiny triangles."""
    v = torch.linspace(0.02, torch.pi - 0.02, rows)
    u = torch.arange(columns) * (2 * torch.pi / columns)
    v, u = torch.meshgrid(v, u, indexing="ij")
    points = torch.stack([v.sin() * u.sin(), v.cos(), v.sin() * u.cos()], -1).reshape(-1, 3)
    i, j = torch.meshgrid(torch.arange(rows - 1), torch.arange(columns), indexing="ij")
    a, b = i * columns + j, i * columns + (j + 1) % columns
    c, d = a + columns, b + columns
    faces = torch.stack([torch.stack([a, c, d], -1), torch.stack([a, d, b], -1)], -2)
    return points.double(), faces.reshape(-1, 3)


def random_embedding(faces: torch.Tensor, count: int, seed: int) -> LandmarkEmbedding:
    g = torch.Generator().manual_seed(seed)
    bary = torch.rand(count, 3, generator=g, dtype=torch.float64)
    return LandmarkEmbedding(torch.randint(len(faces), (count,), generator=g), bary / bary.sum(1, keepdim=True))


def test_closest_point_is_no_farther_than_any_sample():
    vertices, faces = sphere(7, 9)
    g = torch.Generator().manual_seed(0)
    points = torch.randn(40, 3, generator=g, dtype=torch.float64)
    found = closest_on_mesh(points, vertices, faces, candidates=len(faces))
    assert (found.bary >= 0).all() and torch.allclose(found.bary.sum(1), torch.ones(40, dtype=torch.float64))
    distance = (found.points(vertices, faces) - points).norm(dim=1)
    grid = torch.tensor([[i, j, 20 - i - j] for i in range(21) for j in range(21 - i)], dtype=torch.float64) / 20
    samples = torch.einsum("nk,fkc->fnc", grid, vertices[faces]).reshape(-1, 3)
    nearest = torch.cdist(points, samples).min(1).values
    assert (distance <= nearest + 1e-12).all() and (nearest - distance < 0.02).all()


def test_landmarks_return_to_their_places_on_a_stretched_copy():
    vertices, faces = sphere()
    marks, anchors = random_embedding(faces, 100, 1), random_embedding(faces, 20, 2)
    g = torch.Generator().manual_seed(3)
    matrix = torch.eye(3, dtype=torch.float64) + 0.3 * torch.randn(3, 3, generator=g, dtype=torch.float64)
    target = vertices @ matrix.T * 0.1 + torch.tensor([1.0, 2, 3])
    points, a, b = marks.points(vertices, faces), anchors.points(vertices, faces), anchors.points(target, faces)
    found = transfer_landmarks(points, a, b, target, faces)
    torch.testing.assert_close(found.points(target, faces), marks.points(target, faces), atol=1e-6, rtol=0)


def test_only_allowed_faces_are_used():
    vertices, faces = sphere()
    half = (vertices[faces][..., 2].mean(1) > 0).nonzero()[:, 0]
    points = torch.tensor([[0.0, 0, -2], [0.0, 0, 2]], dtype=torch.float64)
    found = closest_on_mesh(points, vertices, faces, half)
    assert torch.isin(found.face_idx, half).all()
    assert found.points(vertices, faces)[0, 2] > -0.1


def slit_face(scale: float, shuffle: int) -> HeadModel:
    """A curved face with a closed mouth (a slit whose lips coincide; the lower follows the jaw) and two eyeballs."""
    n = 41
    y, x = torch.meshgrid(torch.linspace(1, -1, n), torch.linspace(-1, 1, n), indexing="ij")
    face = torch.stack([x, y, 0.5 - 0.4 * x**2 - 0.2 * y**2], -1).reshape(-1, 3)
    index = torch.arange(n * n).reshape(n, n)
    slit = index[30, 12:29]
    lower = index.clone()
    lower[30, 12:29] = n * n + torch.arange(17)
    blocks = []
    for i in range(n - 1):
        top = lower if i >= 30 else index
        a, b, c, d = top[i, :-1], top[i, 1:], index[i + 1, :-1], index[i + 1, 1:]
        blocks += [torch.stack([a, c, d], -1), torch.stack([a, d, b], -1)]
    ball, ball_faces = sphere(12, 20)
    ball = ball.float()
    eyes = [0.15 * ball + torch.tensor([side * 0.4, 0.3, 0.35]) for side in (1, -1)]
    first = n * n + 17
    vertices = torch.cat([face, face[slit], *eyes])
    faces = torch.cat([*blocks, ball_faces + first, ball_faces + first + len(ball)])
    weights = torch.zeros(len(vertices), 5)
    weights[:, 1] = 1
    for j, ids in (
        (2, torch.cat([index[31:].flatten(), torch.arange(n * n, first)])),
        (3, first + torch.arange(len(ball))),
    ):
        weights[ids] = torch.eye(5)[j]
    weights[first + len(ball) :] = torch.eye(5)[4]
    regressor = torch.zeros(5, len(vertices))
    regressor[:2, index[0, 20]] = 1
    regressor[2, index[26, [0, 40]]] = 0.5
    regressor[3] = weights[:, 3] / weights[:, 3].sum()
    regressor[4] = weights[:, 4] / weights[:, 4].sum()

    order = torch.randperm(len(vertices), generator=torch.Generator().manual_seed(shuffle))
    back = torch.empty_like(order)
    back[order] = torch.arange(len(order))
    stretch = scale * torch.tensor([1.1, 0.9, 1.0])
    regions = {"left_eyeball": back[first : first + len(ball)], "right_eyeball": back[first + len(ball) :]}
    zeros = torch.zeros(len(vertices), 3, 0)
    return HeadModel(
        "slit",
        (vertices * stretch)[order],
        back[faces],
        zeros,
        zeros,
        None,
        regressor[:, order],
        weights[order],
        regions=regions,
    )


def test_lips_and_irises_are_not_confused():
    source, target = slit_face(1.0, 0), slit_face(0.1, 1)
    skin = (~torch.isin(source.faces, torch.cat(list(source.regions.values()))).any(1)).nonzero()[:, 0]
    marks = random_embedding(source.faces[skin], 478, 5)
    face_idx, bary = skin[marks.face_idx], marks.bary.float()
    middle = source.v_template[source.faces].mean(1)
    on_slit = ((source.v_template[:, 1] + 0.45).abs() < 1e-6) & (source.v_template[:, 0].abs() < 0.4)
    jaw_weight = source.lbs_weights[:, 2]
    for k, lip in enumerate((jaw_weight == 0, jaw_weight == 1)):  # ten points on the very edge of each lip
        edge = (on_slit & lip)[source.faces].sum(1) == 2
        edge &= lip[source.faces].all(1)
        face_idx[10 * k : 10 * k + 10] = edge.nonzero()[:10, 0]
        bary[10 * k : 10 * k + 10] = (on_slit & lip)[source.faces[edge]][:10] * 0.5
    for k, side in ((473, "left"), (468, "right")):
        front = torch.isin(source.faces, source.regions[f"{side}_eyeball"]).all(1) & (middle[:, 2] > 0.45)
        face_idx[k : k + 5] = front.nonzero()[:5, 0]
    anchors = random_embedding(source.faces[skin], 68, 6)
    anchors = LandmarkEmbedding(skin[anchors.face_idx], anchors.bary.float())
    source = replace(source, landmarks={"ibug68": anchors, "mediapipe478": LandmarkEmbedding(face_idx, bary)})
    # the copies list their faces in the same order
    done = with_mediapipe_landmarks(replace(target, landmarks={"ibug68": anchors}), source)
    got, marks = done.landmarks["mediapipe478"], source.landmarks["mediapipe478"]
    expected = marks.points(target.v_template, target.faces)
    error = (got.points(target.v_template, target.faces) - expected).norm(dim=1)
    assert error[:468].max() < 1e-3 * 0.2 and error[468:].max() < 5e-3
    jaw = (target.lbs_weights[target.faces[got.face_idx]] * got.bary[..., None]).sum(1)[:, 2]
    expected_jaw = (target.lbs_weights[target.faces[marks.face_idx]] * marks.bary[..., None]).sum(1)[:, 2]
    torch.testing.assert_close(jaw[:468], expected_jaw[:468], atol=0.02, rtol=0)
    assert (jaw[:10] < 0.01).all() and (jaw[10:20] > 0.99).all()
    for k, side in ((473, "left"), (468, "right")):
        assert torch.isin(target.faces[got.face_idx[k : k + 5]], target.regions[f"{side}_eyeball"]).all()


def test_embedded_heads_points_land_on_flames_template(shared_dir):
    """All 478: as near to FLAME's own 68 as the schemes agree, symmetric, the irises on the eyeballs."""
    raw = real_topology(shared_dir)
    v = torch.from_numpy(raw["v_template"]).float()
    eyes = [((v - v.new_tensor([side * 0.0315, 1.525, 0.0388])).norm(dim=1) < 0.013) for side in (1, -1)]
    weights = torch.zeros(len(v), 5)
    weights[:, 1] = 1
    regressor = torch.zeros(5, len(v))
    regressor[:3, 0] = 1
    for j, eye in zip((3, 4), eyes, strict=True):
        weights[eye], regressor[j] = torch.eye(5)[j], eye / eye.sum()
    faces = torch.from_numpy(raw["f"].astype(np.int64))
    marks = read_embedding(shared_dir / "data/flame_template/landmark_embedding_with_eyes.npy", len(faces))
    regions = {f"{side}_eyeball": eye.nonzero()[:, 0] for side, eye in zip(("left", "right"), eyes, strict=True)}
    bare = torch.zeros(len(v), 3, 0)
    flame = HeadModel(
        "flame2020", v, faces, bare, bare, None, regressor, weights, regions=regions, landmarks={"ibug68": marks}
    )
    found = with_mediapipe_landmarks(flame, procedural_head()).landmarks["mediapipe478"]
    points = found.points(v, faces)
    miss = (points[list(IBUG68_TO_MEDIAPIPE)] - marks.points(v, faces)).norm(dim=1)
    assert miss[27:].mean() < 0.003 and miss[27:].max() < 0.006 and miss.mean() < 0.005
    mirrored = torch.cdist(points * torch.tensor([-1.0, 1, 1]), points).min(1).values
    assert mirrored.mean() < 0.001 and mirrored.max() < 0.004
    for side, x in (("left", 0.0315), ("right", -0.0315)):
        centre = points[MEDIAPIPE_REGIONS[f"{side}_iris"][0]]
        assert abs(centre[0] - x) < 0.002 and centre[2] > 0.05


def test_what_is_missing_is_named():
    model = slit_face(1.0, 0)
    with pytest.raises(InputError, match="no landmarks 'ibug68'"):
        with_mediapipe_landmarks(model, model)
    marks = {"ibug68": random_embedding(model.faces, 68, 0), "mediapipe478": random_embedding(model.faces, 478, 0)}
    with pytest.raises(InputError, match="no region 'left_eyeball'"):
        with_mediapipe_landmarks(replace(model, landmarks=marks, regions={}), replace(model, landmarks=marks))


def test_a_real_face_lands_on_flames_template(shared_dir):
    """MediaPipe's points of a real person, carried to FLAME's mean head by the points both schemes have."""
    raw = real_topology(shared_dir)
    vertices, faces = torch.from_numpy(raw["v_template"]), torch.from_numpy(raw["f"].astype(np.int64))
    table = read_embedding(shared_dir / "data/flame_template/landmark_embedding_with_eyes.npy", len(faces))
    onto = LandmarkEmbedding(table.face_idx, table.bary.double()).points(vertices, faces)
    points = torch.from_numpy(frontal(shared_dir))
    smoothing = np.full(68, 1e-3)
    smoothing[[*range(17), 17, 26]] = 0.1
    found = transfer_landmarks(points, points[list(IBUG68_TO_MEDIAPIPE)], onto, vertices, faces, smoothing=smoothing)
    landed = found.points(vertices, faces)
    miss = (landed[list(IBUG68_TO_MEDIAPIPE)] - onto).norm(dim=1)
    assert miss[27:].max() < 0.004 and miss.mean() < 0.006
    midline = landed[[10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 17, 18, 200, 152]]
    assert midline[:, 0].abs().max() < 0.004 and (midline[1:, 1] < midline[:-1, 1] + 0.004).all()
    assert (landed[MEDIAPIPE_REGIONS["left_eyebrow"], 0] > 0).all() and (
        landed[MEDIAPIPE_REGIONS["right_eye"], 0] < 0
    ).all()
