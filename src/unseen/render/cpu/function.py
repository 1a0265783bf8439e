"""The kernels as two autograd functions: projection with the colours from spherical harmonics, and compositing."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from unseen.core.errors import NonFiniteError
from unseen.render.cpu import binning, composite, composite_backward, gather, layout, project, shade
from unseen.render.cpu.depth_order import sort_by_depth
from unseen.render.cpu.layout import ELLIPSE, SPAN, tiles_along
from unseen.render.cpu.runtime import run, take, take_zeros
from unseen.render.settings import Settings

_NAMES = {
    layout.BAD_MEANS: "means",
    layout.BAD_QUATS: "quats",
    layout.BAD_SCALES: "scales",
    layout.BAD_OPACITIES: "opacities",
    layout.BAD_COLORS: "colors",
}
_NONE = np.zeros(0, np.float32)
PAIR_BUDGET = 1 << 24
"""Pairs (tile, Gaussian) that are listed at once, about. One takes 50 bytes, in backward 64 more where visited."""


@dataclass
class Frame:
    """What the functions of one call share: per (camera, Gaussian) the geometry in float64."""

    settings: Settings
    cameras: int
    gaussians: int
    radii: np.ndarray = field(init=False)
    ellipses: np.ndarray = field(init=False)
    exact_depths: np.ndarray = field(init=False)
    conics: np.ndarray = field(init=False)
    expected_pairs: float = 0.0

    def __post_init__(self) -> None:
        shape = (self.cameras, self.gaussians)
        self.radii = take((*shape, 2), np.int32)
        self.ellipses = take((self.cameras * self.gaussians * ELLIPSE,), np.float64)
        self.exact_depths = take(shape, np.float64)
        self.conics = take((*shape, 3))


def raise_if_bad(report: np.ndarray) -> None:
    """Name the tensors a kernel found not to be finite."""
    names = [name for bit, name in _NAMES.items() if int(report[0]) & bit]
    if names:
        raise NonFiniteError(
            f"{' and '.join(names)} hold NaN or infinity: remove those Gaussians or lower the step that made them"
        )


def _tensors(*arrays: np.ndarray) -> tuple[torch.Tensor, ...]:
    return tuple(torch.from_numpy(a) for a in arrays)


class Project(torch.autograd.Function):
    """means, quats, scales, opacities, viewmats, Ks, SH coefficients [C or 1, N, K, 3] and camera centres [C, 3], or
    neither -> means2d, covs2d, depths, opacities per camera and, of the coefficients, colours [C, N, 3], 0 where
    culled.

    `covs2d` (xx, xy, yy) only carries gradients to `Composite`, which reads the frame's ellipses: its values are not
    set.
    """

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, viewmats, Ks, coefficients, centers, frame: Frame):
        s, shape = frame.settings, (frame.cameras, frame.gaussians)
        inputs = [t.numpy().reshape(-1) for t in (means, quats, scales, opacities)]
        inputs += [t.numpy().astype(np.float64) for t in (viewmats, Ks)]
        harmonics = _harmonics(coefficients, centers, s.sh_degree)
        means2d, depths, opacities2d = take((*shape, 2)), take(shape), take(shape)
        shaded = take((0 if coefficients is None else frame.cameras, frame.gaussians, 3))
        expected = take((frame.cameras * -(-frame.gaussians // SPAN),))
        report = np.zeros(1, np.int64)
        outputs = [means2d, frame.conics, depths, opacities2d, frame.radii.view(np.float32), shaded]
        run(
            project.project, *inputs, harmonics, s.width, s.height, float(s.near_plane), float(s.far_plane),
            float(s.eps2d), s.antialiased, *(a.reshape(-1) for a in outputs), frame.ellipses,
            frame.exact_depths.reshape(-1), expected, report,
        )  # fmt: skip
        raise_if_bad(report)
        frame.expected_pairs = float(expected.sum())
        ctx.frame, ctx.inputs, ctx.harmonics = frame, inputs, harmonics
        covs2d = torch.empty(()).expand(*shape, 3)
        out = _tensors(means2d, depths, opacities2d, shaded)
        ctx.save_for_backward(means, quats, scales, opacities, coefficients, *out[2:])  # notices changes in place
        return out[0], covs2d, *out[1:]

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        *leaves, coefficients, opacities2d, shaded = ctx.saved_tensors
        frame, s = ctx.frame, ctx.frame.settings
        upstream = [g.contiguous().numpy().reshape(-1) for g in grads]
        out = [take(tuple(t.shape)) for t in leaves]
        out.append(take((0,) if coefficients is None else tuple(coefficients.shape)))
        v_cameras = take((-(-frame.gaussians // SPAN), frame.cameras, project.CAMERA_GRADS), np.float64)
        run(
            project.project_backward, *ctx.inputs, ctx.harmonics, s.width, s.height, float(s.eps2d), s.antialiased,
            opacities2d.numpy().reshape(-1), shaded.numpy().reshape(-1), *upstream, *(a.reshape(-1) for a in out),
            v_cameras,
        )  # fmt: skip
        summed = torch.from_numpy(v_cameras.sum(0).astype(np.float32))
        v_viewmats = None
        if ctx.needs_input_grad[4]:
            v_viewmats = summed.new_zeros(frame.cameras, 4, 4)
            v_viewmats[:, :3, :3] = summed[:, :9].reshape(-1, 3, 3)
            v_viewmats[:, :3, 3] = summed[:, 9:12]
        *v_leaves, v_coefficients = _tensors(*out)
        if coefficients is None:
            return *v_leaves, v_viewmats, None, None, None, None
        return *v_leaves, v_viewmats, None, v_coefficients, summed[:, shade.CENTER :], None


def _harmonics(coefficients: torch.Tensor | None, centers: torch.Tensor | None, degree: int | None) -> tuple:
    """What the projection kernels need to shade."""
    if coefficients is None or centers is None:
        return np.zeros((0, 3)), _NONE, False, 0, shade.NO_SH
    per_camera, stored = coefficients.shape[0] > 1, coefficients.shape[2]
    return centers.numpy().astype(np.float64), coefficients.numpy().reshape(-1), per_camera, stored, degree


class Composite(torch.autograd.Function):
    """means2d, covs2d, opacities [C, N], colors [C N or N, D], backgrounds [C, D] or None -> renders, alphas.

    The image is made in bands of tile rows, each with at most about PAIR_BUDGET pairs (tile, Gaussian); mostly in one.
    """

    @staticmethod
    def forward(ctx, means2d, covs2d, opacities2d, colors, backgrounds, frame: Frame):
        s, channels = frame.settings, colors.shape[-1]
        order, seen = sort_by_depth(frame.exact_depths, frame.radii)
        per_camera = colors.shape[0] != frame.gaussians or frame.cameras == 1
        behind = take_zeros((frame.cameras, channels)) if backgrounds is None else backgrounds.contiguous().numpy()
        renders, alphas = (take((frame.cameras, s.height, s.width, d)) for d in (channels, 1))
        ctx.bands = []
        for band in bands(frame):
            lists = bin_by_tile(frame, order, seen, band)
            visited = take((len(lists.starts) - 1,), np.int32)
            run(
                composite.composite, band, lists.starts, lists.pair_gaussian, lists.pair_mask, frame.ellipses,
                colors.numpy().reshape(-1), per_camera, behind, (s.height, s.width, channels), renders.reshape(-1),
                alphas.reshape(-1), visited,
            )  # fmt: skip
            only = band == (0, tiles_along(s.height))
            ctx.bands.append((band, visited, lists if only else None))  # of several, backward lists each anew
        ctx.frame, ctx.order, ctx.per_camera = frame, (order, seen), per_camera
        ctx.set_materialize_grads(False)
        images = _tensors(renders, alphas)
        ctx.save_for_backward(means2d, opacities2d, colors, *images)
        return images

    @staticmethod
    @once_differentiable
    def backward(ctx, v_renders, v_alphas):  # type: ignore[override]
        frame, (order, seen) = ctx.frame, ctx.order
        means2d, opacities2d, colors, renders, alphas = ctx.saved_tensors
        channels, absgrad = colors.shape[-1], frame.settings.absgrad
        v_renders = torch.zeros_like(renders) if v_renders is None else v_renders.contiguous()
        images = [t.numpy().reshape(-1) for t in (renders, alphas, v_renders)]
        images.append(_NONE if v_alphas is None else v_alphas.contiguous().numpy().reshape(-1))
        shape, flat = (frame.cameras, frame.gaussians), frame.cameras * frame.gaussians
        v_means2d, v_covs2d, v_opacities2d = take((*shape, 2)), take((*shape, 3)), take(shape)
        v_colors, v_abs = take((*shape, channels)), take((*shape, 2) if absgrad else (0, 0, 0))
        for i, (band, visited, kept) in enumerate(ctx.bands):
            lists = kept or bin_by_tile(frame, order, seen, band)
            slot_starts = np.concatenate([[0], np.cumsum(visited, dtype=np.int64)])
            width = layout.slot_width(channels, absgrad)
            slots = take((int(slot_starts[-1]) * width,))
            slot_of = take((len(lists.pair_gaussian),), np.int32)
            run(
                composite_backward.composite_backward, band, lists.starts, visited, slot_starts, lists.pair_gaussian,
                lists.pair_mask, frame.ellipses, colors.numpy().reshape(-1), ctx.per_camera, frame.cameras,
                tuple(renders.shape[1:]), *images, absgrad, slots, width, slot_of,
            )  # fmt: skip
            run(
                gather.gather, order, seen, lists.first, lists.count, lists.places, slot_of, slots, width,
                frame.ellipses, opacities2d.numpy().reshape(flat), absgrad, i > 0, v_means2d.reshape(flat, 2),
                v_covs2d.reshape(flat, 3), v_opacities2d.reshape(flat, 1), v_colors.reshape(flat, channels),
                v_abs.reshape(-1, 2),
            )  # fmt: skip
        if absgrad:
            means2d.absgrad = torch.from_numpy(v_abs)
        v_flat = torch.from_numpy(v_colors)
        v_flat = v_flat.view(flat, channels) if ctx.per_camera else v_flat.sum(0)
        v_backgrounds = (v_renders * (1 - alphas)).sum((1, 2)) if ctx.needs_input_grad[4] else None
        return (*_tensors(v_means2d, v_covs2d, v_opacities2d), v_flat, v_backgrounds, None)


def bands(frame: Frame) -> list[tuple[int, int]]:
    """First row of tiles and the one after the last, of as many equal bands as the budget asks for."""
    rows = tiles_along(frame.settings.height)
    number = min(max(math.ceil(frame.expected_pairs / PAIR_BUDGET), 1), rows)
    return [(rows * i // number, rows * (i + 1) // number) for i in range(number)]


@dataclass
class TileLists:
    """Depth-sorted pairs (tile, Gaussian): `starts` per tile, and per sorted Gaussian where its pairs went."""

    starts: np.ndarray
    pair_gaussian: np.ndarray
    pair_mask: np.ndarray
    first: np.ndarray
    count: np.ndarray
    places: np.ndarray


def bin_by_tile(frame: Frame, order: np.ndarray, seen: np.ndarray, band: tuple[int, int]) -> TileLists:
    """List sorted Gaussians per tile of the band, each camera's tiles after the other's."""
    s, shape = frame.settings, (frame.cameras, frame.gaussians)
    columns, rows = tiles_along(s.width), band[1] - band[0]
    first, count = take(shape, np.int64), take(shape, np.int32)
    histogram = take((binning.CHUNKS, frame.cameras * columns * rows), np.int32)
    needed = np.zeros(binning.CHUNKS, np.int64)
    capacity = 1024 + math.ceil(3 * min(frame.expected_pairs, PAIR_BUDGET) / binning.CHUNKS)
    while True:
        tiles, masks = take((binning.CHUNKS, capacity), np.int32), take((binning.CHUNKS, capacity), np.uint64)
        run(binning.cover, order, seen, frame.ellipses, band, columns, tiles, masks, first, count, histogram, needed)
        if needed.max() <= capacity:
            break
        capacity = int(needed.max())
    starts = take((histogram.shape[1] + 1,), np.int64)
    binning.start_tiles(histogram, starts)
    pairs = int(starts[-1])
    pair_gaussian, pair_mask = take((pairs,), np.int32), take((pairs,), np.uint64)
    places = tiles.reshape(-1)
    run(binning.scatter, order, seen, first, count, places, masks.reshape(-1), histogram, pair_gaussian, pair_mask)
    return TileLists(starts, pair_gaussian, pair_mask, first, count, places)


def check_colors(colors: torch.Tensor) -> None:
    """Raise when a plain colour is not finite."""
    report = np.zeros(1, np.int64)
    shade.check_colors(np.zeros(1, np.int64), colors.detach().numpy().reshape(-1), report)
    raise_if_bad(report)
