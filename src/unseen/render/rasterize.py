"""`rasterization`: checks its arguments, picks a backend and finishes what all backends share."""

import importlib.util
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from unseen.core.errors import InputError, MissingDependencyError, NonFiniteError, ShapeError
from unseen.core.sh import MAX_DEGREE, num_coefficients
from unseen.render.settings import DepthChannel, Scene, Settings

RenderMode = Literal["RGB", "D", "ED", "RGB+D", "RGB+ED"]
RasterizeMode = Literal["classic", "antialiased"]
Backend = Literal["auto", "reference", "cpu", "gsplat"]


def rasterization(
    means: Float[Tensor, "N 3"],
    quats: Float[Tensor, "N 4"],
    scales: Float[Tensor, "N 3"],
    opacities: Float[Tensor, "N"],
    colors: Float[Tensor, "*C N D"] | Float[Tensor, "*C N K D"],
    viewmats: Float[Tensor, "C 4 4"],
    Ks: Float[Tensor, "C 3 3"],
    width: int,
    height: int,
    *,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    sh_degree: int | None = None,
    eps2d: float = 0.3,
    backgrounds: Float[Tensor, "C D"] | None = None,
    render_mode: RenderMode = "RGB",
    rasterize_mode: RasterizeMode = "classic",
    absgrad: bool = False,
    backend: Backend = "auto",
) -> tuple[Float[Tensor, "C H W X"], Float[Tensor, "C H W 1"], dict[str, Any]]:
    """Render N 3D Gaussians into C pinhole cameras, differentiably; gsplat 1.5's function of the same name.

    A Gaussian's opacity at a pixel is o exp(-d^T S^-1 d / 2), S its covariance in the image (EWA, with `eps2d` on the
    diagonal) and d the offset of the pixel's centre (at +0.5); capped at 0.999, skipped under 1/255. Gaussians are
    composited front to back in the order of their camera-frame depth, ties by index; a pixel ends before the Gaussian
    that would bring its transmittance to 1e-4 (Kerbl et al. 2023, equation 3).

    Args:
        means: centres in world units.
        quats: rotations wxyz; normalised here.
        scales: standard deviations in world units, activated (positive).
        opacities: activated, in [0, 1].
        colors: values of any number of channels D, per Gaussian or per camera and Gaussian; with `sh_degree`, SH
            coefficients [N, K, 3] or [C, N, K, 3], K >= (sh_degree + 1)^2, whose colours are max(0, 0.5 + SH).
        viewmats: world-to-camera matrices, OpenCV axes.
        Ks: intrinsics in pixels; no gradient from the `cpu` and `gsplat` backends.
        width, height: image size in pixels.
        near_plane, far_plane: Gaussians with their centre outside these depths are left out.
        sh_degree: bands to evaluate, 0 to 3; None when `colors` are plain values.
        eps2d: pixels^2 added to the 2D covariances' diagonals.
        backgrounds: colour behind the Gaussians per camera; black when None.
        render_mode: RGB: the colours; D: accumulated depth; ED: expected depth, D / alpha; RGB+D, RGB+ED: both.
        rasterize_mode: antialiased scales opacities by sqrt(det S without eps2d / det S) (Mip-Splatting,
            Yu et al. 2024).
        absgrad: after backward `info["means2d"].absgrad` holds the sum over pixels of absolute gradients.
        backend: auto takes gsplat for CUDA tensors, cpu for float32 CPU tensors, reference for anything else.

    Returns:
        renders [C, H, W, X], X = D, D + 1 or 1 as `render_mode` says; alphas [C, H, W, 1]; info with `means2d` [C, N,
        2] in pixels (call `.retain_grad()` on it to keep its gradient, also in pixels), `radii` [C, N, 2] in whole
        pixels (0: culled), `depths` [C, N], `conics` [C, N, 3] (xx, xy, yy), `opacities` [C, N], `width`, `height`,
        `n_cameras`, `tile_size`.

    Raises:
        ShapeError: a tensor's shape, dtype or device does not fit the others.
        NonFiniteError: a tensor holds NaN or infinity (checked by `cpu` and `reference`).
        InputError: an option has no such value.
        MissingDependencyError: the backend asked for is not installed.
    """
    _check_options(width, height, render_mode, rasterize_mode, backend, sh_degree)
    scene = Scene(means, quats, scales, opacities, colors, viewmats, Ks, backgrounds)
    _check_scene(scene, sh_degree, with_colors=render_mode not in ("D", "ED"))
    depth: DepthChannel = "none" if render_mode == "RGB" else "append" if render_mode.startswith("RGB+") else "only"
    settings = Settings(
        width, height, near_plane, far_plane, sh_degree, eps2d, rasterize_mode == "antialiased", absgrad, depth
    )
    renders, alphas, info = _dispatch(_choose_backend(backend, means), scene, settings)
    if render_mode.endswith("ED"):
        expected = renders[..., -1:] / alphas.clamp_min(1e-10)
        renders = torch.cat([renders[..., :-1], expected], -1)
    info.update(width=width, height=height, n_cameras=len(viewmats))
    return renders, alphas, info


