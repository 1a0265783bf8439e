"""EWA projection and spherical harmonics of all Gaussians in all cameras: forward and backward kernels.

Covariances are kept as the two rows f0, f1 of F = J W R S, with S = F F^T: then det S = |f0 x f1|^2 without cancellation.
"""

import math

import numba
import numpy as np

from unseen.core.sh import C0, C1, C2, C3
from unseen.render.cpu.layout import WHITEN
from unseen.render.cpu.simd import take_ticket
from unseen.render.settings import ALPHA_MIN, FRUSTUM_MARGIN

SPAN = 512
"""Gaussians per work item."""
BAD_MEANS, BAD_QUATS, BAD_SCALES, BAD_OPACITIES, BAD_COLORS = 1, 2, 4, 8, 16
"""Bits of the kernels' report on inputs that are not finite."""
CAMERA_GRADS = 15
"""Per camera: 9 of the rotation, 3 of the translation, 3 of the centre."""

_C20, _C21, _C22, _C23, _C24 = C2
_C30, _C31, _C32, _C33, _C34, _C35, _C36 = C3


@numba.njit(nogil=True, cache=True)
def _rotation(quats, n):
    """Rows of the rotation matrix, the unit quaternion and 1 / norm (0 for the zero quaternion: no rotation)."""
    w, x, y, z = np.float64(quats[n, 0]), np.float64(quats[n, 1]), np.float64(quats[n, 2]), np.float64(quats[n, 3])
    norm = math.sqrt(w * w + x * x + y * y + z * z)
    inverse = 1.0 / norm if norm > 1e-12 else 0.0
    w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
    row0 = (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y))
    row1 = (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x))
    row2 = (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y))
    return row0, row1, row2, (w, x, y, z), inverse


