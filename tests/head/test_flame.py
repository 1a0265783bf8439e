"""FLAME's files in every form give one and the same model; damaged and foreign ones are refused by name."""

import pickle
import shutil

import numpy as np
import pytest
import torch
from flame_files import real_topology, small
from safetensors.torch import save_file

from unseen.core.errors import FormatError, InputError, ResourceError
from unseen.head import HeadModel, HeadParams, LandmarkEmbedding
from unseen.head.flame import find_flame, guess_variant, load_head_model, save_head_model
from unseen.head.teeth import add_teeth
from unseen.head.unpickle import UnsafePickleError


def dump(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, 2))
    return path


def same(a: HeadModel, b: HeadModel) -> None:
    for name in ("v_template", "faces", "shapedirs", "exprdirs", "posedirs", "j_regressor", "lbs_weights"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name
    for name in ("eyelid_dirs", "uvs", "uv_faces"):
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None) and (x is None or torch.equal(x, y)), name
    assert a.variant == b.variant and a.appended_vertices == b.appended_vertices
    assert a.regions.keys() == b.regions.keys() and a.landmarks.keys() == b.landmarks.keys()
    assert all(torch.equal(a.regions[k], b.regions[k]) for k in a.regions)
    for key in a.landmarks:
        assert torch.equal(a.landmarks[key].face_idx, b.landmarks[key].face_idx)
        assert torch.equal(a.landmarks[key].bary, b.landmarks[key].bary)


def test_pickle_keys_become_the_model(tmp_path):
    raw = small()
    model = load_head_model(dump(tmp_path / "flame2023.pkl", raw))
    assert model.variant == "flame2023" and model.num_shape == 300 and model.num_expr == 100
    assert model.faces.dtype == torch.int64 and model.dtype == torch.float32
    torch.testing.assert_close(model.v_template.double().numpy(), raw["v_template"], atol=1e-7, rtol=0)
    np.testing.assert_array_equal(model.shapedirs.numpy(), raw["shapedirs"][..., :300].astype(np.float32))
    np.testing.assert_array_equal(model.exprdirs.numpy(), raw["shapedirs"][..., 300:].astype(np.float32))
    np.testing.assert_array_equal(model.j_regressor.numpy(), raw["J_regressor"].toarray().astype(np.float32))
    feature = np.random.default_rng(0).normal(size=36).astype(np.float32)
    expected = np.einsum("vck,k->vc", raw["posedirs"], feature)
    np.testing.assert_allclose((feature @ model.posedirs.numpy()).reshape(-1, 3), expected, atol=1e-7)


def oxigaf_arrays(raw: dict) -> dict[str, np.ndarray]:
    """Names and types of gaf.md B.8, the tree with one row."""
    return {
        "v_template": raw["v_template"].astype(np.float32),
        "faces": raw["f"].astype(np.int32),
        "shapedirs": raw["shapedirs"][..., :300].astype(np.float32),
        "expressiondirs": raw["shapedirs"][..., 300:].astype(np.float32),
        "posedirs": raw["posedirs"].astype(np.float32),
        "j_regressor": raw["J_regressor"].toarray().astype(np.float32),
        "kintree_table": np.array([[-1, 0, 1, 1, 1]], dtype=np.int32),
        "lbs_weights": raw["weights"].astype(np.float32),
    }


def test_every_form_gives_the_same_model(tmp_path):
    raw = small()
    reference = load_head_model(dump(tmp_path / "a" / "flame2023.pkl", raw))

    np.savez(tmp_path / "flame2023.npz", **raw)  # the sparse regressor becomes an object array
    same(load_head_model(tmp_path / "flame2023.npz"), reference)

    (tmp_path / "flame2023_npy").mkdir()
    for name, array in oxigaf_arrays(raw).items():
        np.save(tmp_path / "flame2023_npy" / name, array)
    same(load_head_model(tmp_path / "flame2023_npy"), reference)

    save_file(
        {k: torch.from_numpy(v).contiguous() for k, v in oxigaf_arrays(raw).items()}, tmp_path / "model.safetensors"
    )
    same(load_head_model(tmp_path / "model.safetensors", variant="flame2023"), reference)


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("FLAME2020/generic_model.pkl", "flame2020"),
        ("female_model.pkl", "flame2020-female"),
        ("male_model.pkl", "flame2020-male"),
        ("flame2023.pkl", "flame2023"),
        ("flame2023_no_jaw.pkl", "flame2023-nojaw"),
        ("flame2023_Open.pkl", "flame2023-open"),
        ("FLAME2023Open/generic_model.pkl", "flame2023-open"),
    ],
)
def test_variant_by_name(tmp_path, name, variant):
    assert guess_variant(tmp_path / name) == variant


def test_variant_that_cannot_be_told_is_asked_for(tmp_path):
    path = dump(tmp_path / "model.pkl", small())
    with pytest.raises(InputError, match="cannot tell"):
        load_head_model(path)
    assert load_head_model(path, variant="flame2020").variant == "flame2020"


