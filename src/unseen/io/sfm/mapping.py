"""The second half of structure from motion: cameras and points from the matches."""

from __future__ import annotations

import shutil
from dataclasses import replace

from unseen.io.atomic import make_folder
from unseen.io.colmap.project import read_model
from unseen.io.colmap.records import Model
from unseen.io.sfm.settings import Run


def solve(run: Run) -> Model | None:
    """The largest of the models COLMAP's incremental mapper finds; None where it finds none.

    One thread: with more, the sums of the bundle adjustment come out differently each time, and with them the model.
    """
    options = run.pycolmap.IncrementalPipelineOptions()
    options.num_threads = 1
    options.random_seed = run.options.seed
    run.pycolmap.set_random_seed(run.options.seed)
    folder = run.work / "models"
    shutil.rmtree(folder, ignore_errors=True)
    placed = 0

    def advance() -> None:
        nonlocal placed
        placed += 1
        run.progress("cameras", min(placed, len(run.names)), len(run.names))

    found = run.pycolmap.incremental_mapping(
        run.database, run.pictures, make_folder(folder), options, next_image_callback=advance
    )
    if not found:
        return None
    number, _ = max(found.items(), key=lambda item: (item[1].num_reg_images(), -item[0]))
    model = read_model(folder / str(number))
    shutil.rmtree(folder, ignore_errors=True)
    run.progress("cameras", len(run.names), len(run.names))
    return model


def renamed(model: Model, original: dict[str, str]) -> Model:
    """The model with the pictures' own names."""
    images = {number: replace(image, name=original[image.name]) for number, image in model.images.items()}
    return replace(model, images=images)