@numba.njit(nogil=True, cache=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@numba.njit(nogil=True, cache=True)
def _axpy(s, a, t, b):
    """s a + t b."""
    return (s * a[0] + t * b[0], s * a[1] + t * b[1], s * a[2] + t * b[2])


@numba.njit(nogil=True, cache=True)
def _vector_matrix(v, row0, row1, row2):
    """v^T M with M given by rows."""
    return (
        v[0] * row0[0] + v[1] * row1[0] + v[2] * row2[0],
        v[0] * row0[1] + v[1] * row1[1] + v[2] * row2[1],
        v[0] * row0[2] + v[1] * row1[2] + v[2] * row2[2],
    )


@numba.njit(nogil=True, cache=True)
def _ray(offset, z, focal, center, size):
    """offset / z held near the field of view, and whether it was inside."""
    margin = FRUSTUM_MARGIN * 0.5 * size / focal
    ray = offset / z
    held = min(max(ray, -(center / focal + margin)), (size - center) / focal + margin)
    return held, held == ray


@numba.njit(nogil=True, cache=True)
def _sh_basis(degree, x, y, z, b):
    """Basis values at a unit direction."""
    b[0] = C0
    if degree >= 1:
        b[1], b[2], b[3] = -C1 * y, C1 * z, -C1 * x
    if degree >= 2:
        xx, yy, zz = x * x, y * y, z * z
        b[4], b[5], b[7] = _C20 * x * y, _C21 * y * z, _C23 * x * z
        b[6], b[8] = _C22 * (2 * zz - xx - yy), _C24 * (xx - yy)
        if degree >= 3:
            b[9], b[15] = _C30 * y * (3 * xx - yy), _C36 * x * (xx - 3 * yy)
            b[10], b[14] = _C31 * x * y * z, _C35 * z * (xx - yy)
            b[11], b[13] = _C32 * y * (4 * zz - xx - yy), _C34 * x * (4 * zz - xx - yy)
            b[12] = _C33 * z * (2 * zz - 3 * xx - 3 * yy)


@numba.njit(nogil=True, cache=True)
def _sh_slope(degree, x, y, z, w):
    """Gradient with respect to the unit direction of sum_k w_k basis_k."""
    dx, dy, dz = -C1 * w[3], -C1 * w[1], C1 * w[2]
    if degree >= 2:
        dx += _C20 * y * w[4] + _C23 * z * w[7] - 2 * _C22 * x * w[6] + 2 * _C24 * x * w[8]
        dy += _C20 * x * w[4] + _C21 * z * w[5] - 2 * _C22 * y * w[6] - 2 * _C24 * y * w[8]
        dz += _C21 * y * w[5] + _C23 * x * w[7] + 4 * _C22 * z * w[6]
    if degree >= 3:
        xx, yy, zz = x * x, y * y, z * z
        dx += 6 * _C30 * x * y * w[9] + _C31 * y * z * w[10] - 2 * _C32 * x * y * w[11] - 6 * _C33 * x * z * w[12]
        dx += _C34 * (4 * zz - 3 * xx - yy) * w[13] + 2 * _C35 * x * z * w[14] + 3 * _C36 * (xx - yy) * w[15]
        dy += 3 * _C30 * (xx - yy) * w[9] + _C31 * x * z * w[10] + _C32 * (4 * zz - xx - 3 * yy) * w[11]
        dy += -6 * _C33 * y * z * w[12] - 2 * _C34 * x * y * w[13] - 2 * _C35 * y * z * w[14] - 6 * _C36 * x * y * w[15]
        dz += _C31 * x * y * w[10] + 8 * _C32 * y * z * w[11] + 3 * _C33 * (2 * zz - xx - yy) * w[12]
        dz += 8 * _C34 * x * z * w[13] + _C35 * (xx - yy) * w[14]
    return dx, dy, dz


@numba.njit(nogil=True, cache=True)
def _direction(means, n, centers, c):
    """Unit vector from the camera's centre to the mean, and 1 / distance."""
    x, y, z = means[n, 0] - centers[c, 0], means[n, 1] - centers[c, 1], means[n, 2] - centers[c, 2]
    norm = math.sqrt(x * x + y * y + z * z)
    inverse = 1.0 / norm if norm > 1e-12 else 0.0
    return x * inverse, y * inverse, z * inverse, inverse


@numba.njit(nogil=True, cache=True)
def _finite(means, quats, scales, opacities, n):
    """Report bits of Gaussian n; a product with 0 is 0 exactly for finite values."""
    report = 0
    if (np.float64(means[n, 0]) + means[n, 1] + means[n, 2]) * 0.0 != 0.0:
        report |= BAD_MEANS
    if (np.float64(quats[n, 0]) + quats[n, 1] + quats[n, 2] + quats[n, 3]) * 0.0 != 0.0:
        report |= BAD_QUATS
    if (np.float64(scales[n, 0]) + scales[n, 1] + scales[n, 2]) * 0.0 != 0.0:
        report |= BAD_SCALES
    if opacities[n] * np.float32(0) != 0:
        report |= BAD_OPACITIES
    return report


@numba.njit(nogil=True, cache=True)
def _footprint(row0, row1, row2, scale, w, mean, k, width, height):
    """Rows f0, f1 of J W R S and what backward needs of the way there; w: rows of the camera's rotation."""
    rx, free_x = _ray(mean[0], mean[2], k[0], k[2], width)
    ry, free_y = _ray(mean[1], mean[2], k[1], k[3], height)
    t0 = _axpy(k[0] / mean[2], w[0], -k[0] / mean[2] * rx, w[2])
    t1 = _axpy(k[1] / mean[2], w[1], -k[1] / mean[2] * ry, w[2])
    g0, g1 = _vector_matrix(t0, row0, row1, row2), _vector_matrix(t1, row0, row1, row2)
    f0 = (g0[0] * scale[0], g0[1] * scale[1], g0[2] * scale[2])
    f1 = (g1[0] * scale[0], g1[1] * scale[1], g1[2] * scale[2])
    return f0, f1, t0, t1, g0, g1, rx, ry, free_x, free_y


@numba.njit(nogil=True, cache=True)
def _determinant(f0, f1):
    """det F F^T = |f0 x f1|^2."""
    x, y, z = f0[1] * f1[2] - f0[2] * f1[1], f0[2] * f1[0] - f0[0] * f1[2], f0[0] * f1[1] - f0[1] * f1[0]
    return x * x + y * y + z * z


@numba.njit(nogil=True, cache=True)
def _camera(viewmats, Ks, c):
    """Rows of the rotation, the translation and (fx, fy, cx, cy), float64."""
    v = viewmats[c]
    rows = ((v[0, 0], v[0, 1], v[0, 2]), (v[1, 0], v[1, 1], v[1, 2]), (v[2, 0], v[2, 1], v[2, 2]))
    return rows, (v[0, 3], v[1, 3], v[2, 3]), (Ks[c, 0, 0], Ks[c, 1, 1], Ks[c, 0, 2], Ks[c, 1, 2])


@numba.njit(nogil=True, cache=True)
def project(
    counter, means, quats, scales, opacities, colors, viewmats, Ks, centers, width, height, near, far, eps2d,
    antialiased, degree, means2d, covs2d, conics, depths, opacities2d, radii, ellipses, exact_depths, shaded, report,
):  # fmt: skip
    """Fill everything per (camera, Gaussian); `radii` are 0 and nothing else is set where it is culled.

    `colors` [cameras or 1, N, K, D] are SH coefficients when degree >= 0, else [cameras or 1, N, 1, D] and only checked.
    """
    cameras, n_gaussians = depths.shape
    spans = (n_gaussians + SPAN - 1) // SPAN
    basis = np.zeros(16)
    while True:
        ticket = take_ticket(counter)
        if ticket >= cameras * spans:
            break
        c = ticket // spans
        w, t, k = _camera(viewmats, Ks, c)
        start = (ticket - c * spans) * SPAN
        bad = 0
        for n in range(start, min(start + SPAN, n_gaussians)):
            bad |= _finite(means, quats, scales, opacities, n)
            seen = _project_one(
                n, c, means, quats, scales, opacities, w, t, k, width, height, near, far, eps2d, antialiased,
                means2d, covs2d, conics, depths, opacities2d, radii, ellipses, exact_depths,
            )  # fmt: skip
            if degree < 0:
                bad |= _check_color(colors, min(c, colors.shape[0] - 1), n)
            elif seen:
                bad |= _shade(n, c, means, centers, colors, degree, basis, shaded)
            else:
                shaded[c, n, :] = 0
        if bad:
            report[0] |= bad


@numba.njit(nogil=True, cache=True)
def _check_color(colors, c, n):
    total = np.float32(0)
    for d in range(colors.shape[3]):
        total += colors[c, n, 0, d] * np.float32(0)
    return BAD_COLORS if total != 0 else 0


@numba.njit(nogil=True, cache=True)
def _shade(n, c, means, centers, colors, degree, basis, shaded):
    """Colour max(0, 0.5 + sum of bands) of one Gaussian seen from one camera."""
    own = min(c, colors.shape[0] - 1)
    x, y, z, _ = _direction(means, n, centers, c)
    _sh_basis(degree, x, y, z, basis)
    bad = 0
    for d in range(colors.shape[3]):
        value = 0.5
        for k in range((degree + 1) * (degree + 1)):
            value += basis[k] * colors[own, n, k, d]
        shaded[c, n, d] = max(value, 0.0)
        if value * 0.0 != 0.0:
            bad = BAD_COLORS
    return bad


@numba.njit(nogil=True, cache=True)
def _project_one(
    n, c, means, quats, scales, opacities, w, t, k, width, height, near, far, eps2d, antialiased,
    means2d, covs2d, conics, depths, opacities2d, radii, ellipses, exact_depths,
):  # fmt: skip
    """One Gaussian in one camera; whether it is seen."""
    point = (np.float64(means[n, 0]), np.float64(means[n, 1]), np.float64(means[n, 2]))
    mean = (_dot(w[0], point) + t[0], _dot(w[1], point) + t[1], _dot(w[2], point) + t[2])
    depths[c, n], exact_depths[c, n] = mean[2], mean[2]
    radii[c, n, 0], radii[c, n, 1] = 0, 0
    means2d[c, n, :], covs2d[c, n, :], conics[c, n, :], opacities2d[c, n] = 0, 0, 0, 0
    opacity = np.float64(opacities[n])
    if not (mean[2] >= near and mean[2] <= far and opacity >= ALPHA_MIN):
        return False
    row0, row1, row2, _, _ = _rotation(quats, n)
    scale = (np.float64(scales[n, 0]), np.float64(scales[n, 1]), np.float64(scales[n, 2]))
    f0, f1, _, _, _, _, _, _, _, _ = _footprint(row0, row1, row2, scale, w, mean, k, width, height)
    thin = _determinant(f0, f1)
    a, b, d = _dot(f0, f0), _dot(f0, f1), _dot(f1, f1)
    determinant = thin + eps2d * (a + d) + eps2d * eps2d
    a, d = a + eps2d, d + eps2d
    if antialiased:
        opacity *= math.sqrt(thin / determinant) if determinant > 0 else 0.0
    if not (determinant > 0 and opacity >= ALPHA_MIN):
        return False
    x, y = k[0] * mean[0] / mean[2] + k[2], k[1] * mean[1] / mean[2] + k[3]
    extent = math.sqrt(2 * math.log(opacity / ALPHA_MIN))
    radius_x, radius_y = math.ceil(extent * math.sqrt(a)), math.ceil(extent * math.sqrt(d))
    if not (x + radius_x > 0 and x - radius_x < width and y + radius_y > 0 and y - radius_y < height):
        return False
    radii[c, n, 0], radii[c, n, 1] = max(min(radius_x, 1 << 30), 1), max(min(radius_y, 1 << 30), 1)
    means2d[c, n, 0], means2d[c, n, 1], opacities2d[c, n] = x, y, opacity
    covs2d[c, n, 0], covs2d[c, n, 1], covs2d[c, n, 2] = a, b, d
    conics[c, n, 0], conics[c, n, 1], conics[c, n, 2] = d / determinant, -b / determinant, a / determinant
    root = WHITEN / math.sqrt(d)
    e = ellipses[c * depths.shape[1] + n]
    e[0], e[1] = x, y
    e[2], e[3], e[4] = root * d / math.sqrt(determinant), -root * b / math.sqrt(determinant), root
    e[5] = math.log2(opacity)
    return True


@numba.njit(nogil=True, cache=True)
def project_backward(
    counter, means, quats, scales, opacities, colors, viewmats, Ks, centers, width, height, eps2d, antialiased, degree,
    radii, shaded, v_means2d, v_covs2d, v_depths, v_opacities2d, v_shaded,
    v_means, v_quats, v_scales, v_opacities, v_colors, v_cameras,
):  # fmt: skip
    """Chain rule from the image planes to the inputs. Work items are spans of Gaussians, each through all cameras in order;
    `v_cameras` [spans, cameras, 15] is summed by the caller."""
    cameras, n_gaussians = radii.shape[0], radii.shape[1]
    spans = (n_gaussians + SPAN - 1) // SPAN
    basis, weights = np.zeros(16), np.zeros(16)
    while True:
        ticket = take_ticket(counter)
        if ticket >= spans:
            break
        v_cameras[ticket] = 0
        start = ticket * SPAN
        stop = min(start + SPAN, n_gaussians)
        v_means[start:stop], v_quats[start:stop], v_scales[start:stop], v_opacities[start:stop] = 0, 0, 0, 0
        for c in range(cameras):
            w, t, k = _camera(viewmats, Ks, c)
            if degree >= 0 and (c == 0 or v_colors.shape[0] > 1):
                v_colors[c, start:stop] = 0
            for n in range(start, stop):
                if radii[c, n, 0] > 0:
                    _project_one_backward(
                        n, c, means, quats, scales, opacities, w, t, k, width, height, eps2d, antialiased,
                        v_means2d, v_covs2d, v_depths, v_opacities2d,
                        v_means, v_quats, v_scales, v_opacities, v_cameras[ticket, c],
                    )  # fmt: skip
                    if degree >= 0:
                        _shade_backward(
                            n, c, means, centers, colors, degree, basis, weights, shaded, v_shaded, v_means, v_colors,
                            v_cameras[ticket, c],
                        )  # fmt: skip
                elif v_depths[c, n] != 0:
                    v_means[n, 0] += w[2][0] * v_depths[c, n]
                    v_means[n, 1] += w[2][1] * v_depths[c, n]
                    v_means[n, 2] += w[2][2] * v_depths[c, n]


@numba.njit(nogil=True, cache=True)
def _shade_backward(
    n, c, means, centers, colors, degree, basis, weights, shaded, v_shaded, v_means, v_colors, v_camera
):
    """Gradients of one colour: to its coefficients, and through the direction to the mean and the camera's centre."""
    own = min(c, colors.shape[0] - 1)
    x, y, z, inverse = _direction(means, n, centers, c)
    _sh_basis(degree, x, y, z, basis)
    count = (degree + 1) * (degree + 1)
    for k in range(count):
        weights[k] = 0
    for d in range(colors.shape[3]):
        if shaded[c, n, d] > 0:
            v = np.float64(v_shaded[c, n, d])
            for k in range(count):
                weights[k] += v * colors[own, n, k, d]
                v_colors[own, n, k, d] += v * basis[k]
    if degree > 0:
        dx, dy, dz = _sh_slope(degree, x, y, z, weights)
        along = dx * x + dy * y + dz * z
        dx, dy, dz = (dx - along * x) * inverse, (dy - along * y) * inverse, (dz - along * z) * inverse
        v_means[n, 0] += dx
        v_means[n, 1] += dy
        v_means[n, 2] += dz
        v_camera[12] -= dx
        v_camera[13] -= dy
        v_camera[14] -= dz


@numba.njit(nogil=True, cache=True)
def _project_one_backward(
    n, c, means, quats, scales, opacities, w, t, k, width, height, eps2d, antialiased,
    v_means2d, v_covs2d, v_depths, v_opacities2d, v_means, v_quats, v_scales, v_opacities, v_camera,
):  # fmt: skip
    """Gradients of one Gaussian in one camera, added to the outputs."""
    point = (np.float64(means[n, 0]), np.float64(means[n, 1]), np.float64(means[n, 2]))
    mean = (_dot(w[0], point) + t[0], _dot(w[1], point) + t[1], _dot(w[2], point) + t[2])
    row0, row1, row2, unit, inverse = _rotation(quats, n)
    scale = (np.float64(scales[n, 0]), np.float64(scales[n, 1]), np.float64(scales[n, 2]))
    f0, f1, t0, t1, g0, g1, rx, ry, free_x, free_y = _footprint(row0, row1, row2, scale, w, mean, k, width, height)
    va, vb, vd = np.float64(v_covs2d[c, n, 0]), np.float64(v_covs2d[c, n, 1]), np.float64(v_covs2d[c, n, 2])
    v_opacity = np.float64(v_opacities2d[c, n])
    if antialiased:
        v_opacity, da, db, dd = _compensation_backward(f0, f1, eps2d, opacities[n], v_opacity)
        va, vb, vd = va + da, vb + db, vd + dd
    v_opacities[n] += v_opacity
    v_f0, v_f1 = _axpy(2 * va, f0, vb, f1), _axpy(2 * vd, f1, vb, f0)
    for j in range(3):
        v_scales[n, j] += v_f0[j] * g0[j] + v_f1[j] * g1[j]
    v_g0 = (v_f0[0] * scale[0], v_f0[1] * scale[1], v_f0[2] * scale[2])
    v_g1 = (v_f1[0] * scale[0], v_f1[1] * scale[1], v_f1[2] * scale[2])
    _rotation_backward(n, _axpy(t0[0], v_g0, t1[0], v_g1), _axpy(t0[1], v_g0, t1[1], v_g1),
                       _axpy(t0[2], v_g0, t1[2], v_g1), unit, inverse, v_quats)  # fmt: skip
    v_t0 = (_dot(v_g0, row0), _dot(v_g0, row1), _dot(v_g0, row2))
    v_t1 = (_dot(v_g1, row0), _dot(v_g1, row1), _dot(v_g1, row2))
    sx, sy = k[0] / mean[2], k[1] / mean[2]
    v_rx, v_ry = -sx * _dot(v_t0, w[2]), -sy * _dot(v_t1, w[2])
    vx, vy = sx * v_means2d[c, n, 0], sy * v_means2d[c, n, 1]
    vz = v_depths[c, n] - (vx * mean[0] + vy * mean[1] + _dot(v_t0, t0) + _dot(v_t1, t1)) / mean[2]
    if free_x:
        vx, vz = vx + v_rx / mean[2], vz - v_rx * rx / mean[2]
    if free_y:
        vy, vz = vy + v_ry / mean[2], vz - v_ry * ry / mean[2]
    for j in range(3):
        v_means[n, j] += vx * w[0][j] + vy * w[1][j] + vz * w[2][j]
        v_camera[j] += vx * point[j] + sx * v_t0[j]
        v_camera[3 + j] += vy * point[j] + sy * v_t1[j]
        v_camera[6 + j] += vz * point[j] - sx * rx * v_t0[j] - sy * ry * v_t1[j]
    v_camera[9] += vx
    v_camera[10] += vy
    v_camera[11] += vz


@numba.njit(nogil=True, cache=True)
def _compensation_backward(f0, f1, eps2d, opacity, v_opacity):
    """Of opacity sqrt(det S / det (S + eps2d)): gradients of the opacity and of the entries xx, xy, yy of S."""
    thin = _determinant(f0, f1)
    a, b, d = _dot(f0, f0), _dot(f0, f1), _dot(f1, f1)
    determinant = thin + eps2d * (a + d) + eps2d * eps2d
    ratio = thin / determinant
    if ratio <= 0:
        return 0.0, 0.0, 0.0, 0.0
    root = math.sqrt(ratio)
    v_ratio = v_opacity * opacity / (2 * root)
    v_thin, v_full = v_ratio / determinant, -v_ratio * ratio / determinant
    both = v_thin + v_full
    return v_opacity * root, both * d + v_full * eps2d, -2 * both * b, both * a + v_full * eps2d


@numba.njit(nogil=True, cache=True)
def _rotation_backward(n, v0, v1, v2, unit, inverse, v_quats):
    """From gradients of the rows of the rotation matrix to the quaternion, through its normalisation."""
    w, x, y, z = unit
    vw = 2 * (x * (v2[1] - v1[2]) + y * (v0[2] - v2[0]) + z * (v1[0] - v0[1]))
    vx = 2 * (y * (v0[1] + v1[0]) + z * (v0[2] + v2[0]) + w * (v2[1] - v1[2]) - 2 * x * (v1[1] + v2[2]))
    vy = 2 * (x * (v0[1] + v1[0]) + z * (v1[2] + v2[1]) + w * (v0[2] - v2[0]) - 2 * y * (v0[0] + v2[2]))
    vz = 2 * (x * (v0[2] + v2[0]) + y * (v1[2] + v2[1]) + w * (v1[0] - v0[1]) - 2 * z * (v0[0] + v1[1]))
    along = vw * w + vx * x + vy * y + vz * z
    v_quats[n, 0] += (vw - along * w) * inverse
    v_quats[n, 1] += (vx - along * x) * inverse
    v_quats[n, 2] += (vy - along * y) * inverse
    v_quats[n, 3] += (vz - along * z) * inverse