def test_extras_beside_the_model(tmp_path):
    raw = small()
    rng = np.random.default_rng(1)
    table = {
        "full_lmk_faces_idx": rng.integers(0, 50, (1, 70)),
        "full_lmk_bary_coords": rng.dirichlet(np.ones(3), (1, 70)),
        "dynamic_lmk_faces_idx": torch.zeros(2, 2),
    }
    path = dump(tmp_path / "flame2023.pkl", raw)
    np.save(tmp_path / "landmark_embedding_with_eyes.npy", np.array(table), allow_pickle=True)
    dump(tmp_path / "FLAME_masks.pkl", {"face": np.arange(9), "nose": np.array([4, 2])})
    lids = rng.normal(size=(2, 30, 3)).astype(np.float32)
    np.save(tmp_path / "l_eyelid.npy", lids[0])
    np.save(tmp_path / "r_eyelid.npy", lids[1])
    corners = [
        " ".join(f"{v + 1}/{3 * i + k + 1}" for k, v in enumerate(np.roll(f, i % 3))) for i, f in enumerate(raw["f"])
    ]
    lines = ["v 0 0 0"] * 30 + [f"vt {n / 150:.6f} 0.25" for n in range(150)] + [f"f {c}" for c in corners[::-1]]
    (tmp_path / "head_template.obj").write_text("\n".join(lines))

    model = load_head_model(path)
    assert len(model.landmarks["ibug68"]) == 68
    np.testing.assert_array_equal(model.landmarks["ibug68"].face_idx, table["full_lmk_faces_idx"][0, :68])
    assert model.regions["nose"].tolist() == [4, 2]
    np.testing.assert_array_equal(model.eyelid_dirs.numpy(), lids.transpose(1, 2, 0))
    for i in (
        0,
        1,
        2,
        47,
    ):  # obj faces are reversed in order and rotated by i % 3; corner k of the model is k + i there
        expected = [(3 * i + (k + i) % 3) / 150 for k in range(3)]
        np.testing.assert_allclose(model.uvs[model.uv_faces[i], 0], expected, atol=1e-6)

    elsewhere = load_head_model(dump(tmp_path / "b" / "flame2023.pkl", raw), extras=tmp_path)
    same(elsewhere, model)
    dump(tmp_path / "FLAME_masks.pkl", {"face": np.arange(31)})
    with pytest.raises(FormatError, match="region 'face' has vertex 30, the model has 30"):
        load_head_model(path)


def test_eyeballs_are_known_without_masks(tmp_path):
    raw = small()
    raw["weights"][:] = np.eye(5)[0]
    raw["weights"][[3, 5]] = np.eye(5)[3]
    raw["weights"][[4]] = np.eye(5)[4]
    model = load_head_model(dump(tmp_path / "flame2023.pkl", raw))
    assert model.regions["left_eyeball"].tolist() == [3, 5] and model.regions["right_eyeball"].tolist() == [4]


def test_saved_model_returns_bit_for_bit(tmp_path):
    model = load_head_model(dump(tmp_path / "flame2023_Open.pkl", small()))
    marks = LandmarkEmbedding(torch.arange(5), torch.rand(5, 3))
    full = HeadModel(
        **{
            **{k: v for k, v in vars(model).items() if k[0] != "_"},
            "landmarks": {"mediapipe478": marks},
            "regions": {"a": torch.tensor([1, 2]), "none": torch.tensor([], dtype=torch.int64)},
            "uvs": torch.rand(7, 2),
            "uv_faces": torch.randint(7, (50, 3)),
            "eyelid_dirs": torch.rand(30, 3, 2),
            "appended_vertices": 3,
        }
    )
    save_head_model(full, tmp_path / "saved.safetensors")
    same(load_head_model(tmp_path / "saved.safetensors"), full)
    bare = HeadModel(**{**{k: v for k, v in vars(model).items() if k[0] != "_"}, "posedirs": None})
    save_head_model(bare, tmp_path / "saved.safetensors")
    assert load_head_model(tmp_path / "saved.safetensors").posedirs is None
    with pytest.raises(InputError, match="save the full one"):
        save_head_model(model.subset(torch.arange(5)), tmp_path / "part.safetensors")
    with pytest.raises(ResourceError):
        save_head_model(model, tmp_path / "absent" / "x.safetensors")


def test_bad_files_are_named(tmp_path):
    raw = small()
    for key, expected in (("weights", "lacks lbs_weights"), ("f", "lacks faces")):
        broken = {k: v for k, v in raw.items() if k != key}
        with pytest.raises(FormatError, match=expected):
            load_head_model(dump(tmp_path / "flame2023.pkl", broken))
    cases = {
        "f": (raw["f"] + 7, "refer to vertex"),
        "weights": (raw["weights"][:, :4], "lbs_weights"),
        "kintree_table": (np.array([[-1, 0, 0, 0, 0]]), "parents"),
        "shapedirs": (raw["shapedirs"][:20], "shapedirs"),
        "v_template": ("text", "not a head model"),
    }
    for key, (value, expected) in cases.items():
        with pytest.raises(InputError, match=expected):
            load_head_model(dump(tmp_path / "flame2023.pkl", {**raw, key: value}))
    with pytest.raises(UnsafePickleError):
        load_head_model(dump(tmp_path / "flame2023.pkl", {**raw, "x": shutil.rmtree}))
    for suffix in ("npz", "safetensors", "pkl"):
        (tmp_path / f"flame2023.{suffix}").write_bytes(b"not this")
        with pytest.raises(FormatError):
            load_head_model(tmp_path / f"flame2023.{suffix}")
    with pytest.raises(InputError, match="no head model at"):
        load_head_model(tmp_path / "absent")


