"""The embedded head: its mesh, rig, identities, expressions, landmarks and texture charts."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from unseen.head.model import JOINT_NAMES, HeadModel
from unseen.head.params import HeadParams
from unseen.head.procedural import EXPRESSION_NAMES, SHAPE_NAMES, procedural_head
from unseen.head.procedural.build import asset_arrays, write_asset
from unseen.head.procedural.load import ASSET

LEFT_UPPER_LID, LEFT_LOWER_LID = [466, 388, 387, 386, 385, 384, 398], [249, 390, 373, 374, 380, 381, 382]
INNER_UPPER_LIP, INNER_LOWER_LIP = [80, 81, 82, 13, 312, 311, 310], [88, 178, 87, 14, 317, 402, 318]


@pytest.fixture(scope="module")
def head() -> HeadModel:
    return procedural_head()


@pytest.fixture(scope="module")
def mirror(head: HeadModel) -> np.ndarray:
    with np.load(ASSET) as stored:
        return stored["mirror"]


def pose(head: HeadModel, **parameters: torch.Tensor) -> torch.Tensor:
    return head.vertices(replace(HeadParams.zeros(head), **parameters))[0]


def marks(head: HeadModel, vertices: torch.Tensor) -> np.ndarray:
    return head.landmarks["mediapipe478"].points(vertices, head.faces).numpy()


def components(faces: np.ndarray, count: int) -> np.ndarray:
    import scipy.sparse as sp

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]]])
    graph = sp.coo_matrix((np.ones(len(edges)), edges.T), (count, count))
    return sp.csgraph.connected_components(graph, directed=False)[1]


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def similarity(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The source moved onto the target by rotation, uniform scale and translation (Umeyama 1991)."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a)
    flip = np.diag([1.0, 1.0, np.linalg.det(u @ vt)])
    return (s * flip.diagonal()).sum() / (a**2).sum() * a @ (u @ flip @ vt).T + target.mean(0)


def test_has_the_promised_size_and_names(head: HeadModel) -> None:
    assert 5_000 <= head.num_vertices <= 10_000
    assert head.num_shape == len(SHAPE_NAMES) == len(set(SHAPE_NAMES)) >= 40
    assert head.num_expr == len(EXPRESSION_NAMES) == len(set(EXPRESSION_NAMES)) >= 40
    assert len(head.landmarks["mediapipe478"]) == 478
    assert len(head.landmarks["ibug68"]) == 68
    assert procedural_head() is head


def test_every_edge_is_shared_once_in_each_direction_or_lies_on_a_rim(head: HeadModel) -> None:
    faces = head.faces.numpy()
    directed = Counter((int(a), int(b)) for k in range(3) for a, b in zip(faces[:, k], faces[:, k - 2], strict=True))
    assert max(directed.values()) == 1
    rim = {a for a, b in directed if (b, a) not in directed}
    lids = set(torch.cat([head.regions["left_eye_region"], head.regions["right_eye_region"]]).tolist())
    chest = set(head.regions["boundary"].tolist())
    assert rim - lids == chest
    assert len(rim & lids) == 2 * 32


def test_skin_is_one_piece_and_eyeballs_and_teeth_are_closed(head: HeadModel) -> None:
    vertices, faces = head.v_template.numpy(), head.faces.numpy()
    label = components(faces, head.num_vertices)
    assert label.max() + 1 == 5
    for name in ("skin", "left_eyeball", "right_eyeball", "upper_teeth", "lower_teeth"):
        ids = head.regions[name].numpy()
        assert len(set(label[ids])) == 1
        part = faces[np.isin(faces, ids).all(1)]
        assert signed_volume(vertices, part) > 0, f"{name} is inside out"


def test_no_triangle_is_degenerate(head: HeadModel) -> None:
    corners = head.v_template[head.faces] * 1e3
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1) / 2
    assert area.min() > 0.05  # mm^2
    assert head.lbs_weights.min() >= 0
    torch.testing.assert_close(head.lbs_weights.sum(1), torch.ones(head.num_vertices))


def test_template_and_identities_are_mirror_symmetric(head: HeadModel, mirror: np.ndarray) -> None:
    flip = torch.tensor([-1.0, 1.0, 1.0])
    assert torch.equal(head.v_template[mirror] * flip, head.v_template)
    assert torch.equal(head.shapedirs[mirror] * flip[:, None], head.shapedirs)
    left = [
        i for i, name in enumerate(EXPRESSION_NAMES) if name.endswith("_left") and name[:5] not in ("mouth", "jaw_l")
    ]
    right = [EXPRESSION_NAMES.index(EXPRESSION_NAMES[i].replace("_left", "_right")) for i in left]
    assert len(left) >= 10
    assert torch.equal(head.exprdirs[mirror][..., left] * flip[:, None], head.exprdirs[..., right])
    assert torch.equal(head.eyelid_dirs[mirror][..., 0] * flip, head.eyelid_dirs[..., 1])


def test_joints_sit_where_they_turn(head: HeadModel) -> None:
    joints = dict(zip(JOINT_NAMES, head.joint_template.numpy() * 1e3, strict=True))
    for side, sign in (("left", 1), ("right", -1)):
        ball = head.v_template[head.regions[f"{side}_eyeball"]].numpy() * 1e3
        np.testing.assert_allclose(joints[f"{side}_eye"], (ball.min(0) + ball.max(0)) / 2, atol=0.05)
        assert sign * joints[f"{side}_eye"][0] > 25
    neck = head.v_template[head.regions["neck"]].numpy() * 1e3
    assert neck[:, 1].min() < joints["neck"][1] < neck[:, 1].max()
    assert neck[:, 2].min() < joints["neck"][2] < neck[:, 2].max()
    assert joints["root"][1] < joints["neck"][1] < joints["jaw"][1] < joints["left_eye"][1]


def test_head_turns_and_torso_rests(head: HeadModel) -> None:
    turned = pose(head, neck_pose=torch.tensor([[0.0, 0.6, 0.0]]))
    moved = (turned - head.v_template).norm(dim=-1)
    assert moved[head.regions["boundary"]].max() < 1e-6
    assert moved[head.regions["nose"]].min() > 0.04
    edges = torch.cat([head.faces[:, [0, 1]], head.faces[:, [1, 2]]])
    edges = edges[torch.isin(edges, head.regions["neck"]).all(1)]
    before = (head.v_template[edges[:, 0]] - head.v_template[edges[:, 1]]).norm(dim=-1)
    after = (turned[edges[:, 0]] - turned[edges[:, 1]]).norm(dim=-1)
    assert (after / before).max() < 2.0
    assert (after / before).min() > 0.4


def test_lids_close(head: HeadModel) -> None:
    for lids, ids in (((1.0, 0.0), (LEFT_UPPER_LID, LEFT_LOWER_LID)),):
        open_, shut = marks(head, head.v_template), marks(head, pose(head, eyelids=torch.tensor([lids])))
        gap = np.linalg.norm(open_[ids[0]] - open_[ids[1]], axis=1)
        closed = np.linalg.norm(shut[ids[0]] - shut[ids[1]], axis=1)
        assert gap[3] > 7e-3
        assert closed.max() < 0.5e-3
        np.testing.assert_allclose(shut[[159, 145]], open_[[159, 145]], atol=1e-6)  # the right eye stays open
    ball = head.joint_template[3]
    rim = head.regions["left_eye_region"]
    for amount in (0.0, 0.5, 1.0):
        skin = pose(head, eyelids=torch.tensor([[amount, amount]]))[rim]
        assert (skin - ball).norm(dim=-1).min() > 11.9e-3, "a lid sinks into the eyeball"


def test_jaw_opens_the_lips_and_takes_the_lower_teeth_along(head: HeadModel) -> None:
    rest, opened = marks(head, head.v_template), pose(head, jaw_pose=torch.tensor([[0.3, 0.0, 0.0]]))
    after = marks(head, opened)
    gap = np.linalg.norm(rest[INNER_UPPER_LIP] - rest[INNER_LOWER_LIP], axis=1)
    assert gap.max() < 1.5e-3
    assert np.linalg.norm(after[INNER_UPPER_LIP] - after[INNER_LOWER_LIP], axis=1).min() > 10e-3
    assert np.abs(after[[1, 33, 263, 168]] - rest[[1, 33, 263, 168]]).max() < 1e-4
    moved = (opened - head.v_template).norm(dim=-1)
    assert moved[head.regions["upper_teeth"]].max() < 1e-6
    assert moved[head.regions["lower_teeth"]].min() > 5e-3
    assert np.linalg.norm(after[152] - rest[152]) > 0.02


def test_landmarks_lie_on_the_right_parts(head: HeadModel) -> None:
    corners = head.faces[head.landmarks["mediapipe478"].face_idx].numpy()
    for name, ids in (
        ("left_iris", range(473, 478)),
        ("right_iris", range(468, 473)),
        ("upper_lip", [0, 13, 37, 267, 82, 312]),
        ("lower_lip", [17, 14, 84, 314, 87, 317]),
        ("left_eye_region", LEFT_UPPER_LID + LEFT_LOWER_LID),
        ("nose", [1, 4, 5, 195, 197]),
    ):
        region = head.regions[name].numpy()
        assert np.isin(corners[list(ids)], region).any(1).all(), name
    assert np.isin(corners[:468], head.regions["skin"].numpy()).all()
    points = marks(head, head.v_template)
    assert points[263, 0] > 0 > points[33, 0]
    midline = [10, 151, 9, 8, 168, 6, 197, 195, 5, 4, 1, 2, 164, 0, 11, 12, 13, 14, 15, 16, 17, 18, 200, 199, 175, 152]
    assert np.abs(points[midline, 0]).max() < 1e-5
    pairs = [(33, 263), (133, 362), (159, 386), (145, 374), (61, 291), (78, 308), (82, 312), (87, 317), (218, 438)]
    left, right = points[[b for _, b in pairs]], points[[a for a, _ in pairs]]
    np.testing.assert_allclose(left * [-1, 1, 1], right, atol=1e-5)
    assert points[474, 0] > points[473, 0] > points[476, 0]
    assert points[475, 1] > points[473, 1] > points[477, 1]


def test_landmarks_agree_with_the_canonical_face(head: HeadModel, shared_dir) -> None:
    """The file lists MediaPipe's points in an order of its own: found here by position, then judged by its edges."""
    with np.load(shared_dir / "data" / "mediapipe_canonical_face.npz") as stored:
        target, triangles = stored["vertices_cm"].astype(float) * 10, stored["triangles"]
    points = marks(head, head.v_template)[:468].astype(float) * 1e3
    moved = points - points.mean(0) + target.mean(0)
    for _ in range(15):
        order = linear_sum_assignment(np.linalg.norm(moved[:, None] - target[None], axis=-1))[1]
        moved = similarity(points, target[order])
    error = np.linalg.norm(moved - target[order], axis=1)
    assert error.mean() < 1.5
    assert error.max() < 6.0
    with np.load(shared_dir / "data" / "mediapipe_face_regions.npz") as regions:
        rings = np.concatenate([regions[k] for k in regions.files if "TESS" not in k and "IRIS" not in k])
    known = {frozenset(map(int, t[[k, (k + 1) % 3]])) for t in triangles for k in range(3)}
    kept = np.mean([frozenset(map(int, order[edge])) in known for edge in rings])
    assert kept > 0.95  # lips, lids, brows, nose and oval run along edges of the canonical mesh


