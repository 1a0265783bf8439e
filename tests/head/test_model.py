"""The head model against an independent LBS in float64 and against finite differences."""

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from unseen.core.errors import InputError, ShapeError
from unseen.head import HeadModel, HeadParams, LandmarkEmbedding

TENSORS = ("shape", "expr", "rotation", "neck_pose", "jaw_pose", "eyes_pose", "translation", "eyelids")


def random_model(vertices: int = 40, s: int = 7, e: int = 5, dtype: torch.dtype = torch.float64) -> HeadModel:
    """A small mesh of random numbers with everything a head model can have."""
    g = torch.Generator().manual_seed(vertices)

    def draw(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return scale * torch.randn(*shape, generator=g, dtype=torch.float64)

    weights, regressor = draw(vertices, 5).exp(), draw(5, vertices).exp()
    faces = torch.stack([torch.randperm(vertices, generator=g)[:3] for _ in range(60)])
    bary = draw(9, 3).exp()
    return HeadModel(
        variant="random",
        v_template=draw(vertices, 3, scale=0.1),
        faces=faces,
        shapedirs=draw(vertices, 3, s, scale=0.01),
        exprdirs=draw(vertices, 3, e, scale=0.01),
        posedirs=draw(36, vertices * 3, scale=0.01),
        j_regressor=regressor / regressor.sum(1, keepdim=True),
        lbs_weights=weights / weights.sum(1, keepdim=True),
        eyelid_dirs=draw(vertices, 3, 2, scale=0.01),
        regions={"some": torch.tensor([3, 8, 12])},
        landmarks={
            "mediapipe478": LandmarkEmbedding(torch.randint(60, (9,), generator=g), bary / bary.sum(1, keepdim=True))
        },
    ).to(dtype=dtype)


def random_params(model: HeadModel, frames: int = 3, offsets: bool = True) -> HeadParams:
    g = torch.Generator().manual_seed(7)
    params = HeadParams.zeros(model, frames).map(lambda x: torch.randn(x.shape, generator=g, dtype=x.dtype) * 0.6)
    if not offsets:
        return params
    whole = (model.full or model).num_vertices
    return HeadParams(
        **{name: getattr(params, name) for name in TENSORS},
        static_offset=torch.randn(whole, 3, generator=g, dtype=model.dtype) * 0.01,
        dynamic_offset=torch.randn(frames, whole, 3, generator=g, dtype=model.dtype) * 0.01,
    )


def lbs_oracle(model: HeadModel, params: HeadParams, t: int) -> tuple[np.ndarray, np.ndarray]:
    """One frame by the definition, vertex by vertex, with homogeneous matrices; rotations by scipy."""
    m = {n: getattr(model, n).numpy() for n in ("v_template", "shapedirs", "exprdirs", "posedirs", "j_regressor")}
    w, lids = model.lbs_weights.numpy(), model.eyelid_dirs.numpy()
    p = {n: getattr(params, n).numpy() for n in TENSORS}
    v = m["v_template"] + m["shapedirs"] @ p["shape"] + m["exprdirs"] @ p["expr"][t] + lids @ p["eyelids"][t]
    if params.static_offset is not None:
        v = v + params.static_offset.numpy() + params.dynamic_offset.numpy()[t]
    joints = m["j_regressor"] @ v
    vectors = [p["rotation"][t], p["neck_pose"][t], p["jaw_pose"][t], p["eyes_pose"][t, :3], p["eyes_pose"][t, 3:]]
    rotations = [Rotation.from_rotvec(x).as_matrix() for x in vectors]
    feature = np.concatenate([(r - np.eye(3)).ravel() for r in rotations[1:]])
    v = v + (feature @ m["posedirs"]).reshape(-1, 3)
    world: list[np.ndarray] = []
    for j, parent in enumerate((-1, 0, 1, 1, 1)):
        local = np.eye(4)
        local[:3, :3], local[:3, 3] = rotations[j], joints[j] - (joints[parent] if parent >= 0 else 0)
        world.append(local if parent < 0 else world[parent] @ local)
    out = np.zeros_like(v)
    for i, point in enumerate(v):
        for j in range(5):
            back = np.eye(4)
            back[:3, 3] = -joints[j]
            out[i] += w[i, j] * (world[j] @ back @ np.append(point, 1))[:3]
    return out + p["translation"][t], np.stack([x[:3, 3] for x in world]) + p["translation"][t]


def test_vertices_and_joints_match_an_independent_lbs():
    model = random_model()
    params = random_params(model)
    out = model.forward(params)
    for t in range(3):
        vertices, joints = lbs_oracle(model, params, t)
        np.testing.assert_allclose(out.vertices[t].numpy(), vertices, atol=1e-13)
        np.testing.assert_allclose(out.joints[t].numpy(), joints, atol=1e-13)


def test_float32_agrees_with_float64():
    model = random_model()
    params = random_params(model)
    single = model.to(dtype=torch.float32).vertices(params.to(dtype=torch.float32))
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), model.vertices(params), atol=3e-6, rtol=0)


