// Mouse, touch and keys that change the path: a grabbed camera, a look round through it, keys on the canvas.

import { announce } from "../dom.js";
import { add, axesOf, turned } from "./math.js";
import { handleAt } from "./overlay.js";
import { moved } from "./templates.js";

const TURN_PER_PIXEL = 0.004;
const WHEEL_STEP = 0.0006; // distances to the thing per pixel of the wheel
const STEP = 0.05, TURN = 0.05; // of a key: distances to the thing, radians

export class Dragging {
  constructor(editor) {
    this.editor = editor;
    this.grabbed = null;
  }

  attach(canvas) {
    canvas.addEventListener("pointerdown", (event) => this.down(event, canvas));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { this.grabbed = null; });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  down(event, canvas) {
    const { editor } = this;
    canvas.focus({ preventScroll: true });
    const outside = editor.through === null;
    const handle = outside ? handleAt(editor.handles, event.offsetX, event.offsetY) : null;
    if (outside && !handle) return;
    event.stopImmediatePropagation(); // the view stays
    if (handle) editor.model.select(handle.index);
    if (!handle && editor.through !== "key") return; // a frame between keys is looked at, not moved
    canvas.setPointerCapture(event.pointerId);
    this.grabbed = { x: event.clientX, y: event.clientY, turns: !handle, deep: event.shiftKey, fresh: true };
  }

  move(event) {
    const { editor, grabbed } = this;
    if (!grabbed || !event.buttons) return;
    event.stopImmediatePropagation();
    const dx = event.clientX - grabbed.x, dy = event.clientY - grabbed.y;
    if (!dx && !dy) return;
    const camera = editor.model.chosen;
    const next = grabbed.turns ? this.looked(camera, dx * TURN_PER_PIXEL, dy * TURN_PER_PIXEL) : this.carried(camera, dx, dy, grabbed.deep);
    editor.model.replaceChosen(next, grabbed.fresh);
    Object.assign(grabbed, { x: event.clientX, y: event.clientY, fresh: false });
  }

  /** Parallel to the picture, or with shift along the view. */
  carried(camera, dx, dy, deep) {
    const { editor } = this;
    const scale = editor.unitsPerPixel(camera.position);
    const { rows } = editor.eye.matrices(1, 1);
    const position = deep ? add(camera.position, rows[2], -dy * scale)
      : add(add(camera.position, rows[0], dx * scale), rows[1], dy * scale);
    return { ...camera, position };
  }

  /** Turned to the right and down, level with the path's first camera. */
  looked(camera, right, down) {
    const up = axesOf(this.editor.model.anchor.rotation).up;
    const level = turned(camera.rotation, up, -right);
    return { ...camera, rotation: turned(level, axesOf(level).right, -down) };
  }

  wheel(event) {
    const { editor } = this;
    if (editor.through === null) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    if (editor.through !== "key") return;
    const forward = -event.deltaY * [1, 16, 400][event.deltaMode] * WHEEL_STEP * editor.model.ahead;
    editor.model.replaceChosen(moved(editor.model.chosen, { forward }));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const action = this.actions()[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
    this.editor.wake();
  }

  actions() {
    const { editor } = this;
    const { model, orbit } = editor;
    const step = STEP * model.ahead;
    const go = (by) => () => model.replaceChosen(moved(model.chosen, by));
    const look = (right, down) => () => model.replaceChosen(this.looked(model.chosen, right, down));
    const choose = (by) => () => {
      model.select(model.selected + by);
      announce(`Camera ${model.selected + 1} of ${model.keys.length}.`);
    };
    const turn = (yaw, pitch) => () => orbit.orbit(yaw, pitch);
    return {
      ArrowLeft: turn(-0.1, 0), ArrowRight: turn(0.1, 0), ArrowUp: turn(0, 0.1), ArrowDown: turn(0, -0.1),
      "+": () => orbit.zoom(0.87), "=": () => orbit.zoom(0.87), "-": () => orbit.zoom(1.15),
      w: go({ forward: step }), s: go({ forward: -step }), a: go({ right: -step }), d: go({ right: step }),
      r: go({ up: step }), f: go({ up: -step }),
      j: look(-TURN, 0), l: look(TURN, 0), i: look(0, -TURN), k: look(0, TURN),
      "[": choose(-1), "]": choose(1), " ": () => editor.addHere(), z: () => model.undo(),
      Enter: () => editor.setThrough(editor.through === "key" ? null : "key"), Escape: () => editor.setThrough(null),
      Delete: () => model.keys.length > 1 && model.remove(model.selected),
    };
  }
}
