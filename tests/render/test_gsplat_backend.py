"""The gsplat backend: what it passes on, with a stand-in; with CUDA, its results against the cpu backend's."""

import importlib.util
import sys
import types
from dataclasses import replace

import pytest
import torch

from gaussian_scenes import random_scene
from unseen.render import gsplat_backend
from unseen.render.settings import Scene, Settings

has_gsplat = torch.cuda.is_available() and importlib.util.find_spec("gsplat") is not None


@pytest.mark.parametrize(("depth", "mode"), [("none", "RGB"), ("append", "RGB+D"), ("only", "D")])
def test_arguments_reach_gsplat(monkeypatch, depth, mode):
    """gsplat 1.5's parameters by name, unpacked, and no background for depth alone."""
    calls = []

    def rasterization(
        means, quats, scales, opacities, colors, viewmats, Ks, width, height, near_plane=0.01, far_plane=1e10,
        eps2d=0.3, sh_degree=None, packed=True, backgrounds=None, render_mode="RGB", absgrad=False,
        rasterize_mode="classic",
    ):  # fmt: skip
        calls.append(locals())
        return "renders", "alphas", {}

    monkeypatch.setitem(sys.modules, "gsplat", types.SimpleNamespace(rasterization=rasterization))
    scene = random_scene(n=4)
    tensors = Scene(
        scene.means,
        scene.quats,
        scene.scales,
        scene.opacities,
        scene.colors,
        scene.viewmats,
        scene.Ks,
        scene.backgrounds,
    )
    settings = Settings(47, 35, 0.1, 9.0, None, 0.25, True, True, depth)
    assert gsplat_backend.rasterize(tensors, settings)[0] == "renders"
    (got,) = calls
    assert (got["width"], got["height"], got["near_plane"], got["far_plane"], got["eps2d"]) == (47, 35, 0.1, 9.0, 0.25)
    assert (
        got["render_mode"] == mode and got["rasterize_mode"] == "antialiased" and got["absgrad"] and not got["packed"]
    )
    assert (got["backgrounds"] is None) == (depth == "only")
    assert got["means"] is scene.means and got["Ks"] is scene.Ks


@pytest.mark.skipif(not has_gsplat, reason="needs CUDA and the package gsplat")
@pytest.mark.parametrize("mode", ["RGB", "RGB+ED"])
def test_equals_the_cpu_backend(mode):
    scene = random_scene(n=300, cameras=2, sh_degree=3, size=(80, 64))
    on_gpu = replace(scene, **{k: v.cuda() for k, v in vars(scene).items() if isinstance(v, torch.Tensor)})
    results = []
    for s in (scene, on_gpu):
        leaves = s.leaves()
        renders, alphas, _ = replace(s, **leaves).render(render_mode=mode)
        (renders[..., :3].square().sum() + alphas.sum()).backward()
        results.append((renders.detach().cpu(), {k: v.grad.cpu() for k, v in leaves.items()}))
    (ours, our_grads), (theirs, their_grads) = results
    assert ((ours - theirs).abs() > 1e-3).float().mean() < 1e-3
    for name, gradient in our_grads.items():
        assert (gradient - their_grads[name]).abs().max() < 1e-2 * gradient.abs().max(), name
