"""Compiled kernels of `unseen.head.binding`: pose splats on triangles, forward and analytic backward."""

import numpy as np
from numba import njit, prange

EPS = np.float32(1e-12)
THIRD = np.float32(1 / 3)


@njit(cache=True, fastmath=True)
def _cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@njit(cache=True, fastmath=True)
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@njit(cache=True, fastmath=True)
def _sub(vertices, i, j):
    return vertices[i, 0] - vertices[j, 0], vertices[i, 1] - vertices[j, 1], vertices[i, 2] - vertices[j, 2]


@njit(cache=True, fastmath=True)
def _unit(a):
    n = max(np.float32(np.sqrt(_dot(a, a))), EPS)
    return (a[0] / n, a[1] / n, a[2] / n), n


@njit(cache=True, fastmath=True)
def _frame(vertices, faces, f):
    """Axes a0, a1, a2, the two edge vectors, their lengths before normalisation and the size k."""
    edge = _sub(vertices, faces[f, 1], faces[f, 0])
    other = _sub(vertices, faces[f, 2], faces[f, 0])
    a0, length = _unit(edge)
    a1, area = _unit(_cross(a0, other))
    a2 = _cross(a0, a1)
    height = _dot(a2, other)
    return a0, a1, a2, other, length, area, height, np.float32(0.5) * (length + abs(height))


@njit(cache=True, fastmath=True)
def _quaternion(a0, a1, a2):
    """wxyz of the rotation with columns a0, a1, a2: the formula whose pivot is largest."""
    s = (
        1 + a0[0] + a1[1] + a2[2],
        1 + a0[0] - a1[1] - a2[2],
        1 - a0[0] + a1[1] - a2[2],
        1 - a0[0] - a1[1] + a2[2],
    )
    if s[0] >= s[1] and s[0] >= s[2] and s[0] >= s[3]:
        q = (s[0], a1[2] - a2[1], a2[0] - a0[2], a0[1] - a1[0])
    elif s[1] >= s[2] and s[1] >= s[3]:
        q = (a1[2] - a2[1], s[1], a0[1] + a1[0], a2[0] + a0[2])
    elif s[2] >= s[3]:
        q = (a2[0] - a0[2], a0[1] + a1[0], s[2], a1[2] + a2[1])
    else:
        q = (a0[1] - a1[0], a2[0] + a0[2], a1[2] + a2[1], s[3])
    n = np.float32(np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]))
    return q[0] / n, q[1] / n, q[2] / n, q[3] / n


@njit(cache=True, fastmath=True)
def _hamilton(p, q):
    return (
        p[0] * q[0] - p[1] * q[1] - p[2] * q[2] - p[3] * q[3],
        p[0] * q[1] + p[1] * q[0] + p[2] * q[3] - p[3] * q[2],
        p[0] * q[2] - p[1] * q[3] + p[2] * q[0] + p[3] * q[1],
        p[0] * q[3] + p[1] * q[2] - p[2] * q[1] + p[3] * q[0],
    )


@njit(cache=True, fastmath=True)
def _unit_quat(quats, i):
    n = np.float32(np.sqrt(quats[i, 0] ** 2 + quats[i, 1] ** 2 + quats[i, 2] ** 2 + quats[i, 3] ** 2))
    n = max(n, EPS)
    return (quats[i, 0] / n, quats[i, 1] / n, quats[i, 2] / n, quats[i, 3] / n), n


@njit(cache=True, fastmath=True)
def _forward_face(
    f, means, quats, log_scales, vertices, faces, splats_by_face, face_start, out_means, out_quats, out_scales
):
    a0, a1, a2, _, _, _, _, k = _frame(vertices, faces, f)
    rq = _quaternion(a0, a1, a2)
    for j in range(face_start[f], face_start[f + 1]):
        i = splats_by_face[j]
        x, y, z = means[i, 0], means[i, 1], means[i, 2]
        for c in range(3):
            corners = vertices[faces[f, 0], c] + vertices[faces[f, 1], c] + vertices[faces[f, 2], c]
            out_means[i, c] = k * (a0[c] * x + a1[c] * y + a2[c] * z) + corners * THIRD
            out_scales[i, c] = k * np.exp(log_scales[i, c])
        q, _ = _unit_quat(quats, i)
        w = _hamilton(rq, q)
        for c in range(4):
            out_quats[i, c] = w[c]


@njit(parallel=True, cache=True, fastmath=True)
def pose_forward(
    means, quats, log_scales, vertices, faces, splats_by_face, face_start, out_means, out_quats, out_scales
):
    """World means, quats and scales of every splat, triangle by triangle."""
    for f in prange(len(faces)):
        if face_start[f] < face_start[f + 1]:
            _forward_face(
                f,
                means,
                quats,
                log_scales,
                vertices,
                faces,
                splats_by_face,
                face_start,
                out_means,
                out_quats,
                out_scales,
            )


