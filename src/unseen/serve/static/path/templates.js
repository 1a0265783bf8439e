// Paths to begin with, round what the first camera looks at; the same shapes as `unseen world --path`.

import { add, axesOf, lookAt, scaled, turned } from "./math.js";

const ORBIT = Math.PI / 6, PAN = Math.PI / 4;
const DOLLY = 0.5, WALK = 2, SWAY = 0.1;
const SWING_RIGHT = 0.2, SWING_UP = 0.12;
const STEP = 0.5, STEP_TURN = Math.PI / 12;

const spread = (count, of) => Array.from({ length: count }, (_, i) => of(i / (count - 1)));

/** Each makes keys from a camera and how far ahead of it the thing looked at is. */
export const TEMPLATES = {
  orbit: (camera, ahead) => spread(7, (s) => orbited(camera, ahead, ORBIT * (2 * s - 1))),
  dolly: (camera, ahead) => spread(5, (s) => moved(camera, { forward: DOLLY * ahead * (0.5 - 0.5 * Math.cos(Math.PI * s)) })),
  pan: (camera) => spread(5, (s) => ({
    ...camera, rotation: turned(camera.rotation, axesOf(camera.rotation).up, -PAN * (2 * s - 1)),
  })),
  walk: (camera, ahead) => spread(9, (s) => walked(camera, ahead, s)),
  spiral: (camera, ahead) => spread(9, (s) => swung(camera, ahead, 2 * Math.PI * s)),
};

/** Each makes one more key from the last: half a unit along its axes, or 15 degrees round the thing ahead. */
export const STEPS = {
  forward: (camera, ahead) => moved(camera, { forward: STEP * ahead }),
  back: (camera, ahead) => moved(camera, { forward: -STEP * ahead }),
  left: (camera, ahead) => moved(camera, { right: -STEP * ahead }),
  right: (camera, ahead) => moved(camera, { right: STEP * ahead }),
  "orbit left": (camera, ahead) => orbited(camera, ahead, -STEP_TURN),
  "orbit right": (camera, ahead) => orbited(camera, ahead, STEP_TURN),
};

export function moved(camera, { forward = 0, right = 0, up = 0 }) {
  const axes = axesOf(camera.rotation);
  return { ...camera, position: add(add(add(camera.position, axes.back, -forward), axes.right, right), axes.up, up) };
}

/** Positive angles lead to the camera's right. */
function orbited(camera, ahead, angle) {
  const { right, up, back } = axesOf(camera.rotation);
  const target = add(camera.position, back, -ahead);
  const position = add(target, add(scaled(back, Math.cos(angle)), right, Math.sin(angle)), ahead);
  return { ...camera, position, rotation: lookAt(position, target, up) };
}

/** A gentle S, at rest at both ends, looking where the way leads. */
function walked(camera, ahead, s) {
  const wave = Math.sin(2 * Math.PI * s), swing = 0.5 - 0.5 * Math.cos(2 * Math.PI * s);
  const slope = SWAY * (Math.PI * wave * wave + 2 * Math.PI * swing * Math.cos(2 * Math.PI * s));
  const { up } = axesOf(camera.rotation);
  return {
    ...moved(camera, { forward: WALK * ahead * s, right: SWAY * ahead * swing * wave }),
    rotation: turned(camera.rotation, up, -Math.atan2(slope, WALK)),
  };
}

function swung(camera, ahead, phase) {
  const { up, back } = axesOf(camera.rotation);
  const target = add(camera.position, back, -ahead);
  const { position } = moved(camera, { right: SWING_RIGHT * ahead * Math.cos(phase), up: SWING_UP * ahead * Math.sin(phase) });
  return { ...camera, position, rotation: lookAt(position, target, up) };
}