def _dispatch(backend: str, scene: Scene, settings: Settings) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Call the backend; imported here so that none costs start-up time before it is used."""
    if backend == "gsplat":
        from unseen.render import gsplat_backend

        return gsplat_backend.rasterize(scene, settings)
    if backend == "cpu":
        from unseen.render import cpu

        return cpu.rasterize(scene, settings)
    from unseen.render import reference

    for name, tensor in scene._asdict().items():
        if tensor is not None and not bool(torch.isfinite(tensor).all()):
            raise NonFiniteError(
                f"{name} holds NaN or infinity: remove those Gaussians or lower the step that made them"
            )
    return reference.rasterize(scene, settings)


def _choose_backend(backend: str, means: Tensor) -> str:
    """Resolve auto; refuse a backend that cannot take these tensors."""
    on_cpu = means.device.type == "cpu"
    if backend == "auto":
        if means.is_cuda and _has_gsplat():
            return "gsplat"
        return "cpu" if on_cpu and means.dtype == torch.float32 else "reference"
    if backend == "cpu" and not (on_cpu and means.dtype == torch.float32):
        raise ShapeError(
            f"backend 'cpu' takes float32 CPU tensors, got {means.dtype} on {means.device}: "
            "convert them or use 'reference'"
        )
    if backend == "gsplat" and not _has_gsplat():
        raise MissingDependencyError("backend 'gsplat' needs the package gsplat: pip install 'unseen[cuda]'")
    if backend == "gsplat" and not means.is_cuda:
        raise ShapeError(f"backend 'gsplat' takes CUDA tensors, got {means.device}: move them or use 'cpu'")
    return backend


def _has_gsplat() -> bool:
    return importlib.util.find_spec("gsplat") is not None


def _check_options(
    width: int, height: int, render_mode: str, rasterize_mode: str, backend: str, sh_degree: int | None
) -> None:
    for name, value, allowed in (
        ("render_mode", render_mode, get_args(RenderMode)),
        ("rasterize_mode", rasterize_mode, get_args(RasterizeMode)),
        ("backend", backend, get_args(Backend)),
    ):
        if value not in allowed:
            raise InputError(f"{name} is {value!r}, expected one of {', '.join(allowed)}")
    if width < 1 or height < 1:
        raise InputError(f"image size is {width} x {height}, expected at least 1 x 1")
    if sh_degree is not None and not 0 <= sh_degree <= MAX_DEGREE:
        raise InputError(f"sh_degree is {sh_degree}, expected 0 to {MAX_DEGREE} or None")


def _check_scene(scene: Scene, sh_degree: int | None, with_colors: bool) -> None:
    """Shapes against each other; dtype and device against those of `means`."""
    n, c = scene.means.shape[0] if scene.means.ndim else -1, scene.viewmats.shape[0] if scene.viewmats.ndim else -1
    expected: dict[str, tuple[tuple[int, ...], ...]] = {
        "means": ((n, 3),),
        "quats": ((n, 4),),
        "scales": ((n, 3),),
        "opacities": ((n,),),
        "viewmats": ((c, 4, 4),),
        "Ks": ((c, 3, 3),),
    }
    got = scene.colors.shape
    channels = got[-1] if got else -1
    if sh_degree is None:
        expected["colors"] = ((n, channels), (c, n, channels))
    else:
        k = max(got[-2] if len(got) > 1 else 0, num_coefficients(sh_degree))
        expected["colors"] = ((n, k, channels), (c, n, k, channels))
    if scene.backgrounds is not None and with_colors:
        expected["backgrounds"] = ((c, channels),)
    for name, shapes in expected.items():
        tensor = getattr(scene, name)
        if tuple(tensor.shape) not in shapes:
            wanted = " or ".join(map(str, shapes))
            raise ShapeError(
                f"{name} has shape {tuple(tensor.shape)}, expected {wanted} (N={n} Gaussians, C={c} cameras)"
            )
        if tensor.dtype != scene.means.dtype or tensor.device != scene.means.device:
            raise ShapeError(
                f"{name} is {tensor.dtype} on {tensor.device}, but means is {scene.means.dtype} on "
                f"{scene.means.device}: convert one of them"
            )
