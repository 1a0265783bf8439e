import numpy as np
import pytest
import torch

from photo_samples import shoot
from unseen.core.camera import Camera
from unseen.io.lens import Lens
from unseen.io.resample import resample_area, resample_nearest

BARREL = Lens(160, 120, (110, 110), (82, 58), (-0.2, 0.05), (), (0.002, -0.001))
FISHEYE = Lens(160, 120, (80, 80), (80, 60), (0.02, -0.01), fisheye=True)


def smooth(rays: np.ndarray) -> np.ndarray:
    """Waves of a few pixels' length."""
    return 0.5 + 0.4 * np.sin(rays * [9, 11, 25] + [0, 1, 2])


def camera_of(pinhole: Lens, scale: float = 1.0) -> Camera:
    camera = Camera(torch.eye(4), pinhole.K, pinhole.width, pinhole.height)
    return camera.resized(round(pinhole.width * scale), round(pinhole.height * scale))


def lens_of(camera: Camera) -> Lens:
    k = camera.K.double()
    return Lens(camera.width, camera.height, (float(k[0, 0]), float(k[1, 1])), (float(k[0, 2]), float(k[1, 2])))


@pytest.mark.parametrize("lens", [BARREL, FISHEYE])
@pytest.mark.parametrize("scale", [1.0, 0.5, 0.3])
def test_undistorted_picture_is_what_the_pinhole_would_have_taken(lens, scale):
    camera = camera_of(lens.pinhole(), scale)
    got, expected = resample_area(shoot(lens, smooth), lens, camera), shoot(lens_of(camera), smooth, 6)
    error = np.abs(got.astype(int) - expected)
    assert error.mean() < 1.0 and error.max() < 9
    shifted = np.abs(got[:, 1:].astype(int) - expected[:, :-1]).mean()
    assert shifted > 4 * error.mean()  # the test would notice half a pixel


def test_without_distortion_at_full_size_nothing_changes():
    lens = Lens(31, 22, (40, 41), (15.5, 11))
    image = np.random.default_rng(0).integers(0, 256, (22, 31, 3), dtype=np.uint8)
    assert np.array_equal(resample_area(image, lens, camera_of(lens)), image)


def test_transparent_pixels_do_not_bleed():
    lens = Lens(4, 2, (4, 4), (2, 1))
    image = np.zeros((2, 4, 4), np.uint8)
    image[:, 0] = image[:, 3] = (200, 100, 50, 255)
    image[:, 1:3] = (0, 255, 0, 0)
    assert resample_area(image, lens, camera_of(lens, 0.5)).tolist() == [[[200, 100, 50, 128]] * 2]


def test_depth_is_not_mixed():
    lens = Lens(40, 30, (40, 40), (20, 15), (-0.1,))
    depth = np.where(np.arange(40) < 20, 1, 9).astype(np.float32)[None].repeat(30, 0)
    got = resample_nearest(depth, lens, camera_of(lens.pinhole(), 0.37))
    assert set(np.unique(got)) == {1.0, 9.0}
