import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from unseen.core.errors import FormatError
from unseen.io.colmap.models import MODELS, lens_of
from unseen.io.lens import MAX_HALF_FOV_RAD, Lens

VALUES = {
    "f": 500,
    "fx": 510,
    "fy": 480,
    "cx": 315,
    "cy": 250,
    "p1": 0.002,
    "p2": -0.003,
    "sx": 0.001,
    "sy": -0.002,
    "n1": -0.08,
    "n2": 0.03,
    "n3": -0.004,
    "n4": 0.001,
    "d1": 0.02,
    "d2": -0.01,
    "d3": 0.003,
}


def sample(name: str) -> Lens:
    return lens_of(name, 640, 480, [VALUES[key] for key in MODELS[name].parameters])


def pixels(lens: Lens, step: int = 16) -> np.ndarray:
    rows, columns = np.mgrid[0 : lens.height + 1 : step, 0 : lens.width + 1 : step]
    return np.stack([columns, rows], -1).reshape(-1, 2).astype(float)


@pytest.mark.parametrize("name", MODELS)
def test_projects_as_colmap_does(name):
    pycolmap = pytest.importorskip("pycolmap", reason="needs pycolmap, the independent implementation")
    generator = np.random.default_rng(0)
    points = generator.normal(size=(500, 3)) * [0.5, 0.4, 0.2] + [0, 0, 1.5]
    camera = pycolmap.Camera(model=name, width=640, height=480, params=[VALUES[key] for key in MODELS[name].parameters])
    theirs = camera.img_from_cam(points)
    assert np.abs(sample(name).project(points) - theirs).max() < 1e-9
    rays, certain = sample(name).unproject(pixels(sample(name)))
    assert certain.all()
    np.testing.assert_allclose(rays[:, :2] / rays[:, 2:], camera.cam_from_img(pixels(sample(name))), atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_unproject_inverts_project(name):
    lens = sample(name)
    rays, certain = lens.unproject(pixels(lens))
    assert certain.all()
    np.testing.assert_allclose(np.linalg.norm(rays, axis=1), 1)
    np.testing.assert_allclose(lens.project(rays), pixels(lens), atol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_pinhole_shows_only_what_the_picture_shows(name):
    lens = sample(name)
    seen = lens.project(lens.pinhole().unproject(pixels(lens.pinhole(), 4))[0])
    assert (seen > -1e-6).all() and (seen < np.array([lens.width, lens.height]) + 1e-6).all()
    assert lens.pinhole().focal == lens.focal


@settings(deadline=None, max_examples=60)
@given(st.floats(-0.5, 0.5), st.floats(-0.2, 0.2), st.booleans(), st.floats(0.3, 2), st.floats(-0.3, 0.3))
def test_pinhole_of_any_lens_stays_inside_or_is_refused(k1, k2, fisheye, zoom, shift):
    lens = Lens(320, 240, (320 * zoom, 320 * zoom), (160 + 160 * shift, 120), (k1, k2), fisheye=fisheye)
    try:
        pinhole = lens.pinhole()
    except FormatError:
        return
    rays, _ = pinhole.unproject(pixels(pinhole))
    seen = lens.project(rays)
    assert (seen > -1e-6).all() and (seen < np.array([320, 240]) + 1e-6).all()
    assert pinhole is lens or np.abs(rays[:, :2] / rays[:, 2:]).max() <= np.tan(MAX_HALF_FOV_RAD) + 1e-9


def test_a_half_sphere_of_fisheye_is_cut_to_what_a_pinhole_can_show():
    focal = 320 / np.pi  # 180 degrees across
    pinhole = Lens(320, 320, (focal, focal), (160, 160), fisheye=True).pinhole()
    assert pinhole.width == pinhole.height == int(2 * np.tan(MAX_HALF_FOV_RAD) * focal)


def test_rays_beyond_the_fold_are_uncertain():
    lens = Lens(640, 480, (300, 300), (320, 240), (-0.3,))  # r - 0.3 r³ turns back at r = 1.05
    _, certain = lens.unproject(np.array([[320.0, 240.0], [400, 240], [0, 0]]))
    assert certain.tolist() == [True, True, False]


@pytest.mark.parametrize("name", MODELS)
def test_turning_the_picture_turns_the_lens(name):
    points = np.random.default_rng(1).normal(size=(50, 3)) * 0.3 + [0, 0, 2]
    before = sample(name).project(points)
    after = sample(name).turned(1).project(points @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]))
    np.testing.assert_allclose(after, np.stack([480 - before[:, 1], before[:, 0]], 1), atol=1e-9)
    back = sample(name).turned(3).turned(1).project(points)
    np.testing.assert_allclose(back, before, atol=1e-9)


def test_resized_lens():
    points = np.random.default_rng(1).normal(size=(50, 3)) * 0.3 + [0, 0, 2]
    lens = sample("OPENCV")
    np.testing.assert_allclose(lens.resized(320, 240).project(points), lens.project(points) / 2, atol=1e-9)


def test_what_no_lens_is():
    with pytest.raises(FormatError, match="expected positive numbers"):
        Lens(640, 480, (0, 1), (1, 1))
    with pytest.raises(FormatError, match="finite"):
        Lens(640, 480, (1, 1), (1, 1), (float("nan"),))
    with pytest.raises(FormatError, match="no upright rectangle"):
        Lens(640, 480, (300, 300), (2000, 240), (0.1,)).pinhole()
