// What the editor looks with: the same duck as the viewer's OrbitCamera, {step(), matrices(width, height)}.

import { OrbitCamera } from "/static/viewer/camera.js";
import { add, axesOf, dot, scaled } from "./math.js";

/** The view through a camera of the path; the picture of `width` x `height` fits into the canvas. */
export class PathEye {
  constructor({ position, rotation, fovY }, width, height) {
    this.position = position;
    this.axes = axesOf(rotation);
    this.fovY = fovY;
    this.size = [width, height];
  }

  step() {
    return false;
  }

  matrices(width, height) {
    const { right, up, back } = this.axes;
    const rows = [right, scaled(up, -1), scaled(back, -1)];
    const focal = (0.5 * this.size[1] * this.scale(width, height)) / Math.tan(0.5 * this.fovY);
    return {
      rows, eye: this.position, translation: rows.map((row) => -dot(row, this.position)),
      focal: [focal, focal], center: [width / 2, height / 2],
    };
  }

  scale(width, height) {
    return Math.min(width / this.size[0], height / this.size[1]);
  }

  /** The picture's rectangle in the canvas. */
  frame(width, height) {
    const scale = this.scale(width, height);
    const [w, h] = this.size.map((side) => side * scale);
    return [(width - w) / 2, (height - h) / 2, w, h];
  }
}

/** From outside and above, on a path whose first camera is `anchor` and looks at something `ahead` of it. */
export function outsideView(anchor, ahead) {
  const { right, up, back } = axesOf(anchor.rotation);
  const target = add(anchor.position, back, -0.5 * ahead);
  const eye = add(add(add(target, back, 1.5 * ahead), right, 0.8 * ahead), up, 1.0 * ahead);
  return new OrbitCamera({ eye, target, up, roll: 0, focal: [900, 900], center: [512, 384], size: [1024, 768] });
}

/** Where an orbiting camera stands, as a camera of a path. */
export function standpoint(orbit, fovY, rotationOf) {
  const { eye, rows } = orbit.matrices(1, 1);
  return { position: eye, rotation: rotationOf({ right: rows[0], up: scaled(rows[1], -1), back: scaled(rows[2], -1) }), fovY };
}
