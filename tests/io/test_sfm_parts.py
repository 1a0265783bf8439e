from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter

from unseen.core.errors import InputError
from unseen.io.sfm.focal import device_of, focal_px
from unseen.io.sfm.frames import extract_frames, pick_frames
from unseen.io.sfm.pairs import all_pairs, lookalike_pairs, pairs_in_time, signatures_of
from unseen.io.video import VideoWriter

FOCAL_MM, FILM_MM, PLANE_X, PLANE_UNIT, TAKEN_X = 0x920A, 0xA405, 0xA20E, 0xA210, 0xA002


def silent(*_):
    """Progress nobody watches."""


def test_focal_length_from_exif():
    full_frame = np.hypot(36, 24)
    assert focal_px({FILM_MM: 26}, 4032, 3024) == pytest.approx(26 / full_frame * 5040)
    # 50 mm on a sensor of 5616 pixels over 36 mm: 3962 dots per inch; the picture was reduced to half
    dots = 5616 / 36 * 25.4
    expected = 50 / 36 * 2808
    assert focal_px({FOCAL_MM: 50.0, PLANE_X: dots, PLANE_UNIT: 2, TAKEN_X: 5616}, 2808, 1872) == pytest.approx(
        expected
    )
    per_cm = {FOCAL_MM: 50.0, PLANE_X: 5616 / 3.6, PLANE_UNIT: 3}
    assert focal_px(per_cm, 5616, 3744) == pytest.approx(50 / 36 * 5616)
    for untold in ({}, {FOCAL_MM: 4.2}, {FILM_MM: 0}, {FILM_MM: 5000}, {FILM_MM: "wide"}):
        assert focal_px(untold, 4032, 3024) is None


def test_devices_differ_by_focal_length_and_size(tmp_path):
    for name, film in {"a": 26, "b": 26, "c": 52}.items():
        exif = Image.Exif()
        exif[0x010F], exif[0x0110] = "Maker\0", "Phone 7"
        exif.get_ifd(0x8769)[FILM_MM] = film
        Image.new("RGB", (40, 30)).save(tmp_path / f"{name}.jpg", exif=exif)
    a, b, c = (device_of(tmp_path / f"{name}.jpg") for name in "abc")
    assert a == b != c and (a.maker, a.model, a.width) == ("Maker", "Phone 7", 40)


def test_the_sharpest_frame_of_each_stretch():
    values = np.array([1, 5, 2, 9, 1, 1, 0, 0, 3, 4])
    assert pick_frames(values, 3) == [3, 4, 9]  # stretches of 4, 3, 3
    assert pick_frames(values, 100) == list(range(10))


def test_blurred_frames_of_a_video_are_passed_over(tmp_path):
    noise = np.random.default_rng(0).random((12, 96, 128, 3))
    with VideoWriter(tmp_path / "a.mp4", 10) as video:
        for i, frame in enumerate(noise):
            sharp = i % 4 == 2
            video.write(torch.from_numpy(gaussian_filter(frame, (0.7, 0.7, 0) if sharp else (3, 3, 0))))
    stages = []
    names = extract_frames(tmp_path / "a.mp4", tmp_path / "images", 3, lambda *s: stages.append(s))
    assert names == ["frame_000002.jpg", "frame_000006.jpg", "frame_000010.jpg"]
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == names
    assert stages[0] == ("sharpness", 1, 12) and stages[-1] == ("frames", 3, 3)
    with pytest.raises(InputError, match="1 frames of a video"):
        extract_frames(tmp_path / "a.mp4", tmp_path / "images", 1, silent)
    with pytest.raises(InputError, match="does not exist"):
        extract_frames(Path("none.mp4"), tmp_path / "images", 3, silent)


def test_pairs():
    assert all_pairs(3) == [(0, 1), (0, 2), (1, 2)]
    pairs = pairs_in_time(40, window=3)
    assert {b - a for a, b in pairs} == {1, 2, 3, 4, 8, 16, 32}
    assert all(0 <= a < b < 40 for a, b in pairs)
    assert pairs_in_time(1) == set()


def test_pictures_of_the_same_thing_look_alike():
    generator = np.random.default_rng(0)
    things = generator.integers(0, 200, (3, 300, 128))
    seen = [(things[i % 3] + generator.integers(-8, 9, (300, 128))).clip(0, 255).astype(np.uint8) for i in range(9)]
    seen.append(np.zeros((0, 128), np.uint8))  # a picture without features
    pairs = lookalike_pairs(signatures_of(seen, seed=0)[:9], 2)
    assert pairs == {(a, b) for a, b in all_pairs(9) if a % 3 == b % 3}
    assert np.array_equal(signatures_of(seen, seed=0), signatures_of(seen, seed=0))
    assert signatures_of(seen[-1:], seed=0).shape == (1, 1)
