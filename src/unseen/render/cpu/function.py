"""The kernels as two autograd functions: projection (with SH) and compositing."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from unseen.core.errors import NonFiniteError
from unseen.render.cpu import binning, composite, gather, project
from unseen.render.cpu.layout import ELLIPSE, MOMENTS, tiles_along
from unseen.render.cpu.runtime import run, take, take_zeros
from unseen.render.settings import Settings

_NAMES = {
    project.BAD_MEANS: "means",
    project.BAD_QUATS: "quats",
    project.BAD_SCALES: "scales",
    project.BAD_OPACITIES: "opacities",
    project.BAD_COLORS: "colors",
}
_NONE = np.zeros((0, 0, 0, 0), np.float32)


@dataclass
class TileLists:
    """Depth-sorted pairs (tile, Gaussian): `starts` per tile, and per Gaussian where its pairs went."""

    starts: np.ndarray
    pair_gaussian: np.ndarray
    pair_mask: np.ndarray
    first: np.ndarray
    count: np.ndarray
    places: np.ndarray


@dataclass
class Frame:
    """What the two functions of one call share: the geometry in float64 and, later, the tile lists."""

    settings: Settings
    cameras: int
    gaussians: int
    radii: np.ndarray = field(init=False)
    ellipses: np.ndarray = field(init=False)
    exact_depths: np.ndarray = field(init=False)
    conics: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.cameras, self.gaussians)
        self.radii = take((*shape, 2), np.int32)
        self.ellipses = take((self.cameras * self.gaussians, ELLIPSE), np.float64)
        self.exact_depths = take(shape, np.float64)
        self.conics = take((*shape, 3))


class Project(torch.autograd.Function):
    """means, quats, scales, opacities, colors, viewmats, centers -> means2d, covs2d, depths, opacities, shaded colours.

    `colors` are only checked, and the last output is empty, unless the settings ask for spherical harmonics.
    """

    @staticmethod
    def forward(ctx, means, quats, scales, opacities, colors, viewmats, centers, Ks, frame: Frame):
        s = frame.settings
        shape = (frame.cameras, frame.gaussians)
        arrays = [t.numpy() for t in (means, quats, scales, opacities, colors)]
        cameras = [t.numpy().astype(np.float64) for t in (viewmats, Ks, centers)]
        degree = -1 if s.sh_degree is None else s.sh_degree
        covs2d, means2d, depths, opacities2d = take((*shape, 3)), take((*shape, 2)), take(shape), take(shape)
        shaded = take((*shape, colors.shape[-1]) if degree >= 0 else (0, 0, 0))
        report = np.zeros(1, np.int64)
        run(
            project.project, *arrays, *cameras, s.width, s.height, float(s.near_plane), float(s.far_plane),
            float(s.eps2d), s.antialiased, degree, means2d, covs2d, frame.conics, depths, opacities2d, frame.radii,
            frame.ellipses, frame.exact_depths, shaded, report,
        )  # fmt: skip
        _raise_if_bad(int(report[0]))
        ctx.frame, ctx.inputs, ctx.shaded = frame, (arrays, cameras, degree), shaded
        ctx.save_for_backward(means, quats, scales, opacities, colors)  # notices changes in place
        return tuple(torch.from_numpy(a) for a in (means2d, covs2d, depths, opacities2d, shaded))

    @staticmethod
    def backward(ctx, *grads):
        _ = ctx.saved_tensors
        frame, s = ctx.frame, ctx.frame.settings
        arrays, cameras, degree = ctx.inputs
        v = [g.contiguous().numpy() for g in grads]
        out = [take(a.shape) for a in arrays[:4]]
        v_colors = take(arrays[4].shape) if degree >= 0 else _NONE
        spans = -(-frame.gaussians // project.SPAN)
        v_cameras = take((spans, frame.cameras, project.CAMERA_GRADS), np.float64)
        run(
            project.project_backward, *arrays, *cameras, s.width, s.height, float(s.eps2d), s.antialiased, degree,
            frame.radii, ctx.shaded, *v, *out, v_colors, v_cameras,
        )  # fmt: skip
        summed = torch.from_numpy(v_cameras.sum(0).astype(np.float32))
        v_viewmats = summed.new_zeros(frame.cameras, 4, 4)
        v_viewmats[:, :3, :3] = summed[:, :9].reshape(-1, 3, 3)
        v_viewmats[:, :3, 3] = summed[:, 9:12]
        v_shared = torch.from_numpy(v_colors) if degree >= 0 else None
        return (*(torch.from_numpy(a) for a in out), v_shared, v_viewmats, summed[:, 12:], None, None)


def _raise_if_bad(report: int) -> None:
    names = [name for bit, name in _NAMES.items() if report & bit]
    if names:
        raise NonFiniteError(
            f"{' and '.join(names)} hold NaN or infinity: remove those Gaussians or lower the step that made them"
        )


class Composite(torch.autograd.Function):
    """means2d, covs2d, opacities [C, N], colors [C N or N, D], backgrounds [C, D] or None -> renders, alphas."""

    @staticmethod
    def forward(ctx, means2d, covs2d, opacities2d, colors, backgrounds, frame: Frame):
        s = frame.settings
        lists = bin_by_tile(frame)
        channels = colors.shape[-1]
        per_camera = colors.shape[0] != frame.gaussians or frame.cameras == 1
        flat = colors.numpy()
        behind = take_zeros((frame.cameras, channels)) if backgrounds is None else backgrounds.contiguous().numpy()
        renders, alphas = (
            take((frame.cameras, s.height, s.width, channels)),
            take((frame.cameras, s.height, s.width, 1)),
        )
        visited = take((len(lists.starts) - 1,), np.int32)
        run(
            composite.composite, lists.starts, lists.pair_gaussian, lists.pair_mask, frame.ellipses, flat, per_camera,
            behind, renders, alphas, visited,
        )  # fmt: skip
        ctx.frame, ctx.lists, ctx.visited, ctx.per_camera = frame, lists, visited, per_camera
        ctx.set_materialize_grads(False)
        images = torch.from_numpy(renders), torch.from_numpy(alphas)
        ctx.save_for_backward(means2d, opacities2d, colors, *images)
        return images

    @staticmethod
    def backward(ctx, v_renders, v_alphas):
        frame, lists = ctx.frame, ctx.lists
        means2d, opacities2d, colors, renders, alphas = ctx.saved_tensors
        channels, absgrad = colors.shape[-1], frame.settings.absgrad
        v_renders = torch.zeros_like(renders) if v_renders is None else v_renders.contiguous()
        pairs = len(lists.pair_gaussian)
        slots = take((pairs, MOMENTS + channels + (2 if absgrad else 0)))
        touched = take((pairs,), np.uint8)
        run(
            composite.composite_backward, lists.starts, ctx.visited, lists.pair_gaussian, lists.pair_mask,
            frame.ellipses, colors.numpy(), ctx.per_camera, renders.numpy(), alphas.numpy(), v_renders.numpy(),
            _NONE if v_alphas is None else v_alphas.contiguous().numpy(), absgrad, slots, touched,
        )  # fmt: skip
        flat = frame.cameras * frame.gaussians
        v_means2d, v_covs2d, v_opacities2d, v_colors = (
            take((flat, 2)),
            take((flat, 3)),
            take((flat,)),
            take((flat, channels)),
        )
        v_abs = take((flat if absgrad else 0, 2))
        run(
            gather.gather, frame.radii.reshape(flat, 2), lists.first, lists.count, lists.places, touched, slots,
            frame.ellipses, opacities2d.numpy().reshape(flat), absgrad, v_means2d, v_covs2d, v_opacities2d, v_colors, v_abs,
        )  # fmt: skip
        if absgrad:
            means2d.absgrad = torch.from_numpy(v_abs).view(frame.cameras, -1, 2)
        v_colors = torch.from_numpy(v_colors)
        if not ctx.per_camera:
            v_colors = v_colors.view(frame.cameras, frame.gaussians, channels).sum(0)
        v_backgrounds = (v_renders * (1 - alphas)).sum((1, 2)) if ctx.needs_input_grad[4] else None
        shape = (frame.cameras, frame.gaussians)
        geometry = (torch.from_numpy(a).view(*shape, *a.shape[1:]) for a in (v_means2d, v_covs2d, v_opacities2d))
        return (*geometry, v_colors, v_backgrounds, None)


def bin_by_tile(frame: Frame) -> TileLists:
    """Sort visible Gaussians by depth and list them per tile."""
    s, shape = frame.settings, (frame.cameras, frame.gaussians)
    columns, rows = tiles_along(s.width), tiles_along(s.height)
    order, seen = take(shape, np.int32), np.zeros(frame.cameras, np.int64)
    scratch = take(shape, np.int32), take(shape, np.uint64), take(shape, np.int32), take(shape, np.uint64)
    run(binning.sort_by_depth, frame.exact_depths, frame.radii, *scratch, order, seen)
    flat = frame.cameras * frame.gaussians
    first, count = take((flat,), np.int64), take((flat,), np.int32)
    histogram = take((binning.CHUNKS, frame.cameras * columns * rows), np.int32)
    needed = np.zeros(binning.CHUNKS, np.int64)
    capacity = 64 + math.ceil(2.5 * int(seen.sum()) / binning.CHUNKS)
    while True:
        tiles, masks = take((binning.CHUNKS, capacity), np.int32), take((binning.CHUNKS, capacity), np.uint64)
        run(
            binning.cover, order, seen, frame.ellipses, columns, rows, s.width, s.height, tiles, masks,
            first, count, histogram, needed,
        )  # fmt: skip
        if needed.max() <= capacity:
            break
        capacity = int(needed.max())
    starts = take((histogram.shape[1] + 1,), np.int64)
    binning.start_tiles(histogram, starts)
    pairs = int(starts[-1])
    pair_gaussian, pair_mask = take((pairs,), np.int32), take((pairs,), np.uint64)
    run(binning.scatter, order, seen, first, count, tiles, masks, histogram, pair_gaussian, pair_mask)
    return TileLists(starts, pair_gaussian, pair_mask, first, count, tiles.reshape(-1))