def test_landmarks_are_in_mediapipes_order(head: HeadModel, shared_dir) -> None:
    """A frontal frame of a real face, explained by an affine camera and the average head."""
    with np.load(shared_dir / "data" / "real" / "head_turn.landmarks.npz") as stored:
        seen = stored["landmarks_px"][0, :, :2].astype(float)
    points = np.c_[marks(head, head.v_template), np.ones(478)].astype(float)
    camera = np.linalg.lstsq(points, seen, rcond=None)[0]
    error = np.linalg.norm(points @ camera - seen, axis=1) / np.linalg.norm(seen[33] - seen[263])
    assert error.mean() < 0.035
    assert error.max() < 0.12


def measures(points: np.ndarray) -> np.ndarray:
    """Inter-ocular distance, face width, nose length, mouth width, lip height, chin height, jaw width; mm, [N, 7]."""
    pairs = [(468, 473), (234, 454), (168, 2), (61, 291), (0, 17), (17, 152), (172, 397)]
    return np.stack([np.linalg.norm(points[:, a] - points[:, b], axis=-1) for a, b in pairs], -1) * 1e3


def test_identities_differ_as_people_do(head: HeadModel) -> None:
    shapes = torch.randn(200, head.num_shape, generator=torch.Generator().manual_seed(1))
    part = head.landmark_subset("mediapipe478")
    vertices = part.v_template + torch.einsum("vcs,ns->nvc", part.shapedirs, shapes)
    sizes = measures(part.landmarks["mediapipe478"].points(vertices, part.faces).numpy())
    spread = sizes.std(0)
    low = np.array([2.0, 4.0, 2.5, 2.5, 1.5, 2.5, 4.5])
    high = np.array([5.0, 9.0, 5.5, 5.5, 4.0, 6.0, 11.0])
    assert (spread > low).all(), spread
    assert (spread < high).all(), spread


