"""The cpu backend under threads, in forked and in fresh processes: always the same bits."""

import os
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
import torch

from gaussian_scenes import Scene, random_scene
from unseen.render.cpu import function
from unseen.render.cpu.runtime import Buffers, run


@pytest.fixture
def two_threads():
    """Sets and restores the number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def everything(scene: Scene) -> list[torch.Tensor]:
    """Image, alphas and all gradients."""
    leaves = scene.leaves()
    renders, alphas, info = replace(scene, **leaves).render(backend="cpu", render_mode="RGB+D", absgrad=True)
    info["means2d"].retain_grad()
    weights = torch.linspace(-1, 1, renders.numel()).view_as(renders)
    ((renders * weights).sum() + alphas.square().sum()).backward()
    means2d = info["means2d"]
    return [renders, alphas, means2d.grad, means2d.absgrad, *(leaf.grad for leaf in leaves.values())]


def busy_scene() -> Scene:
    return random_scene(n=3000, cameras=2, sh_degree=2, size=(131, 97), scale=(0.005, 0.2))


def test_same_bits_again_and_with_one_thread(two_threads):
    scene = busy_scene()
    first, again = everything(scene), everything(scene)
    torch.set_num_threads(1)
    alone = everything(scene)
    for a, b, c in zip(first, again, alone, strict=True):
        assert torch.equal(a, b) and torch.equal(a, c)


def test_image_in_bands(monkeypatch):
    """A scene with more pairs than are listed at once: the same image, gradients to rounding."""
    scene = busy_scene()
    whole = everything(scene)
    monkeypatch.setattr(function, "PAIR_BUDGET", 1000)
    banded = everything(scene)
    assert torch.equal(banded[0], whole[0]) and torch.equal(banded[1], whole[1])
    for a, b in zip(banded[2:], whole[2:], strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(b.abs().max()))


def test_gradients_survive_flushed_denormals():
    scene = random_scene(n=200)
    expected = everything(scene)
    if not torch.set_flush_denormal(True):
        pytest.skip("this machine cannot flush denormals")
    try:
        got = everything(scene)
    finally:
        torch.set_flush_denormal(False)
    assert all(torch.equal(a, b) for a, b in zip(got, expected, strict=True))


def test_a_kernel_that_raises_is_heard_from_every_thread(two_threads):
    def fail(counter):
        raise ValueError("broken")

    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            run(fail)
    scene = random_scene(n=100)
    assert torch.equal(scene.render(backend="cpu")[0], scene.render(backend="cpu")[0])


def test_python_threads_rendering_at_once(two_threads):
    scenes = [random_scene(n=800, seed=s, size=(90, 70)) for s in range(4)]
    expected = [everything(s) for s in scenes]
    got: list = [None] * 4

    def work(i: int) -> None:
        for _ in range(5):
            got[i] = everything(scenes[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for one, other in zip(got, expected, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_forked_child_renders(two_threads):
    scene = random_scene(n=500)
    expected = scene.render(backend="cpu")[0]
    child = os.fork()
    if child == 0:
        same = torch.equal(scene.render(backend="cpu")[0], expected)
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_fresh_process_renders_the_same():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import torch; from gaussian_scenes import random_scene;"
        "print(random_scene(n=500).render(backend='cpu')[0].double().sum().item().hex())"
    )
    child = subprocess.run(
        [sys.executable, "-c", code, os.path.dirname(os.path.dirname(__file__))], capture_output=True
    )
    expected = random_scene(n=500).render(backend="cpu")[0].double().sum().item().hex()
    assert child.stdout.decode().strip() == expected, child.stderr.decode()


def test_buffers_are_lent_again_only_when_free():
    buffers = Buffers(patience=3)
    first = buffers.take((100, 3), "float32")
    address = first.ctypes.data
    assert address % 64 == 0 and first.shape == (100, 3)
    second = buffers.take((100, 3), "float32")
    assert second.ctypes.data != address
    tensor = torch.from_numpy(first)[5:7]
    del first
    assert buffers.take((300,), "float32").ctypes.data not in (address, second.ctypes.data)
    del tensor
    assert buffers.take((300,), "float32").ctypes.data == address


def test_results_survive_later_calls():
    """Tensors handed out are not overwritten by the next render, with or without gradients."""
    scenes = [random_scene(n=200, seed=s) for s in range(3)]
    kept = [everything(s) for s in scenes]
    copies = [[t.clone() for t in k] for k in kept]
    for s in scenes:
        everything(s)
    for k, c in zip(kept, copies, strict=True):
        assert all(torch.equal(a, b) for a, b in zip(k, c, strict=True))


def test_two_forwards_before_their_backwards():
    a, b = random_scene(n=300, seed=1), random_scene(n=300, seed=2)
    expected = [everything(a), everything(b)]
    leaves = [s.leaves() for s in (a, b)]
    out = [replace(s, **own).render(backend="cpu", render_mode="RGB+D") for s, own in zip((a, b), leaves, strict=True)]
    for renders, alphas, _ in reversed(out):
        weights = torch.linspace(-1, 1, renders.numel()).view_as(renders)
        ((renders * weights).sum() + alphas.square().sum()).backward()
    for own, whole in zip(leaves, expected, strict=True):
        assert torch.equal(own["means"].grad, whole[4])
