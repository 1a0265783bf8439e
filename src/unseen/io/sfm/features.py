"""The first half of structure from motion: features and verified matches, in COLMAP's database."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from unseen.io.atomic import write_text
from unseen.io.colmap.models import MODELS
from unseen.io.sfm import pairs as pairing
from unseen.io.sfm.focal import Device, device_of
from unseen.io.sfm.settings import Run

GUESSED_FOCAL = 1.2
"""Focal length in units of the longer side where EXIF tells none: a usual wide lens."""
_EXTRACT_BATCH, _MATCH_BATCH = 8, 100


def extract(run: Run) -> None:
    """SIFT features of all pictures that have none yet; pictures of one device share one camera."""
    _register(run)
    options = run.pycolmap.FeatureExtractionOptions()
    options.num_threads = run.options.threads
    options.max_image_size = run.options.max_side
    options.sift.max_num_features = run.options.max_features
    missing = [name for name, count in num_features(run).items() if count is None]
    done = len(run.names) - len(missing)
    for batch in _batches(missing, _EXTRACT_BATCH):
        run.progress("features", done, len(run.names))
        run.pycolmap.extract_features(
            run.database, run.pictures, image_names=batch, extraction_options=options, device=run.pycolmap.Device.cpu
        )
        done += len(batch)
    run.progress("features", len(run.names), len(run.names))


def match(run: Run) -> None:
    """Matches, verified by epipolar geometry, of all chosen pairs that have none yet."""
    matching = run.pycolmap.FeatureMatchingOptions()
    matching.num_threads = run.options.threads
    verification = run.pycolmap.TwoViewGeometryOptions()
    verification.ransac.random_seed = run.options.seed
    pairing_options = run.pycolmap.ImportedPairingOptions()
    listing = run.work / "pairs.txt"
    pairing_options.match_list_path = str(listing)
    chosen = _choose_pairs(run)
    for done, batch in enumerate(_batches(chosen, _MATCH_BATCH)):
        run.progress("matches", done * _MATCH_BATCH, len(chosen))
        write_text(listing, "".join(f"{run.names[i]} {run.names[j]}\n" for i, j in batch))
        run.pycolmap.match_image_pairs(
            run.database, matching, pairing_options, verification, device=run.pycolmap.Device.cpu
        )
    listing.unlink(missing_ok=True)
    run.progress("matches", len(chosen), len(chosen))


def num_features(run: Run) -> dict[str, int | None]:
    """How many features each picture has; None where they were not looked for."""
    with run.pycolmap.Database.open(run.database) as database:
        images = {image.name: image.image_id for image in database.read_all_images()}
        return {
            name: database.num_keypoints_for_image(images[name])
            if name in images and database.exists_keypoints(images[name])
            else None
            for name in run.names
        }


def num_partners(run: Run) -> dict[str, int]:
    """With how many others each picture has verified matches."""
    counts = dict.fromkeys(run.names, 0)
    with run.pycolmap.Database.open(run.database) as database:
        names = {image.image_id: image.name for image in database.read_all_images()}
        ids, inliers = database.read_two_view_geometry_num_inliers()
        for pair, count in zip(ids, inliers, strict=True):
            for image in run.pycolmap.pair_id_to_image_pair(pair):
                counts[names[image]] += count > 0
    return counts


def _register(run: Run) -> None:
    """Enter pictures in their order (numbers then do not depend on threads), one camera per device."""
    with run.pycolmap.Database.open(run.database) as database:
        known = {image.name: image.camera_id for image in database.read_all_images()}
    cameras: dict[Device, int] = {}
    for i, name in enumerate(run.names):
        run.progress("pictures", i, len(run.names))
        device = device_of(run.pictures / name)
        if name in known:
            cameras[device] = known[name]
            continue
        if device not in cameras:
            with run.pycolmap.Database.open(run.database) as database:
                cameras[device] = database.write_camera(_camera(run, device))
        options = run.pycolmap.ImageReaderOptions()
        options.existing_camera_id = cameras[device]
        run.pycolmap.import_images(run.database, run.pictures, image_names=[name], options=options)
    run.progress("pictures", len(run.names), len(run.names))


def _camera(run: Run, device: Device) -> Any:
    focal = device.focal_px or GUESSED_FOCAL * max(device.width, device.height)
    given = {"f": focal, "fx": focal, "fy": focal, "cx": device.width / 2, "cy": device.height / 2}
    model = run.options.camera_model
    parameters = [given.get(name, 0.0) for name in MODELS[model].parameters]
    camera = run.pycolmap.Camera(model=model, width=device.width, height=device.height, params=parameters)
    camera.has_prior_focal_length = device.focal_px is not None
    return camera


def _choose_pairs(run: Run) -> list[pairing.Pair]:
    count = len(run.names)
    if count <= pairing.EXHAUSTIVE_LIMIT and not run.in_time:
        return pairing.all_pairs(count)
    neighbours = pairing.LOOP_LOOKALIKES if run.in_time else pairing.LOOKALIKES
    signatures = pairing.signatures_of(_descriptors(run), run.options.seed)
    return sorted(pairing.pairs_in_time(count) | pairing.lookalike_pairs(signatures, neighbours))


def _descriptors(run: Run) -> list[np.ndarray]:
    with run.pycolmap.Database.open(run.database) as database:
        images = {image.name: image.image_id for image in database.read_all_images()}
        return [
            np.asarray(database.read_descriptors(images[name]).data).reshape(-1, 128)
            if database.exists_descriptors(images[name])
            else np.zeros((0, 128), np.uint8)
            for name in run.names
        ]


def _batches(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    return (list(items[start : start + size]) for start in range(0, len(items), size))
