"""EWA projection and shading of all Gaussians in all cameras, 16 Gaussians at a time: forward and backward kernels.

Forward works in float64, because a float32 conic is worthless for a needle and a float32 depth is not an order.
"""

import math

import numpy as np

from unseen.render.cpu.geometry import (
    combine,
    compensation_backward,
    determinant,
    dot,
    footprint,
    held_ray,
    rotation,
    rotation_backward,
    times,
)
from unseen.render.cpu.layout import (
    BAD_COLORS,
    BAD_MEANS,
    BAD_OPACITIES,
    BAD_QUATS,
    BAD_SCALES,
    ELLIPSE,
    SPAN,
    TILE,
    WHITEN,
)
from unseen.render.cpu.shade import CENTER, NO_SH, shade_span, shade_span_backward
from unseen.render.cpu.simd import (
    WIDTH,
    any_lane,
    bits_of,
    borrowed,
    both,
    ceil,
    first_lanes,
    inner,
    integer_bits,
    kernel,
    load1,
    load2,
    load3,
    load4,
    log2,
    maximum,
    minimum,
    narrow,
    select,
    splat,
    splat64,
    sqrt,
    store,
    store1,
    store2,
    store3,
    store4,
    take_ticket,
    total,
    trailing_zeros,
    widen,
)
from unseen.render.settings import ALPHA_MIN, FRUSTUM_MARGIN

CAMERA_GRADS = CENTER + 3
"""Per camera: 9 numbers of the rotation, 3 of the translation, 3 of the centre."""
SLACK = 1e-3
"""Added to the squared whitened extent, so that rounding in the compositing kernels finds nothing outside it."""
_LOG2_255 = math.log2(1 / ALPHA_MIN)
_RADIUS_MAX = float(1 << 30)


@inner
def _camera(viewmats, Ks, c, width, height):
    """Rows of the rotation, the translation, (fx, fy, cx, cy) and the bounds of x/z and y/z for the Jacobian."""
    v = viewmats[c]
    rows = ((v[0, 0], v[0, 1], v[0, 2]), (v[1, 0], v[1, 1], v[1, 2]), (v[2, 0], v[2, 1], v[2, 2]))
    fx, fy, cx, cy = Ks[c, 0, 0], Ks[c, 1, 1], Ks[c, 0, 2], Ks[c, 1, 2]
    margin_x, margin_y = FRUSTUM_MARGIN * 0.5 * width / fx, FRUSTUM_MARGIN * 0.5 * height / fy
    bounds = (
        -(cx / fx + margin_x), (width - cx) / fx + margin_x, -(cy / fy + margin_y), (height - cy) / fy + margin_y
    )  # fmt: skip
    return rows, (v[0, 3], v[1, 3], v[2, 3]), (fx, fy, cx, cy), bounds


@inner
def _widen3(v):
    return widen(v[0]), widen(v[1]), widen(v[2])


@inner
def _to_camera(w, t, point):
    return dot(w[0], point) + t[0], dot(w[1], point) + t[1], dot(w[2], point) + t[2]


@inner
def _report(point, quat, scale, opacity):
    """Bits of the inputs that are not finite: 0 x is 0 for finite x only."""
    report = 0
    if bits_of(_is_zero(point[0] + point[1] + point[2])) != 0xFFFF:
        report |= BAD_MEANS
    if bits_of(_is_zero(quat[0] + quat[1] + quat[2] + quat[3])) != 0xFFFF:
        report |= BAD_QUATS
    if bits_of(_is_zero(scale[0] + scale[1] + scale[2])) != 0xFFFF:
        report |= BAD_SCALES
    if bits_of(_is_zero(opacity)) != 0xFFFF:
        report |= BAD_OPACITIES
    return report


@inner
def _is_zero(v):
    return v * 0.0 >= 0.0