def test_identities_keep_their_skin_the_right_way_out(head: HeadModel) -> None:
    shapes = torch.randn(20, head.num_shape, generator=torch.Generator().manual_seed(2))
    before = face_normals(head.v_template, head.faces)
    inside = torch.isin(head.faces, head.regions["mouth_interior"]).any(1)
    lips = torch.isin(head.faces, head.regions["lips"]).any(1)
    for shape in shapes:
        after = face_normals(head.v_template + head.shapedirs @ shape, head.faces)
        turned = (before * after).sum(-1) < 0
        assert not (turned & ~inside & ~lips).any()
        assert turned.sum() < 20


def face_normals(vertices: torch.Tensor, faces: torch.Tensor) -> torch.Tensor:
    corners = vertices[faces]
    return torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


def test_identity_directions_are_not_copies_of_one_another(head: HeadModel) -> None:
    flat = head.shapedirs.flatten(0, 1).T
    unit = flat / flat.norm(dim=1, keepdim=True)
    cosine = (unit @ unit.T).fill_diagonal_(0).abs()
    assert cosine.max() < 0.85
    assert torch.linalg.matrix_rank(unit.double(), tol=1e-2) == head.num_shape


def test_expressions_leave_eyeballs_and_skull_alone(head: HeadModel) -> None:
    size = head.exprdirs.norm(dim=1) * 1e3
    assert size.amax(0).min() > 0.5  # each does something, millimetres
    assert size.amax(0).max() < 12.0
    for name in ("left_eyeball", "right_eyeball", "upper_teeth", "boundary"):
        assert size[head.regions[name]].max() < 1e-3, name
    assert size[head.regions["scalp"]].max() < 0.6


