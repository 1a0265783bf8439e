"""Shoulders and chest for heads whose mesh ends at the neck."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from unseen.core.errors import InputError
from unseen.head.model import HeadModel
from unseen.head.params import HeadParams
from unseen.head.procedural import procedural_head
from unseen.head.torso import neck_rim, with_torso


def bust(radius: float = 0.11, columns: int = 24, rows: int = 6) -> HeadModel:
    """A dome closed at the top and open at the bottom, with random identity directions."""
    angle = 2 * np.pi * np.arange(columns) / columns
    rings = [
        np.stack([radius * s * np.sin(angle), np.full(columns, y), radius * s * np.cos(angle)], -1)
        for s, y in zip(np.linspace(0.4, 1, rows), np.linspace(0.2, 0.0, rows), strict=True)
    ]
    vertices = torch.tensor(np.concatenate([*rings, [[0, 0.25, 0]]]), dtype=torch.float32)
    ids = torch.arange(rows * columns).view(rows, columns)
    a, d, b, c = ids[:-1], ids[:-1].roll(-1, 1), ids[1:], ids[1:].roll(-1, 1)
    body = torch.cat([torch.stack([a, b, c], -1).flatten(0, 1), torch.stack([a, c, d], -1).flatten(0, 1)])
    top = torch.stack([torch.full((columns,), rows * columns), ids[0], ids[0].roll(-1)], -1)
    return model_of(vertices, torch.cat([body, top]))


def model_of(vertices: torch.Tensor, faces: torch.Tensor, **more: torch.Tensor) -> HeadModel:
    count = len(vertices)
    generator = torch.Generator().manual_seed(0)
    regressor = torch.rand(5, count, generator=generator)
    weights = torch.zeros(count, 5)
    weights[:, 1] = 1.0
    return HeadModel(
        variant="flame2020",
        v_template=vertices,
        faces=faces,
        shapedirs=1e-3 * torch.randn(count, 3, 6, generator=generator),
        exprdirs=1e-3 * torch.randn(count, 3, 4, generator=generator),
        posedirs=1e-4 * torch.randn(36, 3 * count, generator=generator),
        j_regressor=regressor / regressor.sum(1, keepdim=True),
        lbs_weights=weights,
        **more,
    )


def flame_template(shared: Path) -> HeadModel:
    """FLAME's template with its texture coordinates and random bases."""
    rows: dict[str, list[list[str]]] = {"v": [], "vt": [], "f": []}
    for line in (shared / "data" / "flame_template" / "head_template_mesh.obj").read_text().splitlines():
        key, *values = line.split() or [""]
        if key in rows:
            rows[key].append(values)
    corners = np.array([[[int(x) for x in corner.split("/")[:2]] for corner in face] for face in rows["f"]]) - 1
    return model_of(
        torch.tensor(np.array(rows["v"], np.float32)),
        torch.from_numpy(corners[..., 0]),
        uvs=torch.tensor(np.array(rows["vt"], np.float32)[:, :2]),
        uv_faces=torch.from_numpy(corners[..., 1]),
    )


def check(model: HeadModel) -> HeadModel:
    """What holds for any head that got a torso."""
    whole = with_torso(model)
    count = model.num_vertices
    assert whole.variant == model.variant
    assert whole.appended_vertices == whole.num_vertices - count
    assert torch.equal(whole.v_template[:count], model.v_template)
    assert torch.equal(whole.faces[: model.num_faces], model.faces)
    faces = whole.faces.numpy()
    directed = Counter((int(a), int(b)) for k in range(3) for a, b in zip(faces[:, k], faces[:, k - 2], strict=True))
    assert max(directed.values()) == 1  # the band continues the mesh with its orientation
    torso = whole.v_template[whole.regions["torso"]]
    width = float(np.ptp(model.v_template[neck_rim(model), 0].numpy()))
    assert 1.6 * width < np.ptp(torso[:, 0].numpy()) < 2.2 * width
    assert torso[:, 1].min() < model.v_template[:, 1].min() - 0.05
    return whole


def test_continues_an_open_neck() -> None:
    model = bust()
    whole = check(model)
    normals = torch.linalg.cross(
        *(
            whole.v_template[whole.faces[model.num_faces :, k]] - whole.v_template[whole.faces[model.num_faces :, 0]]
            for k in (1, 2)
        )
    )
    middle = whole.v_template[whole.faces[model.num_faces :]].mean(1)
    axis = model.v_template[neck_rim(model)].mean(0)
    outwards = (normals * (middle - axis) * torch.tensor([1.0, 0.0, 1.0])).sum(-1)
    assert (outwards > 0).float().mean() > 0.9


def test_follows_the_root_and_nothing_else() -> None:
    model = bust()
    whole = check(model)
    torso = whole.regions["torso"]
    rest = HeadParams.zeros(whole)
    moved = replace(
        rest,
        expr=torch.ones(1, 4),
        neck_pose=torch.tensor([[0.1, 0.6, 0.0]]),
        jaw_pose=torch.tensor([[0.3, 0.0, 0.0]]),
    )
    torch.testing.assert_close(whole.vertices(moved)[0, torso], whole.vertices(rest)[0, torso])
    turned = replace(rest, rotation=torch.tensor([[0.0, 0.5, 0.0]]))
    assert (whole.vertices(turned)[0, torso] - whole.vertices(rest)[0, torso]).norm(dim=-1).max() > 0.03
    torch.testing.assert_close(whole.joint_template, model.joint_template)
    torch.testing.assert_close(whole.joint_dirs, model.joint_dirs)


def test_identity_moves_it_smoothly_with_the_rim() -> None:
    model = bust()
    model.shapedirs[..., 0] = torch.tensor([0.0, 0.01, 0.0])
    whole = check(model)
    torso = whole.regions["torso"]
    torch.testing.assert_close(whole.shapedirs[torso, :, 0], torch.tensor([[0.0, 0.01, 0.0]]).expand(len(torso), 3))
    rim = neck_rim(model)
    rough = (model.shapedirs[rim] - model.shapedirs[rim].roll(1, 0)).norm()
    first = torso[: len(rim)]
    assert (whole.shapedirs[first] - whole.shapedirs[first].roll(1, 0)).norm() < 0.5 * rough


def test_flames_own_template(shared_dir: Path) -> None:
    model = flame_template(shared_dir)
    whole = check(model)
    torso = whole.v_template[whole.regions["torso"]].numpy()
    assert 0.36 < np.ptp(torso[:, 0]) < 0.46  # a person's shoulders, metres
    left, right = torso[torso[:, 0] > 0.05], torso[torso[:, 0] < -0.05]
    assert abs(left[:, 0].max() + right[:, 0].min()) < 0.01
    assert whole.uvs is not None and whole.uv_faces is not None
    assert whole.uvs.min() >= 0 and whole.uvs.max() <= 1
    own = whole.uvs[whole.uv_faces[model.num_faces :]]
    assert own[..., 1].max() < whole.uvs[whole.uv_faces[: model.num_faces]][..., 1].min()


def test_says_when_there_is_nothing_to_do() -> None:
    with pytest.raises(InputError, match="torso already"):
        with_torso(procedural_head())
    head = procedural_head()
    ball = replace(head.subset(head.regions["left_eyeball"]), regions={})
    with pytest.raises(InputError, match="no open rim"):
        with_torso(ball)