@pytest.mark.parametrize("name", [*TENSORS, "static_offset", "dynamic_offset"])
@pytest.mark.parametrize("rest", [False, True], ids=["posed", "at-rest"])
def test_gradient_of_every_parameter(name, rest):
    model = random_model(vertices=11)
    params = random_params(model, frames=2)
    if rest:  # where Rodrigues' formula is 0 / 0
        params = params.map(lambda x: x * 0)

    numbers = 2 * (11 * 3 + 5 * 3 + 5 * 12)
    mix = torch.randn(4, numbers, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def run(value: torch.Tensor) -> torch.Tensor:
        """Four random mixtures of vertices, joints and transforms."""
        return mix @ torch.cat([x.flatten() for x in model.forward(HeadParams(**{**vars(params), name: value}))])

    value = getattr(params, name).clone().requires_grad_()
    assert torch.autograd.gradcheck(run, (value,), eps=1e-6, atol=1e-7, rtol=1e-6)


def test_subset_equals_full():
    model = random_model()
    params = random_params(model)
    ids = torch.tensor([31, 2, 3, 12, 8, 0, 19, 25, 5, 7])
    part = model.subset(ids)
    full, cut = model.forward(params), part.forward(params)
    torch.testing.assert_close(cut.vertices, full.vertices[:, ids], atol=1e-14, rtol=0)
    torch.testing.assert_close(cut.joints, full.joints, atol=1e-14, rtol=0)
    torch.testing.assert_close(cut.joint_transforms, full.joint_transforms, atol=1e-14, rtol=0)
    again = part.subset(torch.tensor([4, 0]))
    torch.testing.assert_close(again.vertices(params), full.vertices[:, ids[[4, 0]]], atol=1e-14, rtol=0)
    assert part.regions["some"].tolist() == [2, 4, 3]
    kept = model.faces[torch.isin(model.faces, ids).all(-1)]
    assert torch.equal(ids[part.faces], kept)


def test_landmark_points_equal_points_of_the_full_mesh():
    model = random_model()
    params = random_params(model)
    direct = model.landmarks["mediapipe478"].points(model.vertices(params), model.faces)
    torch.testing.assert_close(model.landmark_points(params), direct, atol=1e-14, rtol=0)
    assert model.landmark_subset().num_vertices < model.num_vertices
    with pytest.raises(InputError, match="has no landmarks 'ibug68'"):
        model.landmark_points(params, "ibug68")


def test_joint_transforms_carry_the_rest_pose():
    """A vertex that follows one joint only moves by that joint's transform."""
    model = random_model()
    weights = torch.zeros_like(model.lbs_weights)
    weights[:, 3] = 1
    model = HeadModel(**{**{k: v for k, v in vars(model).items() if k[0] != "_"}, "lbs_weights": weights})
    params = HeadParams.zeros(model, 2)
    generator = torch.Generator().manual_seed(0)
    params = HeadParams(**{**vars(params), "rotation": torch.randn(2, 3, generator=generator, dtype=torch.float64)})
    out = model.forward(params)
    moved = model.v_template @ out.joint_rotations[:, 3].transpose(1, 2) + out.joint_transforms[:, 3, None, :, 3]
    torch.testing.assert_close(out.vertices, moved, atol=1e-14, rtol=0)


def test_coefficients_of_other_lengths():
    model = random_model()
    params = random_params(model, offsets=False)
    short = HeadParams(**{**vars(params), "shape": params.shape[:3], "expr": params.expr[:, :2]})
    padded = short.fitted_to(model)
    assert padded.shape.shape == (7,) and padded.expr.shape == (3, 5)
    torch.testing.assert_close(model.vertices(short), model.vertices(padded), atol=1e-14, rtol=0)

    long = HeadParams(**{**vars(params), "shape": torch.cat([params.shape, torch.zeros(4, dtype=torch.float64)])})
    torch.testing.assert_close(model.vertices(long), model.vertices(params), atol=1e-14, rtol=0)
    wrong = HeadParams(**{**vars(params), "shape": torch.ones(11, dtype=torch.float64)})
    with pytest.raises(ShapeError, match="11 entries where the head model has 7"):
        model.vertices(wrong)


def test_offsets_of_the_plain_mesh_are_padded_and_others_refused():
    model = random_model()
    model = HeadModel(**{**{k: v for k, v in vars(model).items() if k[0] != "_"}, "appended_vertices": 6})
    params = random_params(model, offsets=False)
    plain = HeadParams(**{**vars(params), "static_offset": torch.ones(34, 3, dtype=torch.float64)})
    padded = plain.fitted_to(model)
    assert padded.static_offset.shape == (40, 3) and not padded.static_offset[34:].any()
    torch.testing.assert_close(model.vertices(plain), model.vertices(padded), atol=1e-14, rtol=0)
    with pytest.raises(ShapeError, match="static_offset has 33 entries"):
        model.vertices(HeadParams(**{**vars(params), "static_offset": torch.ones(33, 3, dtype=torch.float64)}))


def test_frames_are_chosen_and_joined():
    model = random_model()
    params = random_params(model, frames=4)
    all_vertices = model.vertices(params)
    for choice in (2, -1, slice(1, 3), [0, 3], torch.tensor([3, 3, 1])):
        expected = all_vertices[choice] if not isinstance(choice, int) else all_vertices[choice][None]
        torch.testing.assert_close(model.vertices(params[choice]), expected, atol=1e-14, rtol=0)
    with pytest.raises(IndexError):
        params[4]
    again = HeadParams.cat([params[:1], params[1:]])
    torch.testing.assert_close(model.vertices(again), all_vertices, atol=1e-14, rtol=0)
    with pytest.raises(ShapeError, match="all or none"):
        HeadParams.cat([params, random_params(model, offsets=False)])


def test_shapes_are_checked():
    model = random_model()
    params = random_params(model, offsets=False)
    with pytest.raises(ShapeError, match=r"jaw_pose has shape \(2, 3\), expected \[3, 3\]"):
        HeadParams(**{**vars(params), "jaw_pose": torch.zeros(2, 3)})
    with pytest.raises(ShapeError, match="lbs_weights"):
        HeadModel(**{**{k: v for k, v in vars(model).items() if k[0] != "_"}, "lbs_weights": torch.zeros(40, 4)})
