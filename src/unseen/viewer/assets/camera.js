// An orbiting camera: OpenCV axes (x right, y down, z forward), smooth motion, mouse, touch and keys.

export const add = (a, b, s = 1) => [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]];
export const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
export const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
export const unit = (a) => {
  const length = Math.hypot(...a) || 1;
  return [a[0] / length, a[1] / length, a[2] / length];
};

const MAX_PITCH = 1.55;

export class OrbitCamera {
  /**
   * view: {eye, target, up, roll, focal [x, y], center [x, y], size [width, height]}: roll in radians, clockwise about
   * forward; the last three in pixels of the original camera.
   */
  constructor(view) {
    this.view = view;
    this.setUp(unit(view.up));
    this.goal = { ...this.poseOf(view), roll: view.roll };
    this.home = { ...this.goal };
    this.now = { ...this.goal };
  }

  /** Frame in which yaw and pitch are measured: up, front (yaw 0), side (yaw 90 degrees). */
  setUp(up) {
    const front = cross([1, 0, 0], up);
    this.up = up;
    this.front = Math.hypot(...front) < 1e-6 ? [0, 0, 1] : unit(front);
    this.side = cross(up, this.front);
  }

  poseOf({ eye, target }) {
    const offset = add(eye, target, -1);
    const distance = Math.hypot(...offset);
    return {
      target,
      distance,
      yaw: Math.atan2(dot(offset, this.side), dot(offset, this.front)),
      pitch: Math.asin(Math.min(Math.max(dot(offset, this.up) / distance, -1), 1)),
    };
  }

  reset() {
    const turn = 2 * Math.PI;
    this.goal = { ...this.home, yaw: this.home.yaw + turn * Math.round((this.now.yaw - this.home.yaw) / turn) };
  }

  /** Stands the world on its head, seen from where the camera is: for scenes whose up was guessed wrong. */
  flipUp() {
    const { target, distance } = this.now;
    const eye = add(target, this.axes(this.now).back, distance);
    this.setUp(this.up.map((x) => -x));
    this.goal = { ...this.poseOf({ eye, target }), roll: 0 };
    this.now = { ...this.goal };
  }

  /** Turns about the target; a tilt of the first view is levelled. */
  orbit(yaw, pitch) {
    this.goal.roll = 0;
    this.goal.yaw += yaw;
    this.goal.pitch = Math.min(Math.max(this.goal.pitch + pitch, -MAX_PITCH), MAX_PITCH);
  }

  zoom(factor) {
    const { distance } = this.home;
    this.goal.distance = Math.min(Math.max(this.goal.distance * factor, distance * 0.02), distance * 50);
  }

  /** Moves the target so that the scene follows the pointer by dx, dy CSS pixels. */
  pan(dx, dy, focal) {
    const { right, down } = this.axes(this.goal);
    const scale = this.goal.distance / focal;
    this.goal.target = add(add(this.goal.target, right, -dx * scale), down, -dy * scale);
  }

  /** Moves toward the goal; returns whether anything still moves. */
  step(seconds) {
    const { now, goal } = this;
    const t = 1 - Math.exp(-14 * seconds);
    const away = Math.hypot(
      goal.yaw - now.yaw, goal.pitch - now.pitch, goal.roll - now.roll, Math.log(goal.distance / now.distance),
      ...add(goal.target, now.target, -1).map((x) => x / goal.distance),
    );
    if (away < 1e-4) {
      const moved = away > 0;
      this.now = { ...goal };
      return moved;
    }
    now.yaw += t * (goal.yaw - now.yaw);
    now.pitch += t * (goal.pitch - now.pitch);
    now.roll += t * (goal.roll - now.roll);
    now.distance *= Math.pow(goal.distance / now.distance, t);
    now.target = add(now.target, add(goal.target, now.target, -1), t);
    return true;
  }

  axes({ yaw, pitch, roll }) {
    const around = add(this.front.map((x) => x * Math.cos(yaw)), this.side, Math.sin(yaw));
    const back = add(around.map((x) => x * Math.cos(pitch)), this.up, Math.sin(pitch));
    const forward = back.map((x) => -x);
    const level = unit(cross(forward, this.up));
    const right = add(level.map((x) => x * Math.cos(roll)), cross(forward, level), Math.sin(roll));
    return { back, forward, right, down: cross(forward, right) };
  }

  /** World-to-camera rows, eye, and intrinsics for a canvas that shows at least what the original camera saw. */
  matrices(width, height) {
    const { back, forward, right, down } = this.axes(this.now);
    const eye = add(this.now.target, back, this.now.distance);
    const { focal, center, size } = this.view;
    const scale = Math.min(width / size[0], height / size[1]);
    return {
      rows: [right, down, forward],
      translation: [-dot(right, eye), -dot(down, eye), -dot(forward, eye)],
      eye,
      focal: [focal[0] * scale, focal[1] * scale],
      center: [width / 2 + (center[0] - size[0] / 2) * scale, height / 2 + (center[1] - size[1] / 2) * scale],
    };
  }
}

/** Wires pointer and wheel to the camera; `focal()` is in CSS pixels, `pick(x, y)` answers a double click. */
export function attachPointer(canvas, camera, focal, wake, pick) {
  const pointers = new Map();
  const middle = () => {
    const all = [...pointers.values()];
    const x = all.reduce((sum, p) => sum + p.x, 0) / all.length;
    const y = all.reduce((sum, p) => sum + p.y, 0) / all.length;
    return { x, y, spread: all.length > 1 ? Math.hypot(all[0].x - all[1].x, all[0].y - all[1].y) : 0 };
  };
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY, button: event.button });
  });
  canvas.addEventListener("pointermove", (event) => {
    const pointer = pointers.get(event.pointerId);
    if (!pointer) return;
    const before = middle();
    pointer.x = event.clientX;
    pointer.y = event.clientY;
    const after = middle();
    const dx = after.x - before.x;
    const dy = after.y - before.y;
    if (pointers.size > 1) {
      camera.pan(dx, dy, focal());
      if (before.spread > 0 && after.spread > 0) camera.zoom(before.spread / after.spread);
    } else if (pointer.button !== 0 || event.shiftKey || event.ctrlKey || event.metaKey) camera.pan(dx, dy, focal());
    else camera.orbit(-dx * 0.006, dy * 0.006);
    wake();
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => pointers.delete(event.pointerId));
  }
  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("dblclick", (event) => {
    const box = canvas.getBoundingClientRect();
    pick(event.clientX - box.left, event.clientY - box.top);
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    camera.zoom(Math.exp(Math.min(Math.max(pixels, -200), 200) * 0.0012));
    wake();
  }, { passive: false });
}
