// The splats of the scene: their texture rows, and how a posed mesh carries them.

import { spread } from "./payload.js";
import { Sliders } from "./sliders.js";

/** Floats per splat in the texture: mean, opacity | cov xx xy xz yy | cov yz zz, face, - | red, green, blue, -. */
export const SPLAT_FLOATS = 16;
/** Floats per triangle: the three rows of [k R | T]. */
const FACE_FLOATS = 12;

/** The values of an array: those quantised over [lo, hi] spread, others as they are. */
const floats = ({ data, lo, hi }) => (lo ? spread(data, lo, hi) : data);

/** One row of SPLAT_FLOATS per splat. Covariances R diag(s^2) R^T stay in the frame the splat is stored in. */
export function splatRows(arrays) {
  const count = arrays.means.shape[0];
  const means = arrays.means.data;
  const quats = arrays.quats.data;
  const logScales = floats(arrays.log_scales);
  const colors = floats(arrays.rgb);
  const opacities = floats(arrays.opacities);
  const binding = arrays.binding ? arrays.binding.data : null;
  const rows = new Float32Array(count * SPLAT_FLOATS);
  const covariance = new Float32Array(6);
  for (let i = 0; i < count; i++) {
    const row = i * SPLAT_FLOATS;
    rows.set(means.subarray(3 * i, 3 * i + 3), row);
    rows[row + 3] = opacities[i];
    covarianceOf(quats, 4 * i, logScales, 3 * i, covariance);
    rows.set(covariance, row + 4);
    rows[row + 10] = binding ? binding[i] : 0;
    rows.set(colors.subarray(3 * i, 3 * i + 3), row + 12);
  }
  return rows;
}

function covarianceOf(quats, q, logScales, s, out) {
  const length = Math.hypot(quats[q], quats[q + 1], quats[q + 2], quats[q + 3]) || 1;
  const w = quats[q] / length;
  const x = quats[q + 1] / length;
  const y = quats[q + 2] / length;
  const z = quats[q + 3] / length;
  const a = Math.exp(2 * logScales[s]);
  const b = Math.exp(2 * logScales[s + 1]);
  const c = Math.exp(2 * logScales[s + 2]);
  const r00 = 1 - 2 * (y * y + z * z), r01 = 2 * (x * y - w * z), r02 = 2 * (x * z + w * y);
  const r10 = 2 * (x * y + w * z), r11 = 1 - 2 * (x * x + z * z), r12 = 2 * (y * z - w * x);
  const r20 = 2 * (x * z - w * y), r21 = 2 * (y * z + w * x), r22 = 1 - 2 * (x * x + y * y);
  out[0] = a * r00 * r00 + b * r01 * r01 + c * r02 * r02;
  out[1] = a * r00 * r10 + b * r01 * r11 + c * r02 * r12;
  out[2] = a * r00 * r20 + b * r01 * r21 + c * r02 * r22;
  out[3] = a * r10 * r10 + b * r11 * r11 + c * r12 * r12;
  out[4] = a * r10 * r20 + b * r11 * r21 + c * r12 * r22;
  out[5] = a * r20 * r20 + b * r21 * r21 + c * r22 * r22;
}

/** A moving mesh with splats on its triangles (GaussianAvatars): mean' = k R mean + T, cov' = k^2 R cov R^T. */
export class Rig {
  constructor(arrays, { fps, sliders = [] }) {
    this.fps = fps;
    this.sliders = new Sliders(sliders, arrays);
    this.numFrames = arrays.vertices.shape[0];
    this.numVertices = arrays.vertices.shape[1];
    this.stored = arrays.vertices;
    this.faces = arrays.faces.data;
    this.binding = arrays.binding.data;
    this.local = arrays.means.data;
    this.vertices = new Float32Array(3 * this.numVertices);
    this.faceRows = new Float32Array((this.faces.length / 3) * FACE_FLOATS);
    this.means = new Float32Array(this.local.length);
  }

  get duration() {
    return this.numFrames / this.fps;
  }

  /** Poses vertices, triangles and means at a fractional frame. */
  pose(frame) {
    const last = this.numFrames - 1;
    const first = Math.min(Math.max(Math.floor(frame), 0), last);
    this.blend(first, Math.min(first + 1, last), Math.min(Math.max(frame - first, 0), 1));
    this.sliders.addTo(this.vertices, Math.min(Math.max(Math.round(frame), 0), last));
    this.poseFaces();
    this.poseMeans();
  }

  blend(first, second, t) {
    const { data, lo, hi } = this.stored;
    const size = this.vertices.length;
    const a = first * size;
    const b = second * size;
    const scale = lo.map((low, axis) => (hi[axis] - low) / 65535);
    for (let i = 0; i < size; i += 3) {
      for (let axis = 0; axis < 3; axis++) {
        const from = data[a + i + axis];
        this.vertices[i + axis] = lo[axis] + scale[axis] * (from + t * (data[b + i + axis] - from));
      }
    }
  }

  /** Per triangle: a0 along its first edge, a1 its normal, a2 = a0 x a1; k mean of edge and height; T centroid. */
  poseFaces() {
    const { vertices: v, faces, faceRows: rows } = this;
    for (let f = 0, o = 0; f < faces.length; f += 3, o += FACE_FLOATS) {
      const i = 3 * faces[f], j = 3 * faces[f + 1], k = 3 * faces[f + 2];
      let ex = v[j] - v[i], ey = v[j + 1] - v[i + 1], ez = v[j + 2] - v[i + 2];
      const ox = v[k] - v[i], oy = v[k + 1] - v[i + 1], oz = v[k + 2] - v[i + 2];
      const edge = Math.hypot(ex, ey, ez);
      const perEdge = 1 / Math.max(edge, 1e-12);
      ex *= perEdge; ey *= perEdge; ez *= perEdge;
      let nx = ey * oz - ez * oy, ny = ez * ox - ex * oz, nz = ex * oy - ey * ox;
      const perNormal = 1 / Math.max(Math.hypot(nx, ny, nz), 1e-12);
      nx *= perNormal; ny *= perNormal; nz *= perNormal;
      const hx = ey * nz - ez * ny, hy = ez * nx - ex * nz, hz = ex * ny - ey * nx;
      const size = 0.5 * (edge + Math.abs(hx * ox + hy * oy + hz * oz));
      rows[o] = size * ex; rows[o + 1] = size * nx; rows[o + 2] = size * hx;
      rows[o + 3] = (v[i] + v[j] + v[k]) / 3;
      rows[o + 4] = size * ey; rows[o + 5] = size * ny; rows[o + 6] = size * hy;
      rows[o + 7] = (v[i + 1] + v[j + 1] + v[k + 1]) / 3;
      rows[o + 8] = size * ez; rows[o + 9] = size * nz; rows[o + 10] = size * hz;
      rows[o + 11] = (v[i + 2] + v[j + 2] + v[k + 2]) / 3;
    }
  }

  poseMeans() {
    const { local, means, faceRows: rows, binding } = this;
    for (let i = 0, p = 0; i < binding.length; i++, p += 3) {
      const o = binding[i] * FACE_FLOATS;
      const x = local[p], y = local[p + 1], z = local[p + 2];
      means[p] = rows[o] * x + rows[o + 1] * y + rows[o + 2] * z + rows[o + 3];
      means[p + 1] = rows[o + 4] * x + rows[o + 5] * y + rows[o + 6] * z + rows[o + 7];
      means[p + 2] = rows[o + 8] * x + rows[o + 9] * y + rows[o + 10] * z + rows[o + 11];
    }
  }
}
