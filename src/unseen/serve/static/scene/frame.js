// A first view of splats that come without one.

const MANY = 20000; // as many positions tell where the middle is
const FOCAL = 1624; // of a picture of 1024 pixels: 35 degrees
const SIZE = 1024;

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];

/** From the front (+z where y is up, -z where it is down), so far that nearly all of the splats are in the picture. */
export function framed(means, up) {
  const count = means.length / 3;
  const step = Math.max(1, Math.floor(count / MANY));
  const axes = [0, 1, 2].map(() => []);
  for (let i = 0; i < count; i += step) for (let axis = 0; axis < 3; axis++) axes[axis].push(means[3 * i + axis]);
  const target = axes.map((values) => quantile(Float64Array.from(values).sort(), 0.5));
  const away = axes[0].map((_, i) => Math.hypot(...axes.map((values, axis) => values[i] - target[axis])));
  const radius = Math.max(quantile(Float64Array.from(away).sort(), 0.95), 1e-6);
  const distance = (1.15 * radius) / Math.sin(Math.atan(SIZE / 2 / FOCAL));
  const eye = [target[0], target[1], target[2] + up[1] * distance];
  return { eye, target, up, roll: 0, focal: [FOCAL, FOCAL], center: [SIZE / 2, SIZE / 2], size: [SIZE, SIZE] };
}
