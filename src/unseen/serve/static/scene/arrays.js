// Splats decoded from files, in the arrays that the viewer's stage takes.

const SH0 = 0.28209479177387814;

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));

export const colorOf = (dc) => 0.5 + SH0 * dc;

/** Room for `count` splats with harmonics up to a degree; see unseen/viewer/assets/splats.js for what is read. */
export function makeArrays(count, degree) {
  const rest = (degree + 1) ** 2 - 1;
  const floats = (width) => ({ data: new Float32Array(width * count), shape: [count, width] });
  const arrays = {
    means: floats(3), quats: floats(4), log_scales: floats(3), opacities: floats(1), rgb: floats(3),
  };
  if (rest) arrays.sh = { data: new Uint8Array(3 * rest * count), shape: [count, rest, 3], lo: [-1], hi: [1] };
  return arrays;
}

/** A coefficient of the harmonics as the byte that stands for it in [-1, 1]. */
export const shByte = (value) => Math.min(255, Math.max(0, Math.round((value + 1) * 127.5)));
