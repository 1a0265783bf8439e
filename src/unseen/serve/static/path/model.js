// The path being drawn: its keys, which one is chosen, and how it is filmed.

import { cameraAt, framesOf, lookAt } from "./math.js";
import { TEMPLATES } from "./templates.js";

const FOV_Y = (50 * Math.PI) / 180;
const FRAMES = 24;
const SIZE = [704, 480];
const MOST_STEPS_BACK = 50;

/** Where the paths by name begin: at the origin, looking along z, y down. */
const WORLD = { position: [0, 0, 0], rotation: lookAt([0, 0, 0], [0, 0, 1], [0, -1, 0]), fovY: FOV_Y };

export class PathModel {
  constructor(onChange) {
    this.onChange = onChange;
    this.anchor = WORLD;
    this.ahead = 1;
    [this.width, this.height] = SIZE;
    this.count = FRAMES;
    this.smooth = true;
    this.past = [];
    this.keys = TEMPLATES.orbit(WORLD, 1);
    this.selected = 0;
    this.refresh();
  }

  get aspect() {
    return this.width / this.height;
  }

  get chosen() {
    return this.keys[this.selected] || null;
  }

  refresh() {
    this.frames = framesOf(this.keys, this.count, this.smooth);
  }

  /** Every change of the keys comes through here, and can be taken back. */
  change(keys, selected = this.selected) {
    this.past.push({ keys: this.keys, selected: this.selected });
    if (this.past.length > MOST_STEPS_BACK) this.past.shift();
    this.put(keys, selected);
  }

  put(keys, selected) {
    this.keys = keys;
    this.selected = Math.min(Math.max(selected, 0), keys.length - 1);
    this.refresh();
    this.onChange();
  }

  undo() {
    const before = this.past.pop();
    if (before) this.put(before.keys, before.selected);
  }

  /** Another camera in place of the chosen one; `whole` false continues the last change, as while dragging. */
  replaceChosen(camera, whole = true) {
    const keys = this.keys.map((key, i) => (i === this.selected ? camera : key));
    if (whole) this.change(keys);
    else this.put(keys, this.selected);
  }

  /** Adds a camera after the chosen one. */
  insert(camera) {
    const keys = [...this.keys];
    keys.splice(this.selected + 1, 0, camera);
    this.change(keys, this.keys.length ? this.selected + 1 : 0);
  }

  remove(index) {
    this.change(this.keys.filter((_, i) => i !== index), index === 0 ? 0 : index - 1);
  }

  shift(index, by) {
    const to = index + by;
    if (to < 0 || to >= this.keys.length) return;
    const keys = [...this.keys];
    [keys[index], keys[to]] = [keys[to], keys[index]];
    this.change(keys, to);
  }

  select(index) {
    this.selected = Math.min(Math.max(index, 0), this.keys.length - 1);
    this.onChange();
  }

  film(settings) {
    Object.assign(this, settings);
    this.refresh();
    this.onChange();
  }

  setFovY(fovY) {
    this.anchor = { ...this.anchor, fovY };
    this.change(this.keys.map((key) => ({ ...key, fovY })));
  }

  /** Where new templates begin: a camera and the distance of what it looks at. */
  setAnchor(anchor, ahead) {
    this.anchor = { ...anchor, fovY: this.anchor.fovY };
    this.ahead = ahead;
    this.past = [];
    this.put(TEMPLATES.orbit(this.anchor, ahead), 0);
  }

  /** The camera of a frame, which may be a fraction. */
  at(frame) {
    return cameraAt(this.keys, (frame * (this.keys.length - 1)) / Math.max(this.count - 1, 1), this.smooth);
  }

  /** The frame that is nearest to a key. */
  frameOf(index) {
    return (index * (this.count - 1)) / Math.max(this.keys.length - 1, 1);
  }
}