@kernel
def project(
    counter, means, quats, scales, opacities, viewmats, Ks, harmonics, width, height, near, far, eps2d, antialiased,
    means2d, conics, depths, opacities2d, radii, shaded, ellipses, exact_depths, expected, report,
):  # fmt: skip
    """Fill everything per (camera, Gaussian), all arrays given flat but `viewmats` and `Ks`; zeros where it is
    culled, and nothing in `ellipses`. `harmonics` as `shade_span` takes them, their degree NO_SH for no shading.
    `expected[ticket]` gets about how many tiles the work item's Gaussians touch."""
    means, quats, scales, opacities, ellipses = (
        borrowed(means), borrowed(quats), borrowed(scales), borrowed(opacities), borrowed(ellipses)
    )  # fmt: skip
    means2d, conics, depths, opacities2d, radii, exact_depths = (
        borrowed(means2d), borrowed(conics), borrowed(depths), borrowed(opacities2d), borrowed(radii),
        borrowed(exact_depths),
    )  # fmt: skip
    shaded, harmonics = borrowed(shaded), (harmonics[0], borrowed(harmonics[1]), *harmonics[2:])
    n_gaussians, cameras = opacities.shape[0], Ks.shape[0]
    spans = (n_gaussians + SPAN - 1) // SPAN
    scratch, basis = np.empty(ELLIPSE * WIDTH), np.zeros(WIDTH, np.float32)
    while True:
        ticket = take_ticket(counter)
        if ticket >= cameras * spans:
            break
        c = ticket // spans
        camera = _camera(viewmats, Ks, c, width, height)
        start = (ticket - c * spans) * SPAN
        stop = min(start + SPAN, n_gaussians)
        bad, tiles = 0, np.float32(0)
        for n in range(start, stop, WIDTH):
            count = min(WIDTH, stop - n)
            point, quat, scale = load3(means, n, count), load4(quats, n, count), load3(scales, n, count)
            (opacity,) = load1(opacities, n, count)
            bad |= _report(point, quat, scale, opacity)
            tiles += _project_some(
                count, c * n_gaussians + n, point, quat, scale, opacity, camera, width, height, near, far, eps2d,
                antialiased, means2d, conics, depths, opacities2d, radii, ellipses, exact_depths, scratch,
            )  # fmt: skip
        expected[ticket] = tiles
        if harmonics[4] != NO_SH and shade_span(harmonics, c, start, stop, means, opacities2d, shaded, basis) != 0:
            bad |= BAD_COLORS
        if bad:
            report[0] |= bad


@inner
def _project_some(
    count, at, point, quat, scale, opacity, camera, width, height, near, far, eps2d, antialiased,
    means2d, conics, depths, opacities2d, radii, ellipses, exact_depths, scratch,
):  # fmt: skip
    """Up to 16 Gaussians in one camera, written from flat index `at` on; about how many tiles they touch."""
    w, t, k, bounds = camera
    mean = _to_camera(w, t, _widen3(point))
    z = mean[2]
    seen = both(first_lanes(count), both(both(z >= near, z <= far), widen(opacity) >= ALPHA_MIN))
    store1(exact_depths, at, count, (z,))
    store1(depths, at, count, (narrow(z),))
    if not any_lane(seen):
        zero = splat(0.0)
        _store_seen(
            count, at, seen, (zero, zero), (zero, zero, zero), zero, (zero, zero), means2d, conics, opacities2d, radii
        )
        return np.float32(0)
    inverse_z = 1.0 / select(seen, z, splat64(1.0))
    rx, _ = held_ray(mean[0], inverse_z, bounds[0], bounds[1])
    ry, _ = held_ray(mean[1], inverse_z, bounds[2], bounds[3])
    rows, _, _ = rotation((widen(quat[0]), widen(quat[1]), widen(quat[2]), widen(quat[3])))
    f0, f1, _, _, _, _ = footprint(rows, _widen3(scale), w, k[0] * inverse_z, k[1] * inverse_z, rx, ry)
    thin = determinant(f0, f1)
    a, b, d = dot(f0, f0), dot(f0, f1), dot(f1, f1)
    full = thin + eps2d * (a + d) + eps2d * eps2d
    a, d = a + eps2d, d + eps2d
    seen = both(seen, full > 0.0)
    full = select(seen, full, splat64(1.0))
    if antialiased:
        opacity = opacity * narrow(sqrt(thin / full))
        seen = both(seen, widen(opacity) >= ALPHA_MIN)
    level = log2(select(seen, opacity, splat(1.0)))
    x, y = k[0] * mean[0] * inverse_z + k[2], k[1] * mean[1] * inverse_z + k[3]
    root_d, root_full = sqrt(d), sqrt(full)
    limit = maximum(level + _LOG2_255, splat(0.0))
    extent = sqrt(limit) * (1 / WHITEN)
    radius_x = minimum(ceil(extent * narrow(sqrt(a))), splat(_RADIUS_MAX))
    radius_y = minimum(ceil(extent * narrow(root_d)), splat(_RADIUS_MAX))
    wide_x, wide_y = widen(radius_x), widen(radius_y)
    seen = both(seen, both(both(x + wide_x > 0.0, x - wide_x < width), both(y + wide_y > 0.0, y - wide_y < height)))
    inverse = 1.0 / full
    conic = narrow(d * inverse), narrow(-(b * inverse)), narrow(a * inverse)
    _store_seen(
        count,
        at,
        seen,
        (narrow(x), narrow(y)),
        conic,
        opacity,
        (radius_x, radius_y),
        means2d,
        conics,
        opacities2d,
        radii,
    )
    _store_ellipses(at, seen, x, y, b, root_d, root_full, level, limit, ellipses, scratch)
    return _expected_tiles(seen, narrow(x), narrow(y), radius_x, radius_y, width, height)