def test_flame_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("UNSEEN_FLAME_PATH", raising=False)
    assert find_flame() is None
    cached = dump(tmp_path / "cache/unseen/flame/generic_model.pkl", small())
    assert find_flame() == cached
    named = dump(tmp_path / "mine/FLAME2023/flame2023.pkl", small())
    monkeypatch.setenv("UNSEEN_FLAME_PATH", str(tmp_path / "mine"))
    assert find_flame() == named
    assert find_flame(cached) == cached
    monkeypatch.setenv("UNSEEN_FLAME_PATH", str(tmp_path / "nowhere"))
    with pytest.raises(InputError, match=r"nowhere \(from UNSEEN_FLAME_PATH\)"):
        find_flame()


@pytest.fixture(scope="module")
def flame(shared_dir, tmp_path_factory) -> HeadModel:
    """FLAME's real mesh, embedding, UVs and painted regions, with random bases."""
    path = dump(tmp_path_factory.mktemp("flame") / "flame2020.pkl", real_topology(shared_dir))
    return load_head_model(path, extras=shared_dir / "data/flame_template")


def test_real_mesh_is_read_with_its_regions(flame):
    assert (flame.num_vertices, flame.num_faces, len(flame.uvs)) == (5023, 9976, 5118)
    points = flame.landmarks["ibug68"].points(flame.v_template, flame.faces)
    assert points[16, 0] > 0.06 and points[0, 0] < -0.06, "the subject's left is +X"
    assert 0.8 < float(flame.v_template[flame.regions["nose"], 2].mean() / points[30, 2]) < 1
    assert flame.regions["left_ear"].numel() > 500 and flame.v_template[flame.regions["left_ear"], 0].min() > 0.05


def test_teeth_have_vhaps_counts_and_stand_behind_the_lips(flame):
    model = add_teeth(flame)
    assert (model.num_vertices, model.num_faces) == (5143, 10144)
    assert torch.equal(model.v_template[:5023], flame.v_template) and torch.equal(model.faces[:9976], flame.faces)
    points = flame.landmarks["ibug68"].points(flame.v_template, flame.faces)
    upper, lower = (model.v_template[model.regions[f"{side}_teeth"]] for side in ("upper", "lower"))
    assert max(upper[:, 2].max(), lower[:, 2].max()) < points[62, 2] - 0.003
    assert upper[:, 0].abs().max() < 0.03 and upper[:, 1].mean() > lower[:, 1].mean() + 0.005
    torch.testing.assert_close(upper[:15].flip(0) * torch.tensor([-1, 1, 1]), upper[:15], atol=1e-4, rtol=0)
    for name in ("upper_teeth", "lower_teeth"):
        own = model.faces[torch.isin(model.faces, model.regions[name]).all(-1)]
        assert len(own) == 84
        a, b, c = model.v_template[own].unbind(1)
        normal = torch.linalg.cross(b - a, c - a)
        front = ((a + b + c) / 3)[:, 2].argmax()
        assert normal[front, 2] > 0, "seen from the front"
    with pytest.raises(InputError, match="has teeth already"):
        add_teeth(model)


def test_teeth_follow_skull_and_jaw(flame):
    model = add_teeth(flame)
    params = HeadParams.zeros(model, 1)
    draw = torch.Generator().manual_seed(0)
    moved = HeadParams(
        **{**vars(params), "jaw_pose": torch.tensor([[0.3, 0, 0]]), "expr": torch.randn(1, 100, generator=draw)}
    )
    rest, posed = model.forward(params), model.forward(moved)
    upper, lower = model.regions["upper_teeth"], model.regions["lower_teeth"]
    torch.testing.assert_close(posed.vertices[:, upper], rest.vertices[:, upper], atol=1e-6, rtol=0)
    jaw = posed.joint_transforms[0, 2]
    expected = rest.vertices[0, lower] @ jaw[:, :3].T + jaw[:, 3]
    torch.testing.assert_close(posed.vertices[0, lower], expected, atol=1e-6, rtol=0)
    torch.testing.assert_close(model.joint_dirs, flame.joint_dirs, atol=1e-7, rtol=0)
    plain = HeadParams(**{**vars(params), "static_offset": torch.full((5023, 3), 0.001)})
    assert model.vertices(plain).shape == (1, 5143, 3)
    lips = model.shapedirs[lower].mean(0)
    torch.testing.assert_close(model.shapedirs[lower], lips.expand(60, -1, -1), atol=1e-6, rtol=0)
    assert lips.abs().max() > 1e-5
