"""The small fixer that comes with the package: it repairs renders of fits of few photos and leaves good ones alone."""

import json
from dataclasses import replace

import pytest
import torch

from unseen.fit.metrics import psnr
from unseen.io.images import read_image
from unseen.io.triplets import read_triplets
from unseen.jobs.curate.job import CurateRequest, run_curate
from unseen.jobs.curate.plan import SMALL_FIT, FullPlan
from unseen.jobs.progress import Silent
from unseen.priors.fixer.loading import load_fixer
from unseen.priors.fixer.pipeline import TINY
from unseen.synthetic.scenes.catalogue import JUDGED_FROM, film_scene


@pytest.fixture(scope="module")
def triplets(tmp_path_factory):
    """Of a place that no fixer was trained on: fitted to every eighth photo, and to almost all."""
    folder = tmp_path_factory.mktemp("tiny-fixer")
    film_scene("room", folder / "room", photos=32, width=160, height=120, seed=JUDGED_FROM + 500, detail=0.3)
    fit = replace(SMALL_FIT, steps=700)
    plan = FullPlan(strategies=("sparse", "underfitting"), every=(8,), at=(), fit=fit, views=10)
    run_curate(CurateRequest((folder / "room",), folder / "triplets", plan), Silent())
    return read_triplets(folder / "triplets")


def gains(triplets, strategy, fixer, photos=3):
    """In dB over the renders, and how good those are."""
    found = []
    for triplet in triplets:
        if triplet.strategy != strategy:
            continue
        render, truth, *references = (
            torch.as_tensor(read_image(path)).float() / 255
            for path in (triplet.render, triplet.truth, *triplet.references[:photos])
        )
        beside = torch.stack(references) if references else render.new_zeros(0, *render.shape)
        fixed = fixer.fix(render[None], [beside], seed=0).images[0]
        before, after = (float(psnr(image[None], truth[None])) for image in (render, fixed))
        found.append((after - before, before))
    return torch.tensor(found).mean(0).tolist()


@pytest.mark.slow
def test_renders_of_poor_fits_gain_and_good_ones_lose_nothing(triplets):
    fixer = load_fixer("tiny")
    gained, before = gains(triplets, "sparse", fixer)
    assert before < 20 and gained > 0.5, (gained, before)
    gained, before = gains(triplets, "underfitting", fixer)
    assert before > 24 and gained > -0.1, (gained, before)


def test_what_is_told_of_it_was_measured():
    """By benchmarks/repair.py, on places that it was not trained on."""
    found = json.loads((TINY / "evaluation.json").read_text())
    rows = {(row["kind"], row["what"]): [] for row in found["images"]}
    for row in found["images"]:
        rows[row["kind"], row["what"]].append(row["psnr"])
    mean = {key: sum(values) / len(values) for key, values in rows.items()}
    assert mean["sparse", "fixed, 3 photos"] > mean["sparse", "render"]
    assert sum(p.stat().st_size for p in TINY.rglob("*")) < 40e6