@inner
def _store_seen(count, at, seen, mean, conic, opacity, radius, means2d, conics, opacities2d, radii):
    """What `info` shows of the Gaussians seen, zero for the others; a radius is at least one pixel."""
    zero, one = splat(0.0), splat(1.0)
    store2(means2d, at, count, (select(seen, mean[0], zero), select(seen, mean[1], zero)))
    store3(conics, at, count, _kept3(seen, conic))
    store1(opacities2d, at, count, (select(seen, opacity, zero),))
    wide = select(seen, maximum(radius[0], one), zero), select(seen, maximum(radius[1], one), zero)
    store2(radii, at, count, (integer_bits(wide[0]), integer_bits(wide[1])))


@inner
def _store_ellipses(at, seen, x, y, b, root_d, root_full, level, limit, ellipses, scratch):
    """Rows of `ellipses` for the Gaussians seen; a column at a time into scratch, then a row at a time out of it."""
    store(scratch, 0, x)
    store(scratch, WIDTH, y)
    store(scratch, 2 * WIDTH, WHITEN * root_d / root_full)
    store(scratch, 3 * WIDTH, -WHITEN * b / (root_d * root_full))
    store(scratch, 4 * WIDTH, WHITEN / root_d)
    store(scratch, 5 * WIDTH, widen(level))
    store(scratch, 6 * WIDTH, widen(sqrt(limit + SLACK)))
    lanes = bits_of(seen)
    while lanes != 0:
        lane = trailing_zeros(lanes)
        lanes &= lanes - np.uint64(1)
        row = (np.uint64(at) + lane) * np.uint64(ELLIPSE)
        for j in range(7):
            ellipses[row + np.uint64(j)] = scratch[np.uint64(j * WIDTH) + lane]


@inner
def _expected_tiles(seen, x, y, radius_x, radius_y, width, height):
    """Sum over the boxes around Gaussians of the tiles a box of that size touches on average."""
    zero = splat(0.0)
    across = minimum(x + radius_x, splat(width)) - maximum(x - radius_x, zero)
    down = minimum(y + radius_y, splat(height)) - maximum(y - radius_y, zero)
    tiles = (across * (1.0 / TILE) + 1.0) * (down * (1.0 / TILE) + 1.0)
    return total(select(seen, tiles, zero))


