"""The cpu backend's images against a dense float64 evaluation of the rules, on random and adversarial scenes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gaussian_scenes import Scene, all_pixels, dense, random_scene

TOLERANCE = 1e-4


def assert_exact(scene: Scene, pixels: np.ndarray | None = None, mode: str = "classic", doubtful_share: float = 0.02):
    """Every camera's image equals the dense one, except where a jump of the rules hangs on the last bits."""
    renders, alphas, _ = scene.render(backend="cpu", rasterize_mode=mode)
    pixels = all_pixels(scene) if pixels is None else pixels
    for c in range(len(scene.viewmats)):
        colors, opacity, doubtful = dense(scene, c, pixels, mode == "antialiased")
        got = renders[c].double().numpy()[pixels[:, 1], pixels[:, 0]]
        got_alpha = alphas[c, ..., 0].double().numpy()[pixels[:, 1], pixels[:, 0]]
        assert doubtful.mean() <= doubtful_share
        sure = ~doubtful
        assert np.abs(got - colors)[sure].max(initial=0) < TOLERANCE
        assert np.abs(got_alpha - opacity)[sure].max(initial=0) < TOLERANCE


@pytest.mark.parametrize("mode", ["classic", "antialiased"])
@pytest.mark.parametrize("seed", range(4))
def test_random_scenes(seed, mode):
    assert_exact(random_scene(n=150, cameras=2, seed=seed, size=(61, 45)), mode=mode)


@pytest.mark.parametrize("channels", [1, 2, 4, 9])
def test_any_number_of_channels(channels):
    assert_exact(random_scene(n=80, cameras=2, channels=channels))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (31, 33), (32, 32), (33, 65), (7, 3)])
def test_image_sizes(size):
    assert_exact(random_scene(n=60, size=size, seed=3), doubtful_share=0.05)


def test_behind_at_and_crossing_the_near_plane():
    scene = random_scene(n=300, seed=5, scale=(0.05, 0.4))
    depth = torch.linspace(-1.0, 1.0, 300)
    depth[100:110] = 0.01
    means = torch.cat([0.2 * scene.means[:, :2] * depth[:, None].abs(), depth[:, None]], 1)
    assert_exact(replace(scene, means=means, viewmats=torch.eye(4)[None]), doubtful_share=0.1)


def test_huge_gaussians():
    scene = random_scene(n=40, seed=6, scale=(5.0, 300.0))
    assert_exact(replace(scene, opacities=scene.opacities * 0.2))


def test_needles():
    scene = random_scene(n=60, seed=7)
    scales = torch.stack([torch.full((60,), 1e-6), torch.full((60,), 1e-5), torch.logspace(-1, 3, 60)], 1)
    assert_exact(replace(scene, scales=scales))


def test_needles_seen_from_close_by():
    """Means tens of thousands of pixels outside the image, whose long axes cross it."""
    scene = random_scene(n=80, seed=8)
    scales = torch.stack([torch.full((80,), 1e-5), torch.full((80,), 1e-4), torch.full((80,), 30.0)], 1)
    means = scene.means * torch.tensor([3.0, 3.0, 0.02]) + torch.tensor([0, 0, -3.4])
    assert_exact(replace(scene, scales=scales, means=means), doubtful_share=0.05)


def test_subpixel_gaussians():
    scene = random_scene(n=500, seed=9)
    assert_exact(replace(scene, scales=torch.full((500, 3), 1e-5)))
    assert_exact(replace(scene, scales=torch.zeros(500, 3)))


def test_thousands_on_one_pixel():
    scene = random_scene(n=3000, seed=10)
    means = torch.cat([scene.means[:, :2] * 0.02, scene.means[:, 2:]], 1)
    opacities = 0.004 + 0.01 * scene.opacities
    assert_exact(replace(scene, means=means, opacities=opacities), doubtful_share=0.2)


def test_opacity_zero_and_one():
    scene = random_scene(n=100, seed=11)
    opacities = (torch.arange(100) % 2).float()
    assert_exact(replace(scene, opacities=opacities), doubtful_share=0.05)


def test_identical_depths_keep_their_order():
    scene = random_scene(n=200, seed=12)
    means = torch.cat([scene.means[:, :2], torch.zeros(200, 1)], 1)
    viewmats = torch.eye(4)[None].clone()
    viewmats[:, 2, 3] = 4
    assert_exact(replace(scene, means=means, viewmats=viewmats))


def test_depths_that_float32_cannot_tell_apart():
    """Two opaque planes 1e-7 apart at distance 4: the nearer one must be in front, whichever comes first."""
    scene = random_scene(n=2, seed=1, background=False)
    viewmats = torch.eye(4)[None].clone()
    viewmats[:, 2, 3] = 4
    for first, second in ((0.0, -1e-7), (-1e-7, 0.0)):
        means = torch.tensor([[0, 0, first], [0, 0, second]])
        colors = torch.tensor([[1.0, 0, 0], [0, 1.0, 0]])
        near = replace(
            scene, means=means, viewmats=viewmats, colors=colors, scales=torch.ones(2, 3), opacities=torch.ones(2)
        )
        image = near.render(backend="cpu")[0][0, 17, 23]
        assert image[int(second < first)] > 0.99


@pytest.mark.parametrize("center", [(-60.0, 20.0), (150.0, 200.0), (23.0, -500.0)])
def test_principal_point_outside_the_image(center):
    scene = random_scene(n=200, seed=13, scale=(0.05, 0.6))
    ks = scene.Ks.clone()
    ks[:, 0, 2], ks[:, 1, 2] = center
    assert_exact(replace(scene, Ks=ks), doubtful_share=0.05)


def test_far_plane():
    scene = random_scene(n=80, seed=14)
    image = scene.render(backend="cpu", far_plane=3.5)[0][0].double().numpy()
    colors, _, doubtful = dense(scene, 0, all_pixels(scene), far=3.5)
    assert np.abs(image.reshape(-1, 3) - colors)[~doubtful].max() < TOLERANCE


def test_extended_to_many_tiles():
    """More tiles and records than the first guess of the lists' length."""
    scene = random_scene(n=300, seed=15, size=(300, 200), scale=(0.001, 0.5))
    pixels = np.stack([np.arange(0, 300, 3), np.arange(0, 200, 2)], 1)
    assert_exact(scene, pixels)


def test_garden(shared_dir):
    """A real scene: 111,785 points, 100 pixels of one camera."""
    data = np.load(shared_dir / "data" / "garden.npz")
    g = torch.Generator().manual_seed(42)
    keep = np.abs(data["means3d"]).max(1) <= 2
    n = int(keep.sum())
    scene = Scene(
        means=torch.from_numpy(data["means3d"][keep]).float(),
        scales=torch.rand(n, 3, generator=g) * (0.02 - 1e-4) + 1e-4,
        quats=torch.randn(n, 4, generator=g),
        opacities=torch.rand(n, generator=g),
        colors=torch.from_numpy(data["colors"][keep]).float() / 255,
        viewmats=torch.from_numpy(data["viewmats"][:1]).float(),
        Ks=torch.from_numpy(data["Ks"][:1]).float(),
        width=int(data["width"]),
        height=int(data["height"]),
    )
    pixels = np.random.default_rng(0).integers(0, [scene.width, scene.height], (100, 2))
    assert_exact(scene, pixels, doubtful_share=0.1)
