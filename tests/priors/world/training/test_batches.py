"""Batches say what is true: cameras, distances, which view is shown."""

import pytest
import torch
from torch import Generator

from small_models import small_world, small_world_config
from unseen.priors.world.cameras import rays
from unseen.priors.world.training.batches import FilmedWorlds
from unseen.synthetic.worlds import render_worlds

pytestmark = pytest.mark.filterwarnings("ignore:the small model does not know")


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    paths = render_worlds(tmp_path_factory.mktemp("worlds"), range(2), lambda *a: None, views=6, size=(48, 32))
    return FilmedWorlds(paths, small_world_config())


def test_picks_are_spread_over_the_path_and_repeat(worlds):
    picks = worlds.picks(20, 2, Generator().manual_seed(0))
    again = worlds.picks(20, 2, Generator().manual_seed(0))
    for pick, same in zip(picks, again, strict=True):
        assert pick.views.tolist() == same.views.tolist() and pick.prompt == same.prompt
        assert set(pick.views.diff().tolist()) in ({2}, {-2}) and len(pick.views) == 3
        assert not set(pick.others.tolist()) & set(pick.views.tolist()) and len(pick.others) == 2
        assert pick.picture is not None or pick.prompt
        assert not pick.prompt or pick.prompt in worlds.shots[pick.world].captions
    assert {pick.picture is None for pick in picks} == {True, False}


def test_the_shown_view_is_the_only_one_told(worlds):
    model = small_world()
    worlds.encode(model.codec)
    picks = worlds.picks(8, 0, Generator().manual_seed(1))
    conditions, clean = worlds.conditions(picks, model.text)
    assert clean.shape == (8, 4, 3, 4, 6) and conditions.rays.shape == (8, 6, 3, 4, 6)
    for k, pick in enumerate(picks):
        for view in range(3):
            told = clean[k, :, view] if view == pick.picture else torch.zeros(4, 4, 6)
            torch.testing.assert_close(conditions.image[k, :, view], told)


def test_points_at_the_distances_lie_where_other_views_see_them(worlds):
    """Every second pixel of the first view, carried to its distance along its ray, has that distance from the second
    camera too, wherever nothing hides it."""
    pick = worlds.picks(1, 2, Generator().manual_seed(3))[0]
    truth = worlds.truth(pick)
    assert truth.images.shape == (5, 32, 48, 3) and truth.cameras.shape == (5, 11)
    torch.testing.assert_close(truth.cameras[0, :7], torch.tensor([1.0, 0, 0, 0, 0, 0, 0]), atol=1e-6, rtol=0)
    origins, directions = rays(truth.cameras[:3], 32, 48)
    points = (origins + directions * truth.distances.repeat_interleave(2, 1).repeat_interleave(2, 2)[..., None])[0]
    seen = points[::2, ::2].reshape(-1, 3) - origins[1, 0, 0]
    # the pixel of the second view whose ray is nearest
    nearest = (seen / seen.norm(dim=-1, keepdim=True) @ directions[1, ::2, ::2].reshape(-1, 3).T).max(-1)
    inside = nearest.values > 0.9995
    found = truth.distances[1].flatten()[nearest.indices]
    error = (seen.norm(dim=-1) / found - 1).abs()[inside]
    assert inside.float().mean() > 0.3 and error.median() < 0.03
