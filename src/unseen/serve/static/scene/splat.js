// Gaussians in a .splat file: 32 bytes each, mean and scale as floats, colour and rotation as bytes.

import { makeArrays } from "./arrays.js";

const BYTES = 32;

export function readSplat(buffer) {
  if (buffer.byteLength % BYTES) throw new Error("it is no .splat file, or a truncated one");
  const count = buffer.byteLength / BYTES;
  const arrays = makeArrays(count, 0);
  const view = new DataView(buffer);
  for (let i = 0; i < count; i++) {
    const at = i * BYTES;
    for (let axis = 0; axis < 3; axis++) {
      arrays.means.data[3 * i + axis] = view.getFloat32(at + 4 * axis, true);
      arrays.log_scales.data[3 * i + axis] = Math.log(view.getFloat32(at + 12 + 4 * axis, true));
      arrays.rgb.data[3 * i + axis] = view.getUint8(at + 24 + axis) / 255;
    }
    arrays.opacities.data[i] = view.getUint8(at + 27) / 255;
    for (let k = 0; k < 4; k++) arrays.quats.data[4 * i + k] = (view.getUint8(at + 28 + k) - 128) / 128;
  }
  return arrays;
}