def test_charts_do_not_overlap(head: HeadModel) -> None:
    uv = head.uvs[head.uv_faces].double().numpy()
    assert uv.min() >= 0
    assert uv.max() <= 1
    a, b = uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0]
    assert (a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).min() > 1e-7
    assert coverage(uv * 1024, 1024).max() == 1


def coverage(triangles: np.ndarray, size: int) -> np.ndarray:
    """How many triangles hold each pixel's centre strictly inside."""
    count = np.zeros((size, size), int)
    for t in triangles:
        (x0, y0), (x1, y1) = np.floor(t.min(0)).astype(int), np.floor(t.max(0)).astype(int) + 1
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        inside = np.ones_like(x, bool)
        for k in range(3):
            p, q = t[k], t[(k + 1) % 3]
            inside &= (q[0] - p[0]) * (y - p[1]) - (q[1] - p[1]) * (x - p[0]) > 1e-9
        count[y0:y1, x0:x1] += inside
    return count


def test_build_command_reproduces_the_asset(tmp_path) -> None:
    write_asset(tmp_path / "model.npz")
    write_asset(tmp_path / "again.npz")
    assert (tmp_path / "model.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    built = asset_arrays()
    with np.load(ASSET) as stored:
        assert set(stored.files) == set(built)
        for name, array in built.items():  # solvers may differ in the last bits from one machine to the next
            if array.dtype.kind in "if":
                np.testing.assert_allclose(
                    stored[name], array, atol=1e-4 if array.dtype.kind == "f" else 1, err_msg=name
                )
            else:
                assert (stored[name] == array).all(), name
    assert ASSET.stat().st_size < 3e6
