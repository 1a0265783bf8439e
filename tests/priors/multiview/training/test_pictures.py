import numpy as np
import pytest
import torch

from unseen.core.errors import InputError
from unseen.priors.multiview.training.albums import Album
from unseen.priors.multiview.training.pictures import Pictures, Recoloring, mirrored_normals


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two small albums of noise, each view's red its own."""
    place = tmp_path_factory.mktemp("albums")
    rng = np.random.default_rng(0)
    for who in range(2):
        images = rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8)
        yaws = np.array([-90.0, 0.0, 30.0, 170.0], np.float32)
        album = Album(images, rng.integers(0, 256, (4, 64, 64, 3), dtype=np.uint8), images[:2], yaws, 0 * yaws)
        album.save(place / f"{who:06d}.npz")
    return place


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_albums_come_back(folder):
    album = Album.load(folder / "000000.npz")
    assert album.images.shape == (4, 64, 64, 3) and album.yaws_deg.dtype == np.float32
    (folder / "broken.bin").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(InputError, match="not an album"):
        Album.load(folder / "broken.bin")


def test_batches_are_drawn_by_their_generator_alone(folder):
    pictures = Pictures(sorted(folder.glob("*.npz")), 32)
    a, b = (pictures.batch(3, 2, generator()) for _ in range(2))
    assert torch.equal(a.images, b.images) and torch.equal(a.references, b.references)
    assert a.images.shape == (3, 2, 32, 32, 3) and a.cameras.shape == (3, 2, 4, 4)
    assert not torch.equal(a.images, pictures.batch(3, 2, generator(1)).images)
    assert a.images.min() >= 0 and a.images.max() <= 1


def test_a_view_goes_with_its_normals_and_camera(folder):
    """Of unrecoloured people: the picture at the drawn index, mirrored if its flag says so."""
    pictures = Pictures(sorted(folder.glob("*.npz")), 64)
    found = set()
    for seed in range(12):
        batch = pictures.batch(4, 3, generator(seed))
        for sample, view in np.ndindex(4, 3):
            who, index, flip = (int(i[sample, view]) for i in batch.views)
            image = pictures.images[who, index].float() / 255
            expected = image.flip(1) if flip else image
            if torch.allclose(batch.images[sample, view], expected, atol=1e-6):
                found.add(bool(flip))
            x = float(batch.cameras[sample, view][0, 3])  # of the camera's place
            side = np.sin(np.radians([-90.0, 0.0, 30.0, 170.0][index]))
            assert x == pytest.approx(-side if flip else side, abs=1e-5)
            assert torch.linalg.det(batch.cameras[sample, view][:3, :3]) == pytest.approx(1.0, abs=1e-5)
    assert found == {True, False}  # a third of all people keep their colours


@pytest.mark.parametrize("seed", range(8))
def test_white_stays_white_and_gray_stays_gray_but_for_contrast(seed):
    recolor = Recoloring.draw(generator(seed))
    assert torch.allclose(recolor(torch.ones(2, 2, 3)), torch.ones(2, 2, 3), atol=1e-5)
    out = recolor(torch.rand(50, 3, generator=generator()))
    assert torch.isfinite(out).all() and out.min() >= 0 and out.max() <= 1


def test_mirroring_twice_is_nothing():
    normals = torch.rand(3, 8, 8, 3)
    once = mirrored_normals(normals)
    torch.testing.assert_close(mirrored_normals(once), normals)
    torch.testing.assert_close(once[:, :, 0, 0], 1 - normals[:, :, -1, 0])
    torch.testing.assert_close(once[:, :, 0, 1:], normals[:, :, -1, 1:])


def test_sizes_must_divide(folder):
    with pytest.raises(InputError, match="multiple of 48"):
        Pictures(sorted(folder.glob("*.npz")), 48)
    with pytest.raises(InputError, match="no albums"):
        Pictures([], 32)
