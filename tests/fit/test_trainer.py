"""Fitting splats to pictures: it converges, resumes to the bit, and does not depend on how many processes share it."""

import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import multiprocessing

from fitting_scenes import Shelf, blobs, pictures_of, ring_of_cameras
from unseen.core.errors import InputError
from unseen.fit.config import FitConfig
from unseen.fit.distributed import joined_ranks
from unseen.fit.initial import random_points, splats_at_points
from unseen.fit.metrics import psnr
from unseen.fit.strategies.mcmc import PENALTIES
from unseen.fit.targets import over
from unseen.fit.trainer import SceneTrainer, extent_of
from unseen.render.scene import render_gaussians

CPU = torch.device("cpu")
SHORT = FitConfig(steps=40, max_splats=600, coarse=0.0, sh_degree=1)


def trainer(shelf: Shelf, config: FitConfig, ranks=None, seed: int = 0) -> SceneTrainer:
    points, colors = random_points(300, 0.5, torch.Generator().manual_seed(seed))
    start = splats_at_points(points, colors, config.sh_degree, 0.3, 1.0)
    cameras = [p.camera for p in shelf.pictures]
    fitted = range(len(cameras))
    return SceneTrainer(shelf, fitted, start, config, extent_of(cameras), seed, CPU, ranks)


def run(t: SceneTrainer, steps: int | None = None) -> SceneTrainer:
    while not t.done and (steps is None or steps > 0):
        t.step()
        steps = None if steps is None else steps - 1
    return t


def mean_psnr(t: SceneTrainer, shelf: Shelf) -> float:
    splats = t.gaussians()
    values = [
        float(psnr(render_gaussians(splats, p.camera, 0.0), over(p.image, p.alpha, torch.zeros(3))))
        for p in shelf.pictures
    ]
    return sum(values) / len(values)


def same(a: SceneTrainer, b: SceneTrainer) -> bool:
    return all(torch.equal(x, b.splats.state()[name]) for name, x in a.splats.state().items())


@pytest.fixture(scope="module")
def shelf() -> Shelf:
    return pictures_of(blobs(), ring_of_cameras(8))


@pytest.mark.parametrize("strategy", ["default", "mcmc"])
def test_pictures_it_never_saw_come_out(strategy):
    penalties = PENALTIES if strategy == "mcmc" else {}
    config = FitConfig(steps=900, max_splats=600, strategy=strategy, sh_degree=0, **penalties)
    pictures = pictures_of(blobs(), ring_of_cameras(24)).pictures
    seen, unseen = (Shelf([p for i, p in enumerate(pictures) if (i % 4 == 0) == held]) for held in (False, True))
    fitted = run(trainer(seen, config))
    assert mean_psnr(fitted, seen) > 27
    assert mean_psnr(fitted, unseen) > 24
    assert len(fitted.splats) <= 600


@pytest.mark.parametrize(
    "change",
    [{}, {"strategy": "mcmc"}, {"compensation": "exposure"}, {"compensation": "bilateral"}, {"selective": True},
     {"batch": 3, "random_background": True}],
)  # fmt: skip
def test_a_checkpoint_continues_to_the_bit(shelf, tmp_path, change):
    config = replace(SHORT, steps=230, **change)  # one refinement on either side of the break
    whole = run(trainer(shelf, config))
    broken = run(trainer(shelf, config), 107)
    broken.save(tmp_path / "fit.safetensors")
    resumed = trainer(shelf, config)
    resumed.load(tmp_path / "fit.safetensors")
    assert same(run(resumed), whole)


def test_a_checkpoint_of_another_run_is_refused(shelf, tmp_path):
    run(trainer(shelf, SHORT), 2).save(tmp_path / "fit.safetensors")
    with pytest.raises(InputError, match="another seed"):
        trainer(shelf, replace(SHORT, ssim_weight=0.3)).load(tmp_path / "fit.safetensors")
    with pytest.raises(InputError, match="another seed"):
        trainer(shelf, SHORT, seed=1).load(tmp_path / "fit.safetensors")
    trainer(shelf, replace(SHORT, checkpoint_every=7)).load(tmp_path / "fit.safetensors")


def test_every_photo_is_seen_before_any_is_seen_again(shelf):
    t = trainer(shelf, SHORT)
    order = [photo for photo, _ in zip(t._order(0), range(24), strict=False)]
    assert all(sorted(order[k : k + 8]) == list(range(8)) for k in (0, 8, 16))
    assert order[:8] != order[8:16]
    assert [photo for photo, _ in zip(t._order(5), range(19), strict=False)] == order[5:]


def test_exposure_takes_up_what_the_cameras_did():
    gains = [1.0, 0.6, 1.0, 0.6, 1.0, 0.6, 1.0, 0.6]
    dark = pictures_of(blobs(), ring_of_cameras(8), gains)
    config = FitConfig(steps=600, max_splats=600, sh_degree=0, compensation="exposure")
    maps = run(trainer(dark, config)).appearance.maps.detach().reshape(8, 3, 4)
    strength = maps.diagonal(dim1=1, dim2=2).mean(1)
    assert strength[::2].min() > strength[1::2].max() + 0.1


def test_depth_pulls_splats_to_where_it_says(shelf):
    config = FitConfig(steps=5, max_splats=600, sh_degree=0, depth_weight=1.0, coarse=0.0)
    deep = Shelf([replace(p, depth=np.full(p.image.shape[:2], 1.0, np.float32)) for p in shelf.pictures])
    with_depth, without = trainer(deep, config), trainer(shelf, config)
    assert with_depth.step() > without.step()


def test_masked_pixels_do_not_matter(shelf):
    mask = np.zeros((48, 48), np.uint8)
    mask[:, :24] = 255
    spoiled = []
    for p in shelf.pictures:
        image = p.image.copy()
        image[:, 30:] = 255
        spoiled.append(replace(p, image=image, mask=mask))
    config = replace(SHORT, ssim_weight=0.0)
    clean = Shelf([replace(p, mask=mask) for p in shelf.pictures])
    assert same(run(trainer(Shelf(spoiled), config), 10), run(trainer(clean, config), 10))


def _work(rank: int, port: int, folder: str) -> None:
    os.environ.update(
        RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), LOCAL_RANK=str(rank)
    )
    torch.set_num_threads(1)
    with joined_ranks() as ranks:
        t = run(trainer(pictures_of(blobs(), ring_of_cameras(8)), replace(SHORT, steps=130), ranks))
        torch.save(t.splats.state(), f"{folder}/{rank}.pt")


def test_two_processes_give_the_result_of_one(shelf, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    multiprocessing.spawn(_work, (port, str(tmp_path)), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    alone = run(trainer(shelf, replace(SHORT, steps=130, batch=2))).splats.state()
    assert first["splats.means"].shape == alone["splats.means"].shape
    for name in ("splats.means", "splats.sh", "splats.logit_opacities"):
        torch.testing.assert_close(first[name], alone[name], rtol=1e-3, atol=2e-3)
