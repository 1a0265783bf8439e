"""Motion files in every form, read lazily; interpolation between frames."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation, Slerp

from unseen.core.errors import FormatError, InputError, ResourceError
from unseen.head import HeadParams
from unseen.head import sequence as sequence_module
from unseen.head.sequence import FlameSequence, arrays_to_params, params_to_arrays

ROTATIONS = ("rotation", "neck_pose", "jaw_pose", "eyes_pose")
FIELDS = ("shape", "expr", *ROTATIONS, "translation", "eyelids", "static_offset", "dynamic_offset")


def motion(frames: int = 6, offsets: bool = True) -> HeadParams:
    g = torch.Generator().manual_seed(frames)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=g) * 0.4

    return HeadParams(
        shape=draw(9),
        expr=draw(frames, 5),
        rotation=draw(frames, 3),
        neck_pose=draw(frames, 3),
        jaw_pose=draw(frames, 3),
        eyes_pose=draw(frames, 6),
        translation=draw(frames, 3),
        eyelids=draw(frames, 2).abs(),
        static_offset=draw(4, 3) if offsets else None,
        dynamic_offset=draw(frames, 4, 3) if offsets else None,
    )


def same(a: HeadParams, b: HeadParams) -> None:
    for name in FIELDS:
        x, y = getattr(a, name), getattr(b, name)
        assert (x is None) == (y is None) and (x is None or torch.equal(x, y)), name


@pytest.mark.parametrize("suffix", ["npz", "json"])
def test_saved_motion_returns_bit_for_bit(tmp_path, suffix):
    params = motion(offsets=suffix == "npz")
    if suffix == "json":
        params = HeadParams(**{**vars(params), "static_offset": torch.randn(4, 3)})
    path = tmp_path / f"m.{suffix}"
    FlameSequence.from_params(params, fps=25.0, variant="flame2023").save(path)
    back = FlameSequence.load(path)
    assert len(back) == 6 and back.fps == 25.0 and back.variant == "flame2023"
    same(back.params(), params)
    same(back.params([4, -1]), params[[4, 5]])
    same(back.params(slice(1, 6, 2)), params[1:6:2])
    same(back.params(2), params[2])
    with pytest.raises(IndexError):
        back.params([6])


def test_npz_has_vhaps_keys_and_numbers_only(tmp_path):
    FlameSequence.from_params(motion(), fps=30, variant="flame2020").save(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as arrays:
        shapes = {name: arrays[name].shape for name in arrays.files}
        assert all(torch.from_numpy(arrays[name]) is not None for name in arrays.files)
    expected = {"shape": (9,), "expr": (6, 5), "rotation": (6, 3), "neck_pose": (6, 3), "jaw_pose": (6, 3)}
    expected |= {"eyes_pose": (6, 6), "translation": (6, 3), "static_offset": (1, 4, 3), "dynamic_offset": (6, 4, 3)}
    assert expected.items() <= shapes.items()


def test_vhap_tracker_output_is_read(tmp_path):
    """Per-frame arrays beside things that are not motion: names, lights, texture."""
    arrays = params_to_arrays(motion())
    del arrays["eyelids"]
    np.savez(tmp_path / "tracked.npz", **arrays, timestep_id=np.array(["a"] * 6), lights=np.ones((9, 3)))
    back = FlameSequence.load(tmp_path / "tracked.npz")
    assert back.fps is None and back.variant is None
    same(back.params(), HeadParams(**{**vars(motion()), "eyelids": torch.zeros(6, 2)}))


def test_folder_of_frames_is_read_lazily(tmp_path, monkeypatch):
    params = motion(300, offsets=False)
    folder = tmp_path / "flame_param"
    folder.mkdir()
    for i in range(300):
        np.savez(folder / f"{i:05d}.npz", **params_to_arrays(params[i]))
    (tmp_path / "transforms.json").write_text(json.dumps({"fps": 24, "head_model": "flame2023", "frames": []}))
    reads = []
    read = sequence_module._read_npz
    monkeypatch.setattr(sequence_module, "_read_npz", lambda path: reads.append(path.stem) or read(path))
    for source in (folder, tmp_path):
        sequence = FlameSequence.load(source)
        assert len(sequence) == 300 and reads == []
        same(sequence.params([7, 299, 7]), params[[7, 299, 7]])
        assert reads == ["00007", "00299"], "each frame is read once"
        sequence.params()
        assert len(reads) == 301, "256 frames are kept, the oldest given up"
        sequence.params([7])
        assert len(reads) == 302
        sequence.params([299])
        assert len(reads) == 302
        reads.clear()
    assert sequence.fps == 24 and sequence.variant == "flame2023"


def oxigaf_frames(params: HeadParams, key: str) -> list[dict]:
    pose = torch.cat([getattr(params, name) for name in ROTATIONS], 1)
    return [
        {"shape": params.shape.tolist(), key: params.expr[t].tolist(), "pose": pose[t].tolist(), "translation": None}
        for t in range(len(params))
    ]


@pytest.mark.parametrize("key", ["expression", "expr"])
@pytest.mark.parametrize("bare", [False, True])
def test_oxigafs_json(tmp_path, key, bare):
    params = motion(offsets=False)
    frames = oxigaf_frames(params, key)
    frames[1].pop("translation")
    frames[2]["translation"] = params.translation[2].tolist()
    (tmp_path / "m.json").write_text(json.dumps(frames if bare else {"fps": 12.5, "frames": frames}))
    back = FlameSequence.load(tmp_path / "m.json")
    assert back.fps == (None if bare else 12.5)
    got = back.params()
    for name in ("shape", "expr", *ROTATIONS):
        assert torch.equal(getattr(got, name), getattr(params, name)), name
    assert torch.equal(got.translation[2], params.translation[2]) and not got.translation[[0, 1, 3]].any()


def test_our_json_has_oxigafs_keys(tmp_path):
    FlameSequence.from_params(motion(offsets=False), fps=25).save(tmp_path / "m.json")
    content = json.loads((tmp_path / "m.json").read_text())
    assert content["fps"] == 25 and len(content["frames"]) == 6
    frame = content["frames"][0]
    assert {k: len(frame[k]) for k in ("shape", "expression", "pose", "translation")} == {
        "shape": 9,
        "expression": 5,
        "pose": 15,
        "translation": 3,
    }


def test_oxigafs_npz(tmp_path):
    params = motion(offsets=False)
    pose = torch.cat([getattr(params, name) for name in ROTATIONS], 1)
    np.savez(tmp_path / "m.npz", shape=params.shape, expression=params.expr, pose=pose)
    got = FlameSequence.load(tmp_path / "m.npz").params()
    assert torch.equal(got.eyes_pose, params.eyes_pose) and torch.equal(got.expr, params.expr)
    assert not got.translation.any()


def test_interpolation_agrees_with_scipy_and_meets_the_frames():
    params = motion()
    sequence = FlameSequence.from_params(params)
    times = [0.25, 3.0, 4.9, 1.5]
    mixed = sequence.interpolate(times)
    for name in ROTATIONS:
        track = getattr(params, name)
        for k in range(0, track.shape[1], 3):
            expected = Slerp(range(6), Rotation.from_rotvec(track[:, k : k + 3].double()))(times).as_rotvec()
            np.testing.assert_allclose(getattr(mixed, name)[:, k : k + 3], expected, atol=1e-6)
    for name in ("expr", "translation", "eyelids", "dynamic_offset"):
        track = getattr(params, name)
        expected = torch.stack([torch.lerp(track[int(t)], track[min(int(t) + 1, 5)], t % 1) for t in times])
        torch.testing.assert_close(getattr(mixed, name), expected, atol=1e-6, rtol=0)
    assert torch.equal(mixed.static_offset, params.static_offset)
    at_frames = sequence.interpolate(range(6))
    for name in FIELDS:
        torch.testing.assert_close(getattr(at_frames, name), getattr(params, name), atol=1e-6, rtol=0)


@given(st.floats(-3, 9), st.floats(0, 2.5))
@settings(max_examples=40, deadline=None)
def test_interpolation_stays_between_and_turns_evenly(time, angle):
    params = motion(2, offsets=False)
    turned = torch.tensor([[0.0, 0, 0], [0.0, angle, 0]])
    sequence = FlameSequence.from_params(HeadParams(**{**vars(params), "rotation": turned}))
    mixed = sequence.interpolate(time)
    inside = min(max(time, 0.0), 1.0)
    torch.testing.assert_close(mixed.rotation, torch.tensor([[0.0, angle * inside, 0.0]]), atol=1e-5, rtol=0)
    low, high = params.expr.min(0).values, params.expr.max(0).values
    assert ((mixed.expr[0] >= low - 1e-6) & (mixed.expr[0] <= high + 1e-6)).all()


def test_rotations_take_the_short_way_round():
    params = motion(2, offsets=False)
    turned = torch.tensor([[0.0, 3.0, 0], [0.0, -3.0, 0]])
    sequence = FlameSequence.from_params(HeadParams(**{**vars(params), "rotation": turned}))
    middle = sequence.interpolate(0.5).rotation[0]
    np.testing.assert_allclose(middle.abs(), [0, np.pi, 0], atol=2e-3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not a JSON file"),
        ("[]", "no head motion"),
        ('{"fps": 25}', "no head motion"),
        ("[1, 2]", "no head motion"),
        ('[{"pose": [0]}]', "a pose has 1 numbers"),
        ('[{"shape": []}]', "no array 'expr'"),
        ('[{"expr": ["a"]}]', "not an array of numbers"),
        ('[{"expr": [NaN]}]', "not finite"),
        ('[{"expr": [1, [2]]}]', "not an array of numbers"),
        ('[{"expr": [1]}, {"expr": [1, 2]}]', "differ in their numbers"),
        ('[{"expr": [1], "jaw_pose": [1, 2]}]', "jaw_pose has shape"),
    ],
)
def test_bad_json_is_named(tmp_path, content, message):
    (tmp_path / "m.json").write_text(content)
    with pytest.raises(FormatError, match=message):
        FlameSequence.load(tmp_path / "m.json").params()


def test_bad_places_are_named(tmp_path):
    with pytest.raises(InputError, match="no motion at"):
        FlameSequence.load(tmp_path / "absent.npz")
    with pytest.raises(InputError, match="no motion in"):
        FlameSequence.load(tmp_path)
    (tmp_path / "m.txt").write_text("x")
    with pytest.raises(InputError, match=r"suffix '\.txt'"):
        FlameSequence.load(tmp_path / "m.txt")
    (tmp_path / "m.npz").write_bytes(b"x")
    with pytest.raises(FormatError, match=r"not an \.npz"):
        FlameSequence.load(tmp_path / "m.npz")
    with pytest.raises(FormatError, match=r"rotation has shape \(2, 3\), expected \[6, 3\]"):
        arrays_to_params({"expr": np.zeros((6, 5)), "rotation": np.zeros((2, 3))}, "x")
    sequence = FlameSequence.from_params(motion())
    with pytest.raises(InputError, match=r"save as \.npz"):
        sequence.save(tmp_path / "m.json")
    with pytest.raises(InputError, match="suffix"):
        sequence.save(tmp_path / "m.pkl")
    with pytest.raises(ResourceError):
        sequence.save(tmp_path / "absent" / "m.npz")
