"""Gradients of every input of `rasterization`: max error against float64 central differences, for every backend."""

from dataclasses import replace

import pytest
import torch

from gaussian_scenes import Scene, random_scene

MODES = [
    # sh_degree, render_mode, rasterize_mode
    (None, "RGB", "classic"),
    (0, "RGB", "antialiased"),
    (1, "RGB+ED", "classic"),
    (2, "RGB+D", "antialiased"),
    (3, "RGB", "classic"),
    (3, "RGB+ED", "antialiased"),
    (None, "D", "classic"),
    (None, "ED", "antialiased"),
]


def scene_for(sh_degree: int | None, seed: int = 0) -> Scene:
    """Five overlapping anisotropic Gaussians, two cameras, coloured backgrounds."""
    return random_scene(n=5, cameras=2, sh_degree=sh_degree, size=(15, 12), seed=seed, scale=(0.1, 0.8))


def objective(scene: Scene, leaves: dict, render_mode: str, rasterize_mode: str, backend: str) -> torch.Tensor:
    """A fixed random combination of all pixels and alphas."""
    renders, alphas, _ = replace(scene, **leaves).render(
        render_mode=render_mode, rasterize_mode=rasterize_mode, backend=backend
    )
    g = torch.Generator().manual_seed(1)
    of_renders = torch.randn(renders.shape, generator=g, dtype=torch.float64).to(renders.dtype)
    of_alphas = torch.randn(alphas.shape, generator=g, dtype=torch.float64).to(renders.dtype)
    return (renders * of_renders).sum() + (alphas * of_alphas).sum()


def differences(scene: Scene, render_mode: str, rasterize_mode: str, step: float = 2e-6) -> dict[str, torch.Tensor]:
    """Central differences of the float64 reference in every entry of every input."""
    leaves = {k: v.detach() for k, v in scene.leaves().items()}
    gradients = {}
    for name, tensor in leaves.items():
        flat = torch.zeros(tensor.numel(), dtype=torch.float64)
        for i in range(tensor.numel()):
            values = []
            for sign in (1, -1):
                moved = tensor.clone()
                moved.view(-1)[i] += sign * step
                values.append(objective(scene, {**leaves, name: moved}, render_mode, rasterize_mode, "reference"))
            flat[i] = (values[0] - values[1]) / (2 * step)
        gradients[name] = flat.view(tensor.shape)
    return gradients


def analytic(scene: Scene, render_mode: str, rasterize_mode: str, backend: str) -> dict[str, torch.Tensor]:
    """Gradients by backward; zero for inputs the image does not depend on."""
    leaves = scene.leaves()
    objective(scene, leaves, render_mode, rasterize_mode, backend).backward()
    return {k: torch.zeros_like(v) if v.grad is None else v.grad for k, v in leaves.items()}


