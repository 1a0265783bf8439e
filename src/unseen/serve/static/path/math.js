// Rotations and positions of cameras: quaternions wxyz, camera to world, OpenGL axes (x right, y up, looking along -z).

import { add, cross, dot, unit } from "/static/viewer/camera.js";

export { add, cross, dot, unit };

export const scaled = (a, s) => [a[0] * s, a[1] * s, a[2] * s];

export const mix = (a, b, t) => a.map((value, i) => value + t * (b[i] - value));

/** Columns of the rotation matrix: where the camera's right, up and back point in the world. */
export function axesOf([w, x, y, z]) {
  return {
    right: [1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)],
    up: [2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)],
    back: [2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)],
  };
}

/** The quaternion, w not negative, of a camera with these axes. */
export function fromAxes({ right: [a, b, c], up: [d, e, f], back: [g, h, i] }) {
  const trace = a + e + i;
  let q;
  if (trace > 0) q = [1 + trace, f - h, g - c, b - d];
  else if (a > e && a > i) q = [f - h, 1 + a - e - i, b + d, g + c];
  else if (e > i) q = [g - c, b + d, 1 - a + e - i, f + h];
  else q = [b - d, g + c, f + h, 1 - a - e + i];
  const length = Math.hypot(...q) * (q[0] < 0 ? -1 : 1);
  return q.map((value) => value / length);
}

/** Looks from `eye` at `target`; `up` must not point along the view. */
export function lookAt(eye, target, up) {
  const back = unit(add(eye, target, -1));
  const right = unit(cross(up, back));
  return fromAxes({ right, up: cross(back, right), back });
}

export function turned(quaternion, axis, angle) {
  const [w, x, y, z] = quaternion;
  const [a, b, c] = scaled(axis, Math.sin(angle / 2));
  const s = Math.cos(angle / 2);
  return [
    s * w - a * x - b * y - c * z, s * x + a * w + b * z - c * y,
    s * y + b * w + c * x - a * z, s * z + c * w + a * y - b * x,
  ];
}

/** The rotation between two at t, the shorter way. */
export function slerp(p, q, t) {
  let cosine = p.reduce((sum, value, i) => sum + value * q[i], 0);
  const other = cosine < 0 ? q.map((value) => -value) : q;
  cosine = Math.min(Math.abs(cosine), 1);
  const angle = Math.acos(cosine);
  const [a, b] = angle < 1e-5 ? [1 - t, t] : [Math.sin((1 - t) * angle) / Math.sin(angle), Math.sin(t * angle) / Math.sin(angle)];
  const sum = p.map((value, i) => a * value + b * other[i]);
  const length = Math.hypot(...sum);
  return sum.map((value) => value / length);
}

/** Catmull-Rom: b at t = 0, c at t = 1. */
function curve(a, b, c, d, t) {
  const t2 = t * t, t3 = t2 * t;
  return b.map((value, i) => (2 * t3 - 3 * t2 + 1) * value + (t3 - 2 * t2 + t) * 0.5 * (c[i] - a[i])
    + (3 * t2 - 2 * t3) * c[i] + (t3 - t2) * 0.5 * (d[i] - b[i]));
}

/**
 * The camera at a place of the path, 0 at the first key and 1 more at each next. Keys: {position, rotation, fovY}. Rotations
 * by slerp, the rest linear; with `smooth`, positions on a curve.
 */
export function cameraAt(keys, place, smooth) {
  const last = keys.length - 1;
  const k = Math.min(Math.max(Math.floor(place), 0), Math.max(last - 1, 0));
  const [a, b] = [keys[k], keys[Math.min(k + 1, last)]];
  const t = Math.min(Math.max(place - k, 0), 1);
  const position = smooth
    ? curve(keys[Math.max(k - 1, 0)].position, a.position, b.position, keys[Math.min(k + 2, last)].position, t)
    : mix(a.position, b.position, t);
  return { position, rotation: slerp(a.rotation, b.rotation, t), fovY: a.fovY + t * (b.fovY - a.fovY) };
}

/** `count` cameras evenly spread along the keys. */
export function framesOf(keys, count, smooth) {
  if (!keys.length) return [];
  const span = (keys.length - 1) / Math.max(count - 1, 1);
  return Array.from({ length: count }, (_, i) => cameraAt(keys, i * span, smooth));
}