@kernel
def project_backward(
    counter, means, quats, scales, opacities, viewmats, Ks, harmonics, width, height, eps2d, antialiased,
    opacities2d, shaded, v_means2d, v_covs2d, v_depths, v_opacities2d, v_shaded,
    v_means, v_quats, v_scales, v_opacities, v_colors, v_cameras,
):  # fmt: skip
    """Chain rule from the image planes to the inputs, in float32. Work items are spans of Gaussians, each through all
    cameras in order; `v_cameras` [spans, cameras, CAMERA_GRADS] is summed by the caller."""
    means, opacities2d, v_means = borrowed(means), borrowed(opacities2d), borrowed(v_means)
    shaded, v_shaded, v_colors = borrowed(shaded), borrowed(v_shaded), borrowed(v_colors)
    harmonics = (harmonics[0], borrowed(harmonics[1]), *harmonics[2:])
    n_gaussians, cameras = opacities.shape[0], Ks.shape[0]
    spans = (n_gaussians + SPAN - 1) // SPAN
    basis, weights = np.zeros(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    while True:
        ticket = take_ticket(counter)
        if ticket >= spans:
            break
        v_cameras[ticket] = 0
        start = ticket * SPAN
        stop = min(start + SPAN, n_gaussians)
        for n in range(start, stop, WIDTH):
            count = min(WIDTH, stop - n)
            point, quat, scale = load3(means, n, count), load4(quats, n, count), load3(scales, n, count)
            (opacity,) = load1(opacities, n, count)
            zero = splat(0.0)
            v_point, v_quat, v_scale, v_opacity = (zero, zero, zero), (zero, zero, zero, zero), (zero, zero, zero), zero
            for c in range(cameras):
                at = c * n_gaussians + n
                (v_depth,) = load1(v_depths, at, count)
                v_ellipse = load2(v_means2d, at, count), load3(v_covs2d, at, count), load1(v_opacities2d, at, count)[0]
                part = _project_some_backward(
                    point, quat, scale, opacity, _camera(viewmats, Ks, c, width, height), eps2d, antialiased,
                    load1(opacities2d, at, count)[0], v_depth, v_ellipse, v_cameras[ticket, c],
                )  # fmt: skip
                v_point = combine(1.0, v_point, 1.0, part[0])
                v_scale = combine(1.0, v_scale, 1.0, part[2])
                q = part[1]
                v_quat = (v_quat[0] + q[0], v_quat[1] + q[1], v_quat[2] + q[2], v_quat[3] + q[3])
                v_opacity = v_opacity + part[3]
            store3(v_means, n, count, v_point)
            store4(v_quats, n, count, v_quat)
            store3(v_scales, n, count, v_scale)
            store1(v_opacities, n, count, (v_opacity,))
        if harmonics[4] != NO_SH:
            shade_span_backward(
                harmonics, start, stop, means, opacities2d, shaded, v_shaded, v_means, v_colors, v_cameras[ticket],
                basis, weights,
            )  # fmt: skip


@inner
def _project_some_backward(
    point, quat, scale, opacity, camera, eps2d, antialiased, opacity2d, v_depth, v_ellipse, v_camera
):
    """Gradients of up to 16 Gaussians through one camera; those of the camera are added to `v_camera`."""
    w, t, k, bounds = camera
    zero, one = splat(0.0), splat(1.0)
    seen = opacity2d > zero
    wide = _to_camera(w, t, _widen3(point))
    mean = narrow(wide[0]), narrow(wide[1]), narrow(wide[2])
    inverse_z = 1.0 / select(seen, mean[2], one)
    rx, free_x = held_ray(mean[0], inverse_z, bounds[0], bounds[1])
    ry, free_y = held_ray(mean[1], inverse_z, bounds[2], bounds[3])
    rows, unit, inverse = rotation(quat)
    sx, sy = k[0] * inverse_z, k[1] * inverse_z
    f0, f1, g0, g1, t0, t1 = footprint(rows, scale, w, sx, sy, rx, ry)
    (vu, vv), (va, vb, vd), v_opacity = v_ellipse
    if antialiased:
        v_opacity, da, db, dd = compensation_backward(f0, f1, eps2d, opacity, v_opacity)
        va, vb, vd = va + da, vb + db, vd + dd
    v_f0, v_f1 = combine(2.0 * va, f0, vb, f1), combine(2.0 * vd, f1, vb, f0)
    v_scale = combine(1.0, times(v_f0, g0), 1.0, times(v_f1, g1))
    v_g0, v_g1 = times(v_f0, scale), times(v_f1, scale)
    v_quat = rotation_backward(
        combine(t0[0], v_g0, t1[0], v_g1), combine(t0[1], v_g0, t1[1], v_g1), combine(t0[2], v_g0, t1[2], v_g1),
        unit, inverse,
    )  # fmt: skip
    v_t0 = dot(v_g0, rows[0]), dot(v_g0, rows[1]), dot(v_g0, rows[2])
    v_t1 = dot(v_g1, rows[0]), dot(v_g1, rows[1]), dot(v_g1, rows[2])
    v_rx = select(free_x, -(sx * dot(w[2], v_t0)) * inverse_z, zero)
    v_ry = select(free_y, -(sy * dot(w[2], v_t1)) * inverse_z, zero)
    vx, vy = sx * vu, sy * vv
    vz = -(vx * mean[0] + vy * mean[1] + dot(v_t0, t0) + dot(v_t1, t1)) * inverse_z - v_rx * rx - v_ry * ry
    v_mean = _kept3(seen, (vx + v_rx, vy + v_ry, vz))
    v_mean = v_mean[0], v_mean[1], v_mean[2] + v_depth
    _add_camera(v_camera, point, v_mean, _kept3(seen, v_t0), _kept3(seen, v_t1), sx, sy, rx, ry)
    v_point = dot(v_mean, (w[0][0], w[1][0], w[2][0])), dot(v_mean, (w[0][1], w[1][1], w[2][1]))
    return (
        (v_point[0], v_point[1], dot(v_mean, (w[0][2], w[1][2], w[2][2]))),
        (select(seen, v_quat[0], zero), select(seen, v_quat[1], zero), select(seen, v_quat[2], zero),
         select(seen, v_quat[3], zero)),
        _kept3(seen, v_scale),
        select(seen, v_opacity, zero),
    )  # fmt: skip


@inner
def _kept3(mask, v):
    zero = splat(0.0)
    return select(mask, v[0], zero), select(mask, v[1], zero), select(mask, v[2], zero)


@inner
def _add_camera(v_camera, point, v_mean, v_t0, v_t1, sx, sy, rx, ry):
    """Rows of the rotation see the points and, through J W, the covariances."""
    by_x, by_y = sx * rx, sy * ry
    for j in range(3):
        p, v0, v1 = _column(point, j), _column(v_t0, j), _column(v_t1, j)
        v_camera[j] += total(v_mean[0] * p + sx * v0)
        v_camera[3 + j] += total(v_mean[1] * p + sy * v1)
        v_camera[6 + j] += total(v_mean[2] * p - by_x * v0 - by_y * v1)
        v_camera[9 + j] += total(_column(v_mean, j))


@inner
def _column(v, j):
    return v[0] if j == 0 else (v[1] if j == 1 else v[2])
