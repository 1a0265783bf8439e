"""Invented people, photographed; slow-ish, since hair grows."""

import numpy as np
import pytest

from unseen.priors.multiview.training.albums import render_album, render_albums


@pytest.fixture(scope="module")
def album():
    return render_album(3, 64, views=4, references=1)


def test_people_stand_on_white_where_the_normals_are(album):
    assert album.images.shape == album.normals.shape == (4, 64, 64, 3) and album.references.shape == (1, 64, 64, 3)
    for image, normal in zip(album.images, album.normals, strict=True):
        person = np.abs(normal.astype(int) - 128).max(-1) > 20
        white = image.min(-1) > 250
        assert 0.15 < person.mean() < 0.7
        assert (white & person).mean() < 0.05  # what the mesh covers, the person does
        assert white[:4].mean() > 0.6


def test_views_go_round_the_head(album):
    turned = np.sort(album.yaws_deg % 360)
    assert np.diff(turned).max() < 180
    assert np.abs(album.pitches_deg).max() <= 40


def test_the_face_is_in_the_reference(album):
    """Skin is warmer than it is blue."""
    middle = album.references[0, 24:36, 26:38].reshape(-1, 3).astype(int)
    assert (middle[:, 0] > middle[:, 2]).mean() > 0.6


def test_seeds_make_people_and_finished_albums_are_kept(album, tmp_path):
    again = render_album(3, 64, views=4, references=1)
    assert np.array_equal(again.images, album.images) and np.array_equal(again.normals, album.normals)
    told = []
    (tmp_path / "000001.npz").write_bytes(b"kept")
    paths = render_albums(tmp_path, [1], 64, 1, lambda k, n: told.append((k, n)))
    assert paths[0].read_bytes() == b"kept" and told == []
