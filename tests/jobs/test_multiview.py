"""Views from one picture, with a random model: what is written, and what is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from small_models import micro_model
from unseen.core.errors import InputError, MissingDependencyError
from unseen.io.images import read_image, write_image
from unseen.jobs.inputs import VideoInput, load_observations
from unseen.jobs.multiview import MultiViewRequest, load_picture, run_multiview
from unseen.jobs.progress import Silent

SAMPLE = Path(__file__).parents[2] / "examples" / "sample" / "video.mp4"


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    """The sample's first frame with its matte as alpha channel and its landmarks beside it."""
    seen, place = load_observations(VideoInput(SAMPLE)), tmp_path_factory.mktemp("picture")
    write_image(place / "face.png", torch.from_numpy(np.concatenate([seen.images[0], seen.alphas[0][..., None]], -1)))
    marks = {"landmarks_px": seen.landmarks_px[:1], "image_size": np.array(seen.size)}
    np.savez(place / "face.landmarks.npz", **marks)
    return place / "face.png"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    micro_model().save_pretrained(folder)
    return str(folder)


def test_pictures_and_frames_are_read_alike(picture):
    from_video, from_picture = load_picture(VideoInput(SAMPLE), 0), load_picture(VideoInput(picture), 0)
    np.testing.assert_array_equal(from_picture.images, from_video.images)
    np.testing.assert_array_equal(from_picture.alphas, from_video.alphas)
    np.testing.assert_array_equal(from_picture.landmarks_px, from_video.landmarks_px)


@pytest.mark.slow
def test_everything_is_written_and_seeded(picture, model, tmp_path):
    request = MultiViewRequest(
        VideoInput(picture), tmp_path / "a", model=model, views=3, steps=4, attention="mid_block"
    )
    summary = run_multiview(request, Silent())
    names = {p.name for p in (tmp_path / "a").iterdir()}
    assert names >= {"view_00.png", "view_01.png", "view_02.png", "strip.png", "denoising.png", "views.mp4"}
    assert len(list((tmp_path / "a" / "attention").glob("*.png"))) == 2  # over frames, and to image tokens
    assert json.loads((tmp_path / "a" / "views.json").read_text()) == summary
    assert summary["yaws_deg"] == [0, 120, 240] and abs(summary["turned_deg"]) < 8
    assert read_image(tmp_path / "a" / "strip.png").shape == (64, 4 * 64, 3)
    reference = read_image(tmp_path / "a" / "reference.png").float()
    assert reference[:2].mean() > 250 and reference[12:20, 12:20].mean() < 220  # white above, a face in the middle
    again = MultiViewRequest(VideoInput(picture), tmp_path / "b", model=model, views=3, steps=4, debug=True)
    run_multiview(again, Silent())
    for k in range(3):
        assert (tmp_path / "a" / f"view_{k:02d}.png").read_bytes() == (
            tmp_path / "b" / f"view_{k:02d}.png"
        ).read_bytes()


def test_frames_a_video_does_not_have_are_refused():
    with pytest.raises(InputError, match="frames 0 to 119"):
        load_picture(VideoInput(SAMPLE), 400)


def test_a_picture_without_landmarks_needs_a_detector(picture, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mediapipe", None)
    alone = tmp_path / "alone.png"
    alone.write_bytes(picture.read_bytes())
    with pytest.raises(MissingDependencyError, match="landmarks"):
        load_picture(VideoInput(alone), 0)
