import socket
import threading
import urllib.request
from dataclasses import replace

import pytest
import torch

from chromium import screenshot
from turning_avatar import turning_avatar
from unseen.core.errors import FormatError, InputError, ResourceError
from unseen.core.gaussians import Gaussians
from unseen.io.ply import save_ply
from unseen.viewer.live import AvatarViewer, load_source, start


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def blob(num: int = 500) -> Gaussians:
    g = torch.Generator().manual_seed(0)
    return Gaussians.from_rgb(
        means=torch.randn(num, 3, generator=g) * 0.05,
        scales=torch.rand(num, 3, generator=g) * 0.01 + 0.002,
        quats=torch.randn(num, 4, generator=g),
        opacities=torch.full((num,), 0.9),
        rgb=torch.tensor([[0.9, 0.1, 0.1]]).repeat(num, 1),
    )


def shown_means(viewer) -> torch.Tensor:
    return torch.from_numpy(viewer.node.centers.copy()) / viewer.unit


def test_serves_a_page_with_the_scene(tmp_path, port):
    g = blob()
    save_ply(tmp_path / "a.ply", g)
    viewer = start(tmp_path, port=port)
    try:
        page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=20).read()
        assert b"<html" in page.lower()
        assert torch.allclose(shown_means(viewer), g.means, atol=1e-6)
        half_bits = torch.from_numpy(viewer.node.covariances).float()
        assert (half_bits.diagonal(dim1=1, dim2=2) > 1e-4).all()  # float16 holds them
        with pytest.raises(ResourceError, match=f"port {port} of 127.0.0.1: .*in use"):
            start(tmp_path, port=port)
    finally:
        viewer.stop()


def test_avatar_follows_timeline_and_sliders(tmp_path, port):
    a = turning_avatar(25.0)
    a.save(tmp_path / "avatar.safetensors")
    viewer = start(tmp_path, port=port)
    try:
        assert isinstance(viewer, AvatarViewer)
        assert torch.allclose(shown_means(viewer), a.posed(a.params[0]).means, atol=1e-5)
        viewer.timeline.value = 3
        viewer.sliders["jaw (rad)"][1].value, viewer.sliders["expression 1"][1].value = 0.3, 1.5
        wait_for(viewer.changed)
        viewer.tick()
        frame = a.params[3]
        expr, jaw = frame.expr.clone(), frame.jaw_pose.clone()
        expr[0, 1] += 1.5
        jaw[0, 0] += 0.3
        want = a.posed(replace(frame, expr=expr, jaw_pose=jaw)).means
        assert torch.allclose(shown_means(viewer), want, atol=1e-5)
        assert (want - a.posed(frame).means).norm(dim=1).max() > 0.005
    finally:
        viewer.stop()


def wait_for(event: threading.Event) -> None:
    """The callbacks of the controls run on viser's threads."""
    assert event.wait(10)


def test_what_there_is_to_show(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        load_source(tmp_path / "none.ply")
    (tmp_path / "film.mp4").touch()
    with pytest.raises(InputError, match="suffix"):
        load_source(tmp_path / "film.mp4")
    with pytest.raises(InputError, match="splat files: none"):
        load_source(tmp_path)
    for name in ("a.ply", "b.ply"):
        save_ply(tmp_path / name, blob(3))
    with pytest.raises(InputError, match=r"a\.ply, b\.ply"):
        load_source(tmp_path)
    assert len(load_source(tmp_path / "a.ply")) == 3
    (tmp_path / "a.ply").write_bytes(b"no")
    with pytest.raises(FormatError):
        load_source(tmp_path / "a.ply")


@pytest.mark.slow
def test_browser_shows_it(tmp_path, port):
    save_ply(tmp_path / "a.ply", blob())
    viewer = start(tmp_path, port=port)
    try:
        shown = screenshot(f"http://127.0.0.1:{port}/", (700, 500), budget_ms=30000)
    finally:
        viewer.stop()
    red = (shown[..., 0] > 0.4) & (shown[..., 1] < 0.25) & (shown[..., 2] < 0.25)
    rows, columns = red.nonzero(as_tuple=True)
    assert red.float().mean() > 0.005
    assert abs(float(rows.float().mean()) - 250) < 60 and abs(float(columns.float().median()) - 225) < 140
