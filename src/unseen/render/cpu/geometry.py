"""The formulas of EWA projection, written once for 16 Gaussians at a time in either precision, forward and backward.

Vectors and matrix rows are tuples of `Lanes` or `Doubles`. Covariances are kept as the two rows f0, f1 of F = J W R
S, with S2d = F F^T: then det S2d = |f0 x f1|^2 without cancellation.
"""

from unseen.render.cpu.simd import both, inner, like, maximum, minimum, select, sqrt


@inner
def dot(a, b):
    """Inner product."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@inner
def combine(s, a, t, b):
    """s a + t b."""
    return (s * a[0] + t * b[0], s * a[1] + t * b[1], s * a[2] + t * b[2])


@inner
def times(a, b):
    """Element-wise product."""
    return (a[0] * b[0], a[1] * b[1], a[2] * b[2])


@inner
def row_times_matrix(v, rows):
    """v^T M."""
    return (
        v[0] * rows[0][0] + v[1] * rows[1][0] + v[2] * rows[2][0],
        v[0] * rows[0][1] + v[1] * rows[1][1] + v[2] * rows[2][1],
        v[0] * rows[0][2] + v[1] * rows[1][2] + v[2] * rows[2][2],
    )


@inner
def rotation(quat):
    """Rows of the rotation matrix, the unit quaternion and 1 / norm (0 for the zero quaternion: no rotation)."""
    w, x, y, z = quat
    norm = sqrt(w * w + x * x + y * y + z * z)
    inverse = select(norm > 1e-12, 1.0 / norm, like(norm, 0.0))
    w, x, y, z = w * inverse, x * inverse, y * inverse, z * inverse
    row0 = (1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y))
    row1 = (2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x))
    row2 = (2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y))
    return (row0, row1, row2), (w, x, y, z), inverse


@inner
def rotation_backward(v0, v1, v2, unit, inverse):
    """From gradients of the rows of the rotation matrix to the quaternion, through its normalisation."""
    w, x, y, z = unit
    vw = 2.0 * (x * (v2[1] - v1[2]) + y * (v0[2] - v2[0]) + z * (v1[0] - v0[1]))
    vx = 2.0 * (y * (v0[1] + v1[0]) + z * (v0[2] + v2[0]) + w * (v2[1] - v1[2]) - 2.0 * x * (v1[1] + v2[2]))
    vy = 2.0 * (x * (v0[1] + v1[0]) + z * (v1[2] + v2[1]) + w * (v0[2] - v2[0]) - 2.0 * y * (v0[0] + v2[2]))
    vz = 2.0 * (x * (v0[2] + v2[0]) + y * (v1[2] + v2[1]) + w * (v1[0] - v0[1]) - 2.0 * z * (v0[0] + v1[1]))
    along = vw * w + vx * x + vy * y + vz * z
    return (
        (vw - along * w) * inverse,
        (vx - along * x) * inverse,
        (vy - along * y) * inverse,
        (vz - along * z) * inverse,
    )


@inner
def held_ray(offset, inverse_z, low, high):
    """offset / z held between two bounds near the field of view, and whether it lies within them."""
    ray = offset * inverse_z
    held = minimum(maximum(ray, like(ray, low)), like(ray, high))
    return held, both(held >= ray, held <= ray)


@inner
def footprint(rows, scale, w, scaled_x, scaled_y, rx, ry):
    """f0, f1, the rows g0, g1 of J W R and t0, t1 of J W; w: rows of the camera's rotation, scaled: focal length /
    z."""
    t0 = combine(scaled_x, w[0], -(scaled_x * rx), w[2])
    t1 = combine(scaled_y, w[1], -(scaled_y * ry), w[2])
    g0, g1 = row_times_matrix(t0, rows), row_times_matrix(t1, rows)
    return times(g0, scale), times(g1, scale), g0, g1, t0, t1


@inner
def determinant(f0, f1):
    """det F F^T = |f0 x f1|^2."""
    x, y, z = f0[1] * f1[2] - f0[2] * f1[1], f0[2] * f1[0] - f0[0] * f1[2], f0[0] * f1[1] - f0[1] * f1[0]
    return x * x + y * y + z * z


@inner
def compensation_backward(f0, f1, eps2d, opacity, v_opacity):
    """Of opacity sqrt(det S / det (S + eps2d)): gradients of the opacity and of the entries xx, xy, yy of S."""
    thin = determinant(f0, f1)
    a, b, d = dot(f0, f0), dot(f0, f1), dot(f1, f1)
    full = thin + eps2d * (a + d) + eps2d * eps2d
    ratio = thin / full
    zero = like(ratio, 0.0)
    positive = ratio > zero
    root = sqrt(ratio)
    v_ratio = select(positive, v_opacity * opacity / (2.0 * root), zero)
    v_thin, v_full = v_ratio / full, -(v_ratio * ratio / full)
    v_sum = v_thin + v_full
    v_shrunk = select(positive, v_opacity * root, zero)
    return v_shrunk, v_sum * d + v_full * eps2d, -2.0 * v_sum * b, v_sum * a + v_full * eps2d
