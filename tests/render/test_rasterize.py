"""`rasterization`: what it accepts, refuses and returns, the same for every backend."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gaussian_scenes import random_scene
from unseen.core import InputError, MissingDependencyError, NonFiniteError, ShapeError
from unseen.core.rotations import axis_angle_to_matrix, matrix_to_quaternion, quaternion_multiply
from unseen.core.sh import sh_basis

BACKENDS = [("cpu", torch.float32), ("reference", torch.float64)]
both_backends = pytest.mark.parametrize(("backend", "dtype"), BACKENDS)
few = settings(max_examples=12, deadline=None, derandomize=True)


def tolerance(dtype: torch.dtype) -> float:
    return 2e-5 if dtype == torch.float32 else 1e-10


@both_backends
@pytest.mark.parametrize(("mode", "channels"), [("RGB", 3), ("D", 1), ("ED", 1), ("RGB+D", 4), ("RGB+ED", 4)])
def test_shapes_of_every_render_mode(backend, dtype, mode, channels):
    scene = random_scene(cameras=2).to(dtype)
    renders, alphas, info = scene.render(render_mode=mode, backend=backend)
    assert renders.shape == (2, scene.height, scene.width, channels)
    assert alphas.shape == (2, scene.height, scene.width, 1)
    shapes = {"means2d": (2, 60, 2), "radii": (2, 60, 2), "depths": (2, 60), "conics": (2, 60, 3), "opacities": (2, 60)}
    assert {k: tuple(info[k].shape) for k in shapes} == shapes
    assert (info["width"], info["height"], info["n_cameras"]) == (scene.width, scene.height, 2)
    assert info["radii"].dtype == torch.int32


@pytest.mark.parametrize("mode", ["classic", "antialiased"])
def test_info_of_cpu_equals_the_references(mode):
    scene = random_scene(n=200, cameras=2, seed=2)
    scene = replace(scene, means=scene.means * 3)
    _, _, got = scene.render(backend="cpu", rasterize_mode=mode)
    _, _, expected = scene.to(torch.float64).render(backend="reference", rasterize_mode=mode)
    assert torch.equal(got["radii"], expected["radii"])
    seen = (got["radii"] > 0).all(-1)
    assert 0 < seen.sum() < seen.numel()
    for key in ("means2d", "depths", "conics", "opacities"):
        torch.testing.assert_close(got[key][seen].double(), expected[key][seen], rtol=2e-6, atol=1e-7)


@both_backends
def test_expected_depth_is_depth_over_alpha(backend, dtype):
    scene = random_scene().to(dtype)
    depth, alphas, _ = scene.render(render_mode="RGB+D", backend=backend)
    expected, _, _ = scene.render(render_mode="RGB+ED", backend=backend)
    torch.testing.assert_close(expected[..., 3:] * alphas, depth[..., 3:])
    only, _, _ = scene.render(render_mode="D", backend=backend)
    torch.testing.assert_close(only, depth[..., 3:])


@both_backends
def test_one_opaque_gaussian(backend, dtype):
    """By hand: at the centre of a wide Gaussian of opacity 1 the pixel is 0.999 of its colour, at 2 m."""
    scene = random_scene(n=1, background=False).to(dtype)
    scene = replace(
        scene,
        means=torch.zeros(1, 3, dtype=dtype),
        scales=torch.full((1, 3), 5.0, dtype=dtype),
        opacities=torch.ones(1, dtype=dtype),
        viewmats=torch.eye(4, dtype=dtype)[None],
        Ks=torch.tensor([[[50.0, 0, 20.5], [0, 50, 10.5], [0, 0, 1]]], dtype=dtype),
    )
    scene.viewmats[0, 2, 3] = 2
    renders, alphas, _ = scene.render(render_mode="RGB+D", backend=backend)
    torch.testing.assert_close(renders[0, 10, 20, :3], 0.999 * scene.colors[0])
    assert alphas[0, 10, 20, 0].item() == pytest.approx(0.999, abs=1e-6)
    assert renders[0, 10, 20, 3].item() == pytest.approx(2 * 0.999, abs=1e-5)


@both_backends
def test_no_gaussians_and_none_in_view(backend, dtype):
    scene = random_scene(n=5, cameras=2).to(dtype)
    means = scene.means.requires_grad_()
    away = replace(scene, means=means - 100)
    renders, alphas, info = away.render(backend=backend)
    torch.testing.assert_close(renders, scene.backgrounds[:, None, None].expand_as(renders))
    assert alphas.abs().max() == 0 and info["radii"].abs().max() == 0
    renders.sum().backward()
    assert means.grad.abs().max() == 0
    empty = replace(scene, **{k: getattr(scene, k)[:0] for k in ("means", "quats", "scales", "opacities", "colors")})
    renders, alphas, info = empty.render(backend=backend)
    torch.testing.assert_close(renders, scene.backgrounds[:, None, None].expand_as(renders))
    assert info["means2d"].shape == (2, 0, 2)


def test_empty_scene_has_gradients():
    scene = random_scene(n=0)
    leaves = scene.leaves()
    replace(scene, **leaves).render(backend="cpu")[0].sum().backward()
    assert leaves["means"].grad.shape == (0, 3)
    assert leaves["backgrounds"].grad is not None


def test_zero_quaternion_is_no_rotation():
    scene = random_scene(n=30)
    identity = torch.tensor([[1.0, 0, 0, 0]]).expand(30, 4)
    expected = replace(scene, quats=identity).render(backend="cpu")[0]
    got = replace(scene, quats=torch.zeros(30, 4)).render(backend="cpu")[0]
    assert torch.equal(got, expected)


def test_auto_picks_by_device_and_dtype():
    scene = random_scene(n=20)
    auto = scene.render()
    assert torch.equal(auto[0], scene.render(backend="cpu")[0])
    double = scene.to(torch.float64)
    assert torch.equal(double.render()[0], double.render(backend="reference")[0])


def test_inputs_need_not_be_contiguous():
    scene = random_scene(n=30, sh_degree=2)
    odd = replace(
        scene,
        means=scene.means.T.contiguous().T,
        scales=torch.cat([scene.scales, scene.scales], 1)[:, :3],
        colors=scene.colors.transpose(0, 1).contiguous().transpose(0, 1),
        viewmats=scene.viewmats.transpose(1, 2).contiguous().transpose(1, 2),
    )
    assert torch.equal(odd.render(backend="cpu")[0], scene.render(backend="cpu")[0])


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("means", lambda t: t[:, :2]),
        ("quats", lambda t: t[:-1]),
        ("scales", lambda t: t[:, :1]),
        ("opacities", lambda t: t[:, None]),
        ("colors", lambda t: t[:-1]),
        ("viewmats", lambda t: t[0]),
        ("viewmats", lambda t: t[:, :3]),
        ("Ks", lambda t: t[:0]),
        ("backgrounds", lambda t: t[:, :2]),
        ("scales", lambda t: t.double()),
    ],
)
def test_wrong_shapes_and_dtypes_name_the_tensor(name, change):
    scene = random_scene(n=8)
    with pytest.raises(ShapeError, match=r"means|viewmats" if name in ("means", "viewmats") else name):
        replace(scene, **{name: change(getattr(scene, name))}).render()


def test_spherical_harmonics_need_enough_coefficients():
    scene = random_scene(n=8, sh_degree=1)
    with pytest.raises(ShapeError, match="colors"):
        replace(scene, sh_degree=2).render()
    with pytest.raises(InputError, match="sh_degree"):
        replace(scene, sh_degree=4).render()


@both_backends
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "colors", "viewmats", "Ks", "backgrounds"])
def test_not_finite_inputs_are_named(backend, dtype, name, value):
    scene = random_scene(n=40).to(dtype)
    tensor = getattr(scene, name).clone()
    tensor.view(-1)[tensor.numel() // 2] = value
    with pytest.raises(NonFiniteError, match=name):
        replace(scene, **{name: tensor}).render(backend=backend)


def test_not_finite_harmonics_are_named():
    scene = random_scene(n=40, sh_degree=2)
    colors = scene.colors.clone()
    colors[20, 7, 1] = float("nan")
    with pytest.raises(NonFiniteError, match="colors"):
        replace(scene, colors=colors).render(backend="cpu")


def test_options_are_checked():
    scene = random_scene(n=4)
    for options in ({"render_mode": "rgb"}, {"rasterize_mode": "mip"}, {"backend": "metal"}):
        with pytest.raises(InputError, match=next(iter(options))):
            scene.render(**options)
    with pytest.raises(InputError, match="image size"):
        replace(scene, width=0).render()
    with pytest.raises(ShapeError, match="float32"):
        scene.to(torch.float64).render(backend="cpu")
    with pytest.raises((MissingDependencyError, ShapeError), match="gsplat"):
        scene.render(backend="gsplat")


# Properties -----------------------------------------------------------------------------------------------------------


@both_backends
@few
@given(seed=st.integers(0, 1000))
def test_order_of_gaussians_does_not_matter(backend, dtype, seed):
    scene = random_scene(n=40, seed=seed).to(dtype)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(seed))
    shuffled = {k: getattr(scene, k)[order] for k in ("means", "quats", "scales", "opacities", "colors")}
    expected, got = scene.render(backend=backend)[0], replace(scene, **shuffled).render(backend=backend)[0]
    torch.testing.assert_close(got, expected, rtol=0, atol=tolerance(dtype))


@both_backends
@few
@given(
    seed=st.integers(0, 1000),
    axis=st.tuples(*[st.floats(-2, 2)] * 3),
    shift=st.tuples(*[st.floats(-1, 1)] * 3),
)
def test_moving_world_and_cameras_together_changes_nothing(backend, dtype, seed, axis, shift):
    scene = random_scene(n=40, seed=seed, cameras=2).to(torch.float64)
    rotation = axis_angle_to_matrix(torch.tensor(axis, dtype=torch.float64))
    motion = torch.eye(4, dtype=torch.float64)
    motion[:3, :3], motion[:3, 3] = rotation, torch.tensor(shift, dtype=torch.float64)
    moved = replace(
        scene,
        means=scene.means @ rotation.T + motion[:3, 3],
        quats=quaternion_multiply(matrix_to_quaternion(rotation).expand_as(scene.quats), scene.quats),
        viewmats=scene.viewmats @ torch.linalg.inv(motion),
    ).to(dtype)
    expected, got = scene.to(dtype).render(backend=backend)[0], moved.render(backend=backend)[0]
    error = (got - expected).abs().flatten(0, 2)
    # a pixel whose alpha sits on 1/255 may fall on either side of the cut
    assert (error.max(1).values > 20 * tolerance(dtype)).float().mean() < 2e-3


@both_backends
@few
@given(seed=st.integers(0, 1000), factor=st.floats(0.1, 3.0))
def test_linear_in_colours(backend, dtype, seed, factor):
    scene = random_scene(n=40, seed=seed, background=False).to(dtype)
    other = scene.colors.flip(0)
    both = replace(scene, colors=scene.colors * factor + other).render(backend=backend)[0]
    parts = scene.render(backend=backend)[0] * factor + replace(scene, colors=other).render(backend=backend)[0]
    torch.testing.assert_close(both, parts, rtol=0, atol=tolerance(dtype))


@both_backends
@few
@given(seed=st.integers(0, 1000))
def test_background_shows_through_what_is_left(backend, dtype, seed):
    scene = random_scene(n=30, seed=seed, cameras=2).to(dtype)
    with_background, alphas, _ = scene.render(backend=backend)
    without = replace(scene, backgrounds=None).render(backend=backend)[0]
    expected = without + (1 - alphas) * scene.backgrounds[:, None, None]
    torch.testing.assert_close(with_background, expected, rtol=0, atol=tolerance(dtype))


@both_backends
def test_harmonics_are_colours_seen_from_the_camera(backend, dtype):
    scene = random_scene(n=30, cameras=2, sh_degree=3).to(dtype)
    centers = torch.linalg.inv(scene.viewmats)[:, None, :3, 3]
    dirs = torch.nn.functional.normalize(scene.means - centers, dim=-1)
    colors = ((sh_basis(3, dirs)[..., None] * scene.colors).sum(-2) + 0.5).clamp_min(0)
    plain = replace(scene, colors=colors, sh_degree=None)
    torch.testing.assert_close(
        scene.render(backend=backend)[0], plain.render(backend=backend)[0], rtol=0, atol=tolerance(dtype)
    )
