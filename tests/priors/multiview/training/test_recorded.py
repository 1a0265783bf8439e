"""Albums of recorded people, from a capture of the built-in head painted by direction."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from unseen.core.errors import InputError
from unseen.head.library import head_model
from unseen.head.params import HeadParams
from unseen.head.posing import posed_vertices
from unseen.head.sequence import params_to_arrays
from unseen.io.captures import write_capture
from unseen.priors.multiview.framing import HeadPlace
from unseen.priors.multiview.training.albums import VIEWS, Album
from unseen.priors.multiview.training.pictures import Pictures
from unseen.priors.multiview.training.recorded import record_albums
from unseen.render.mesh import normal_map, rasterize_mesh

SIZE, STEPS = 96, 4


@pytest.fixture(scope="module")
def model():
    return head_model()


def record(folder, model, cameras_at, with_params=True):
    """A head that turns its neck, seen from some yaws; colours are its normals in the world."""
    s = torch.linspace(-1, 1, STEPS)
    params = replace(HeadParams.zeros(model, STEPS), neck_pose=torch.stack([0 * s, 0.2 * s, 0 * s], -1))
    cameras = [HeadPlace.of(model, params[0]).camera(yaw, 5.0, SIZE) for yaw in cameras_at]
    images, masks = [], []
    for vertices in posed_vertices(model, params):
        for camera in cameras:
            buffers = rasterize_mesh(vertices, model.faces, camera)
            normals = normal_map(buffers, vertices, model.faces)
            images.append(((normals + 1) * 127.5).byte().numpy())
            masks.append((buffers.mask * 255).byte().numpy())
    arrays = params_to_arrays(params) if with_params else None
    write_capture(folder, cameras, images, masks, arrays, head_model=model.variant, centre=False)


def test_albums_show_the_head_from_all_around_with_its_normals(tmp_path, model):
    record(tmp_path / "captures" / "one", model, np.arange(12) * 30 - 175)
    told = []
    paths = record_albums(tmp_path / "captures", tmp_path / "albums", 64, 2, None, lambda *a: told.append(a))
    assert [p.name for p in paths] == ["one-00000.npz", "one-00001.npz"] and told == [(1, 2), (2, 2)]
    album = Album.load(paths[0])
    assert album.images.shape == album.normals.shape == (VIEWS, 64, 64, 3) and album.references.shape[0] == 3
    assert np.diff(album.yaws_deg).min() > 0 and np.diff(album.yaws_deg).max() < 70
    np.testing.assert_allclose(album.pitches_deg, 5.0, atol=1.0)
    # the head stands where its normals do: what is painted covers what has a normal
    painted = (album.images < 250).any(-1)
    grey = (np.abs(album.normals.astype(int) - 127) <= 1).all(-1)
    assert (painted == ~grey).mean() > 0.97
    # from nearly the front the camera's x axis is nearly the world's
    front = int(np.abs(album.yaws_deg).argmin())
    inside = painted[front] & ~grey[front]
    camera_x, world_x = (a[front][inside][:, 0].astype(float) for a in (album.normals, album.images))
    assert np.corrcoef(camera_x, world_x)[0, 1] > 0.85
    Pictures(paths, 32)


def test_albums_that_are_there_are_kept(tmp_path, model):
    record(tmp_path / "one", model, np.arange(8) * 45 - 170)
    paths = record_albums(tmp_path / "one", tmp_path / "albums", 32, 1, None, lambda *a: None)
    before = paths[0].stat().st_mtime_ns
    record_albums(tmp_path / "one", tmp_path / "albums", 32, 1, None, lambda *a: None)
    assert paths[0].stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("yaws", "with_params", "message"),
    [
        (np.arange(3) * 45, True, "has 3 view"),
        (np.arange(8) * 45, False, "no head parameters"),
        (60 + np.arange(8) * 30, True, "of the face's yaw"),
    ],
)
def test_recordings_that_will_not_do_are_named(tmp_path, model, yaws, with_params, message):
    record(tmp_path / "one", model, yaws, with_params)
    with pytest.raises(InputError, match=message):
        record_albums(tmp_path / "one", tmp_path / "albums", 32, 1, "procedural", lambda *a: None)


def test_no_captures_is_said(tmp_path):
    with pytest.raises(InputError, match="no captures"):
        record_albums(tmp_path, tmp_path / "albums", 32, 1, None, lambda *a: None)
