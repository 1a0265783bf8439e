"""Batches of triplets."""

import json

import numpy as np
import pytest
import torch

from unseen.core.camera import Camera
from unseen.core.errors import InputError
from unseen.io.images import write_image
from unseen.io.triplets import PoorFit, ScenePhoto, SceneRender, TripletScene
from unseen.priors.fixer.training.triplets import Triplets

WIDTH, HEIGHT, SIDE = 40, 30, 16


def picture(tag: int, height=HEIGHT, width=WIDTH) -> np.ndarray:
    """Red tells the column, green the row, blue which picture it is."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.full_like(x, tag)], -1).astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two scenes; photo n is tagged n, its render 100 + n, and the second scene's fit kept one photo less."""
    root = tmp_path_factory.mktemp("triplets")
    camera = Camera.look_at((0, 0, 1), (0, 0, 0), WIDTH, HEIGHT, focal_px=30)
    for name, split, kept in (("a", "train", (0, 3)), ("b", "val", (0,))):
        place = root / name
        for part in ("photos", "renders/sparse/00010"):
            (place / part).mkdir(parents=True)
        photos = tuple(ScenePhoto(f"{i}", f"photos/{i}.png", camera) for i in range(4))
        for i in range(4):
            write_image(place / f"photos/{i}.png", picture(i))
        renders = []
        for i in (1, 2):
            file = f"renders/sparse/00010/{i}.png"
            write_image(place / file, picture(100 + i))
            renders.append(SceneRender(file, i, kept, "sparse", 10, 20.0))
        TripletScene(name, split, photos, (PoorFit("sparse", "sparse", kept, 10, 99),), tuple(renders)).save(place)
    return root


def levels(images: torch.Tensor) -> torch.Tensor:
    return (images * 255).round().long()


def test_crops_of_a_triplet_are_at_the_same_place(folder):
    triplets = Triplets([folder], SIDE, references=2)
    assert len(triplets) == 2
    batch = triplets.sample(24, torch.Generator().manual_seed(0))
    assert batch.renders.shape == batch.truths.shape == (24, SIDE, SIDE, 3)
    assert batch.references.shape == (24, 2, SIDE, SIDE, 3) and bool(batch.known.all())
    render, truth, references = levels(batch.renders), levels(batch.truths), levels(batch.references)
    assert torch.equal(render[..., :2], truth[..., :2])
    assert torch.equal(references[..., :2], truth[:, None, ..., :2].expand(-1, 2, -1, -1, -1))
    assert torch.equal(render[..., 2], truth[..., 2] + 100)
    assert set(references[:, 0, ..., 2].unique().tolist()) == {0} and set(references[:, 1, ..., 2].tolist()[0][0]) == {
        3
    }
    mirrored = truth[:, 0, 1, 0] < truth[:, 0, 0, 0]
    assert 4 < int(mirrored.sum()) < 20
    assert bool((truth[:, 1, 0, 1] > truth[:, 0, 0, 1]).all())  # never upside down
    corners = torch.minimum(truth[:, 0, 0, 0], truth[:, 0, -1, 0])
    assert len(corners.unique()) > 6 and int(corners.max()) <= WIDTH - SIDE


def test_pictures_can_be_shrunk_first(folder):
    half = Triplets([folder], SIDE // 2, references=2, shrink=lambda height, width: (height // 2, width // 2))
    assert half.whole(0).renders.shape == (1, HEIGHT // 2, WIDTH // 2, 3)
    assert half.whole(0).references.shape == (1, 2, HEIGHT // 2, WIDTH // 2, 3)
    assert half.sample(3, torch.Generator()).renders.shape == (3, SIDE // 2, SIDE // 2, 3)


def test_batches_follow_from_the_generator(folder):
    first, again, other = (
        Triplets([folder], SIDE, memory=budget).sample(6, torch.Generator().manual_seed(seed))
        for seed, budget in ((1, 1 << 20), (1, 0), (2, 0))
    )
    assert torch.equal(first.truths, again.truths) and torch.equal(first.references, again.references)
    assert not torch.equal(first.truths, other.truths)


def test_middle_and_whole_are_for_evaluation(folder):
    triplets = Triplets([folder], SIDE, references=2, split="val")
    batch = triplets.middle([1, 0])
    assert levels(batch.truths)[:, 0, 0].tolist() == [[12, 7, 2], [12, 7, 1]]
    assert batch.known.tolist() == [[True, False]] * 2 and not bool(batch.references[:, 1].any())
    whole = triplets.whole(0)
    assert whole.renders.shape == (1, HEIGHT, WIDTH, 3) and whole.references.shape == (1, 2, HEIGHT, WIDTH, 3)
    assert Triplets([folder], SIDE, references=0).middle([0]).references.shape == (1, 0, SIDE, SIDE, 3)


def test_a_copy_of_the_answer_is_no_reference(tmp_path):
    for name, image in (
        ("render", picture(9)),
        ("truth", picture(1)),
        ("copy", picture(1)),
        ("other", picture(2, 60, 80)),
    ):
        write_image(tmp_path / f"{name}.png", image)
    entry = {"render": "render.png", "gt": "truth.png"}
    pairs = {"s_sparse_10_1": entry | {"ref": "copy.png"}, "s_sparse_10_2": entry | {"ref": "other.png"}}
    (tmp_path / "data.json").write_text(json.dumps({"train": pairs}))
    batch = Triplets([tmp_path / "data.json"], SIDE).middle([0, 1])
    assert batch.known.tolist() == [[False], [True]]
    assert not bool(batch.references[0].any()) and batch.references.shape == (2, 1, SIDE, SIDE, 3)


def test_refusals(folder):
    with pytest.raises(InputError, match="of the split 'train' and of coarse"):
        Triplets([folder], SIDE, strategies=("coarse",))
    with pytest.raises(InputError, match="at least 31 each way"):
        Triplets([folder], 31).sample(1, torch.Generator())
