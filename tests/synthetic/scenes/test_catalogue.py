"""The named scenes: reproducible, distinct, with room for their cameras."""

import numpy as np
import pytest
import torch

from unseen.core import InputError
from unseen.synthetic.scenes import SCENES, Scene, plan_of, shoot

COARSE = 0.08


@pytest.fixture(scope="module", params=SCENES)
def made(request: pytest.FixtureRequest) -> tuple[str, Scene]:
    return request.param, plan_of(request.param).build(1, COARSE)


@pytest.mark.slow
def test_cameras_keep_clear_of_things_and_see_the_scene(made: tuple[str, Scene]) -> None:
    name, scene = made
    for camera in SCENES[name].cameras(40, 64, 48, 1):
        shot = shoot(scene, camera, supersampling=1)
        seen = shot.depth[shot.depth > 0]
        assert seen.numel() > 500 and float(seen.min()) > 0.15 and float(seen.median()) > 0.6
        assert 25 < float(shot.image.double().mean()) < 230 and float(shot.image.double().std()) > 15
    assert np.isfinite(scene.light).all() and (scene.light >= 0).all() and (scene.exposure > 0).all()


def test_equal_seeds_give_equal_pictures_and_others_do_not() -> None:
    plan = plan_of("table")
    one, two, other = (plan.build(seed, COARSE) for seed in (1, 1, 2))
    camera = plan.cameras(8, 80, 60, 1)[3]
    first, second, third = (shoot(scene, camera).image for scene in (one, two, other))
    assert torch.equal(first, second) and (first.int() - third.int()).abs().double().mean() > 8
    shot = shoot(one, camera)
    assert 0.1 < float((shot.subject > 127).double().mean()) < 0.9


def test_there_is_no_other_scene() -> None:
    with pytest.raises(InputError, match="room, table, courtyard"):
        plan_of("cellar")