def relative_error(got: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute error over the largest absolute gradient."""
    return float((got.double() - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


@pytest.mark.parametrize(("sh_degree", "render_mode", "rasterize_mode"), MODES)
def test_every_input_against_central_differences(sh_degree, render_mode, rasterize_mode):
    scene = scene_for(sh_degree)
    expected = differences(scene.to(torch.float64), render_mode, rasterize_mode)
    reference = analytic(scene.to(torch.float64), render_mode, rasterize_mode, "reference")
    compiled = analytic(scene, render_mode, rasterize_mode, "cpu")
    for name, gradient in expected.items():
        if gradient.abs().max() < 1e-9:
            assert reference[name].abs().max() == 0 and compiled[name].abs().max() == 0
            continue
        assert relative_error(reference[name], gradient) < 1e-6, name
        assert relative_error(compiled[name], gradient) < 1e-3, name


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("per_camera", [False, True])
def test_larger_scenes_against_the_reference(channels, per_camera):
    """A hundred Gaussians over several tiles, three cameras; plain colours shared by cameras or not."""
    scene = random_scene(n=120, cameras=3, channels=channels, size=(71, 43), seed=4)
    if per_camera:
        scene = replace(scene, colors=torch.stack([scene.colors, scene.colors.flip(0), scene.colors * 0.5]))
    reference = analytic(scene.to(torch.float64), "RGB", "classic", "reference")
    compiled = analytic(scene, "RGB", "classic", "cpu")
    for name, gradient in reference.items():
        assert relative_error(compiled[name], gradient) < 2e-5, name


def test_spherical_harmonics_per_camera_and_unused_bands():
    scene = random_scene(n=40, cameras=2, sh_degree=3, seed=5)
    colors = torch.stack([scene.colors, scene.colors.flip(0)])
    for used in range(4):
        scene = replace(scene, colors=colors, sh_degree=used)
        reference = analytic(scene.to(torch.float64), "RGB", "classic", "reference")
        compiled = analytic(scene, "RGB", "classic", "cpu")
        assert relative_error(compiled["colors"], reference["colors"]) < 2e-5
        assert relative_error(compiled["viewmats"], reference["viewmats"]) < 2e-5
        assert compiled["colors"][:, :, (used + 1) ** 2 :].abs().max() == 0 if used < 3 else True


@pytest.mark.parametrize("case", ["near", "needles", "opaque"])
def test_hard_scenes_against_the_reference(case):
    scene = random_scene(n=120, size=(64, 48), seed=6, scale=(0.05, 0.5))
    if case == "near":
        scene = replace(scene, means=scene.means + torch.tensor([0, 0, -3.0]))
    elif case == "needles":
        scene = replace(
            scene, scales=torch.stack([0.003 * scene.scales[:, 0], scene.scales[:, 1], 9 * scene.scales[:, 2]], 1)
        )
    else:
        scene = replace(scene, opacities=torch.ones(120))
    reference = analytic(scene.to(torch.float64), "RGB+D", "classic", "reference")
    compiled = analytic(scene, "RGB+D", "classic", "cpu")
    for name, gradient in reference.items():
        assert relative_error(compiled[name], gradient) < 1e-3, name


@pytest.mark.parametrize(("backend", "dtype"), [("cpu", torch.float32), ("reference", torch.float64)])
def test_means2d_gradient_and_absgrad(backend, dtype):
    """`means2d.grad` and `.absgrad` are the sums over pixels of each pixel's gradient and of its absolute value."""
    scene = random_scene(n=9, cameras=2, size=(8, 6), seed=7, scale=(0.2, 0.8)).to(dtype)
    g = torch.Generator().manual_seed(2)
    weights = torch.randn(2, 6, 8, 3, generator=g).to(dtype)
    means = scene.means.clone().requires_grad_()
    renders, _, info = replace(scene, means=means).render(backend=backend, absgrad=True)
    info["means2d"].retain_grad()
    (renders * weights).sum().backward()
    signed, absolute = torch.zeros_like(info["means2d"]), torch.zeros_like(info["means2d"])
    precise = scene.to(torch.float64)
    for c in range(2):
        for y in range(6):
            for x in range(8):
                leaf = precise.means.clone().requires_grad_()
                image, _, one = replace(precise, means=leaf).render(backend="reference")
                one["means2d"].retain_grad()
                (image * weights.double())[c, y, x].sum().backward()
                signed += one["means2d"].grad
                absolute += one["means2d"].grad.abs()
    tolerance = 2e-5 if dtype == torch.float32 else 1e-10
    assert relative_error(info["means2d"].grad, signed.double()) < tolerance
    assert relative_error(info["means2d"].absgrad, absolute.double()) < tolerance


def test_only_what_is_asked_for():
    """Gradients of a subset, of alphas alone, and none at all."""
    scene = random_scene(n=20)
    opacities = scene.opacities.clone().requires_grad_()
    _, alphas, _ = replace(scene, opacities=opacities).render(backend="cpu")
    alphas.sum().backward()
    assert opacities.grad.abs().max() > 0
    renders, _, info = scene.render(backend="cpu")
    assert not renders.requires_grad and not info["means2d"].requires_grad


def test_backward_notices_inputs_changed_in_place():
    scene = random_scene(n=20)
    means = scene.means.clone().requires_grad_()
    renders, _, _ = replace(scene, means=means).render(backend="cpu")
    with torch.no_grad():
        means += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        renders.sum().backward()


def test_second_derivatives_are_refused():
    """Rather than being silently zero."""
    scene = random_scene(n=10)
    means = scene.means.clone().requires_grad_()
    renders, _, _ = replace(scene, means=means).render(backend="cpu")
    (gradient,) = torch.autograd.grad(renders.square().sum(), means, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
