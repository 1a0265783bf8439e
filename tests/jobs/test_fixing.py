"""Renders repaired one by one, in folders and in films."""

import pytest
import torch

from unseen.core.errors import InputError, ShapeError
from unseen.io.images import read_image_float, write_image
from unseen.io.video import VideoWriter, read_video
from unseen.jobs.fixing import FixRequest, fix_film, fix_one, run_fix
from unseen.jobs.progress import Silent
from unseen.priors.fixer.fixing import Fixed


class Toward:
    """Moves renders half-way to the mean of their photos, and adds noise of the seed."""

    def __init__(self, noise: float = 0.0) -> None:
        self.noise, self.seeds, self.counts = noise, [], []

    def fix(self, renders, references, *, seed=0):
        self.seeds.append(seed)
        self.counts.append([len(r) for r in references])
        means = [r.mean(0) if len(r) else render for r, render in zip(references, renders, strict=True)]
        noise = torch.randn(renders.shape, generator=torch.Generator().manual_seed(seed)) * self.noise
        return Fixed(torch.lerp(renders, torch.stack(means), 0.5) + noise, torch.ones(renders.shape[:3]))


@pytest.fixture
def grey(tmp_path):
    """A dark render and a bright photo of another size."""
    write_image(tmp_path / "render.png", torch.full((12, 16, 3), 0.2))
    write_image(tmp_path / "photo.png", torch.full((24, 32, 3), 0.8))
    return tmp_path


def test_a_picture(grey):
    request = FixRequest(grey / "render.png", (grey / "photo.png",), grey / "new" / "fixed.png")
    assert run_fix(request, Toward(), Silent())["mean_change"] == pytest.approx(0.3, abs=0.01)
    fixed = read_image_float(grey / "new" / "fixed.png")
    assert fixed.shape == (12, 16, 3) and float((fixed - 0.5).abs().max()) < 0.01


def test_a_folder_takes_the_photo_of_each_name(grey):
    for folder in ("renders", "photos"):
        (grey / folder).mkdir()
    for k, name in enumerate(("a", "b")):
        write_image(grey / "renders" / f"{name}.png", torch.full((12, 16, 3), 0.2))
        write_image(grey / "photos" / f"{name}.jpg", torch.full((12, 16, 3), 0.4 + 0.4 * k))
    run_fix(FixRequest(grey / "renders", (grey / "photos",), grey / "out"), Toward(), Silent())
    means = [float(read_image_float(grey / "out" / f"{name}.png").mean()) for name in "ab"]
    assert means == pytest.approx([0.3, 0.5], abs=0.01)
    (grey / "photos" / "b.jpg").unlink()
    with pytest.raises(InputError, match=r"no photo for b\.png"):
        run_fix(FixRequest(grey / "renders", (grey / "photos",), grey / "again"), Toward(), Silent())
    assert not (grey / "again").exists()


def test_a_steady_film_flickers_less():
    frames = list(torch.full((6, 12, 16, 3), 0.5))
    photo = torch.full((12, 16, 3), 0.5)
    alone, steady = (
        torch.stack([f for _, f in fix_film(Toward(0.1), iter(frames), [photo], steady=s, seed=3)])
        for s in (False, True)
    )
    assert float(steady.diff(dim=0).abs().mean()) < 0.5 * float(alone.diff(dim=0).abs().mean())
    fixer = Toward()
    list(fix_film(fixer, iter(frames), [photo], steady=True, seed=3))
    assert fixer.counts == [[1], [2], [2], [2], [2], [2]] and set(fixer.seeds) == {3}


def test_a_video(grey):
    with VideoWriter(grey / "film.mp4", fps=5) as video:
        for _ in range(3):
            video.write(torch.full((16, 24, 3), 0.2))
    request = FixRequest(grey / "film.mp4", (grey / "photo.png",), grey / "fixed.mp4")
    assert run_fix(request, Toward(), Silent())["pictures"] == 3
    assert 0.45 < float(read_video(grey / "fixed.mp4")[0].float().mean()) / 255 < 0.55


def test_no_photo_at_all():
    render = torch.full((12, 16, 3), 0.2)
    assert torch.allclose(fix_one(Toward(), render, [], 0), render)


def test_what_makes_no_sense(grey):
    def kind(source, out, *references):
        return run_fix(FixRequest(grey / source, tuple(grey / r for r in references), grey / out), Toward(), Silent())

    (grey / "empty").mkdir()
    (grey / "text.txt").write_text("no picture")
    with pytest.raises(InputError, match="does not exist"):
        kind("nothing.png", "out.png")
    with pytest.raises(InputError, match="is no picture and no video"):
        kind("text.txt", "out.png")
    with pytest.raises(InputError, match="give the result a name such as"):
        kind("render.png", "out")
    with pytest.raises(InputError, match="is a folder"):
        kind("empty", "out.png")
    with pytest.raises(InputError, match="holds no pictures"):
        kind("empty", "out")
    with pytest.raises(InputError, match="holds the renders themselves"):
        kind("empty", "empty")
    with pytest.raises(InputError, match="name the photos"):
        kind("render.png", "out.png", "empty")

    class Flat:
        def fix(self, renders, references, *, seed=0):
            return Fixed(renders[..., :1], torch.ones(renders.shape[:3]))

    with pytest.raises(ShapeError, match="the fixer returned"):
        fix_one(Flat(), torch.zeros(12, 16, 3), [], 0)