@njit(cache=True, fastmath=True)
def _splat_backward(
    i, k, a0, a1, a2, rq, means, quats, log_scales, g_means, g_quats, g_scales, o_means, o_quats, o_logs
):
    """Writes the local gradients of splat i; returns its share of the frame's: gradients of k, T, the axes as rows
    of mean-transport, and the infinitesimal rotation (through the quaternion)."""
    g = (g_means[i, 0], g_means[i, 1], g_means[i, 2])
    x, y, z = means[i, 0], means[i, 1], means[i, 2]
    o_means[i, 0] = k * _dot(a0, g)
    o_means[i, 1] = k * _dot(a1, g)
    o_means[i, 2] = k * _dot(a2, g)
    gk = (x * o_means[i, 0] + y * o_means[i, 1] + z * o_means[i, 2]) / max(k, EPS)
    for c in range(3):
        e = np.exp(log_scales[i, c]) * g_scales[i, c]
        o_logs[i, c] = k * e
        gk += e
    q, n = _unit_quat(quats, i)
    gw = (g_quats[i, 0], g_quats[i, 1], g_quats[i, 2], g_quats[i, 3])
    back = _hamilton((rq[0], -rq[1], -rq[2], -rq[3]), gw)  # gradient of the unit local quaternion
    radial = back[0] * q[0] + back[1] * q[1] + back[2] * q[2] + back[3] * q[3]
    for c in range(4):
        o_quats[i, c] = (back[c] - radial * q[c]) / n
    world = _hamilton(rq, q)
    # d world = 1/2 (0, w) (x) world, so dL/dw is half the vector part of gw (x) conj(world)
    spin = _hamilton(gw, (world[0], -world[1], -world[2], -world[3]))
    half = np.float32(0.5)
    return gk, g, (k * x, k * y, k * z), (half * spin[1], half * spin[2], half * spin[3])


@njit(cache=True, fastmath=True)
def _normalise_backward(g, unit, length):
    """Gradient of v from the gradient of v / |v|."""
    r = _dot(g, unit)
    return (g[0] - r * unit[0]) / length, (g[1] - r * unit[1]) / length, (g[2] - r * unit[2]) / length


@njit(cache=True, fastmath=True)
def _add(a, b):
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


@njit(cache=True, fastmath=True)
def _scaled(s, a):
    return s * a[0], s * a[1], s * a[2]


@njit(cache=True, fastmath=True)
def _backward_face(
    f, means, quats, log_scales, vertices, faces, splats_by_face, face_start,
    g_means, g_quats, g_scales, o_means, o_quats, o_logs, o_corners,
):  # fmt: skip
    zero = (np.float32(0), np.float32(0), np.float32(0))
    a0, a1, a2, other, length, area, height, k = _frame(vertices, faces, f)
    rq = _quaternion(a0, a1, a2)
    gk, gt, g0, g1, g2, spin = np.float32(0), zero, zero, zero, zero, zero
    for j in range(face_start[f], face_start[f + 1]):
        dk, g, local, dw = _splat_backward(
            splats_by_face[j], k, a0, a1, a2, rq, means, quats, log_scales,
            g_means, g_quats, g_scales, o_means, o_quats, o_logs,
        )  # fmt: skip
        gk += dk
        gt = _add(gt, g)
        g0 = _add(g0, _scaled(local[0], g))
        g1 = _add(g1, _scaled(local[1], g))
        g2 = _add(g2, _scaled(local[2], g))
        spin = _add(spin, dw)
    # a rotation of the frame moves the axes by w x a, w = 1/2 sum a x da: share of the quaternion's gradient
    half_spin = _scaled(np.float32(0.5), spin)
    g0 = _add(g0, _cross(half_spin, a0))
    g1 = _add(g1, _cross(half_spin, a1))
    g2 = _add(g2, _cross(half_spin, a2))
    # k = (length + |height|) / 2, height = a2 . other
    sign = np.float32(0.5) * gk * (np.float32(1) if height >= 0 else np.float32(-1))
    g2 = _add(g2, _scaled(sign, other))
    g_other = _scaled(sign, a2)
    # a2 = a0 x a1
    g0 = _add(g0, _cross(a1, g2))
    g1 = _add(g1, _cross(g2, a0))
    # a1 = unit(a0 x other)
    gn = _normalise_backward(g1, a1, area)
    g0 = _add(g0, _cross(other, gn))
    g_other = _add(g_other, _cross(gn, a0))
    # a0 = unit(edge), length = |edge|
    g_edge = _add(_normalise_backward(g0, a0, length), _scaled(np.float32(0.5) * gk, a0))
    for c in range(3):
        o_corners[f, 0, c] = gt[c] * THIRD - g_edge[c] - g_other[c]
        o_corners[f, 1, c] = gt[c] * THIRD + g_edge[c]
        o_corners[f, 2, c] = gt[c] * THIRD + g_other[c]


@njit(parallel=True, cache=True, fastmath=True)
def pose_backward(
    means, quats, log_scales, vertices, faces, splats_by_face, face_start,
    g_means, g_quats, g_scales, o_means, o_quats, o_logs, o_corners,
):  # fmt: skip
    """Local gradients of every splat and the gradient of each triangle's three corners."""
    for f in prange(len(faces)):
        if face_start[f] < face_start[f + 1]:
            _backward_face(
                f, means, quats, log_scales, vertices, faces, splats_by_face, face_start,
                g_means, g_quats, g_scales, o_means, o_quats, o_logs, o_corners,
            )  # fmt: skip
        else:
            o_corners[f] = np.float32(0)


@njit(parallel=True, cache=True)
def gather_corners(corners, corners_by_vertex, vertex_start, out):
    """Sum of the corner gradients that meet in each vertex, in a fixed order."""
    for v in prange(len(out)):
        x, y, z = np.float32(0), np.float32(0), np.float32(0)
        for j in range(vertex_start[v], vertex_start[v + 1]):
            c = corners_by_vertex[j]
            x += corners[c, 0]
            y += corners[c, 1]
            z += corners[c, 2]
        out[v, 0], out[v, 1], out[v, 2] = x, y, z
