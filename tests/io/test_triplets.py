"""Manifests of triplets, and other programs' lists of pairs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from unseen.core.camera import Camera
from unseen.core.errors import FormatError, InputError
from unseen.io.triplets import MANIFEST, PoorFit, ScenePhoto, SceneRender, Triplet, TripletScene, read_triplets


def scene(name="yard", split="train") -> TripletScene:
    photos = tuple(
        ScenePhoto(f"{i}.jpg", f"photos/{i}.png", Camera.look_at((i, 1.0, 3.0), (0, 0, 0), 48, 36, focal_px=40))
        for i in range(4)
    )
    fits = (PoorFit("sparse-3", "sparse", (0, 3), 30, 500),)
    return TripletScene(
        name, split, photos, fits, (SceneRender("renders/sparse-3/00030/0001.png", 1, (3, 0), "sparse-3", 30, 17.5),)
    )


def test_a_manifest_survives_and_names_files(tmp_path):
    scene().save(tmp_path)
    found = TripletScene.load(tmp_path)
    assert (found.fits, found.renders) == (scene().fits, scene().renders)
    for a, b in zip(found.photos, scene().photos, strict=True):
        assert (a.name, a.file) == (b.name, b.file)
        torch.testing.assert_close(a.camera.world_to_camera, b.camera.world_to_camera)
        torch.testing.assert_close(a.camera.K, b.camera.K)
    (triplet,) = read_triplets(tmp_path)
    assert triplet.render == tmp_path / "renders/sparse-3/00030/0001.png"
    assert triplet.truth == tmp_path / "photos/1.png"
    assert triplet.references == (tmp_path / "photos/3.png", tmp_path / "photos/0.png")
    assert (triplet.name, triplet.seen, triplet.psnr) == ("yard/sparse-3/00030/0001", False, 17.5)
    assert (triplet.strategy, triplet.iteration, triplet.split) == ("sparse", 30, "train")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"truth": 3}, "is its own reference"),
        ({"references": (2,)}, "is no photo that the fit has seen"),
        ({"truth": 9}, "not in the manifest"),
        ({"fit": "other"}, "not in the manifest"),
    ],
)
def test_what_would_give_the_answer_away_is_neither_written_nor_read(tmp_path, change, reason):
    good = scene()
    with pytest.raises(FormatError, match=reason):
        replace(good, renders=(replace(good.renders[0], **change),))
    good.save(tmp_path)
    content = json.loads((tmp_path / MANIFEST).read_text())
    content["renders"][0] |= change
    (tmp_path / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(FormatError, match=reason):
        read_triplets(tmp_path)


def test_folders_of_scenes_and_damage(tmp_path):
    with pytest.raises(InputError, match="no triplets in"):
        read_triplets(tmp_path)
    for name, split in (("b", "val"), ("a", "train")):
        (tmp_path / name).mkdir()
        scene(name, split).save(tmp_path / name)
    assert [(t.scene, t.split) for t in read_triplets(tmp_path)] == [("a", "train"), ("b", "val")]
    (tmp_path / "finer" / "c").mkdir(parents=True)
    scene("c", "val").save(tmp_path / "finer" / "c")
    assert {t.scene for t in read_triplets(tmp_path)} == {"a", "b", "c"}
    path = tmp_path / "a" / MANIFEST
    for damage in ("[", "[]", '{"kind": "x"}', path.read_text().replace('"truth"', '"thruth"')):
        path.write_text(damage)
        with pytest.raises(FormatError, match=str(path)):
            read_triplets(tmp_path)


def test_lists_of_pairs_of_other_programs(tmp_path):
    for name in ("render", "truth", "other"):
        (tmp_path / f"{name}.png").write_bytes(b"")
    entry = {"render": "render.png", "gt": "truth.png", "ref": "other.png"}
    (tmp_path / "data.json").write_text(
        json.dumps(
            {
                "train": {
                    "ab12_underfitting_1000_00010": entry | {"ref": "./truth.png"},
                    "ab12_sparse_10_00011": entry,
                },
                "val": {"cd34_underfitting_1000_00011": entry},
            }
        )
    )
    own, sparse, held = read_triplets(tmp_path / "data.json")
    assert own.references == ()  # the photo itself, as every tenth of those lists has it
    assert (own.scene, own.strategy, own.iteration) == ("ab12", "underfitting", 1000)
    assert sparse == Triplet(
        "ab12_sparse_10_00011", *(tmp_path / f"{n}.png" for n in ("render", "truth")), (tmp_path / "other.png",),
        "ab12", "train", "sparse",
    )  # fmt: skip
    assert held.split == "val" and held.seen is None
    difix = {"image": "render.png", "target_image": "truth.png", "ref_image": "other.png", "prompt": "remove"}
    (tmp_path / "difix.json").write_text(json.dumps({"train": {"x": difix}, "test": {"y": difix}}))
    assert [(t.name, t.split) for t in read_triplets(tmp_path / "difix.json")] == [("x", "train"), ("y", "val")]
    for bad, reason in (("{}", "lists no pairs"), ('{"train": [1]}', "no object"), ('{"train": {"x": {}}}', "lacks")):
        (tmp_path / "bad.json").write_text(bad)
        with pytest.raises(FormatError, match=reason):
            read_triplets(tmp_path / "bad.json")


def test_a_triplet_cannot_hold_its_answer():
    with pytest.raises(FormatError, match="its own reference"):
        Triplet("x", Path("r"), Path("t"), (Path("a"), Path("t")), "s", "train")
