// A canvas that shows splats: draws when something changed, plays the motion, keeps the pace.

import { add, attachPointer, dot, OrbitCamera } from "./camera.js";
import { Renderer } from "./renderer.js";
import { BackgroundSorter, makeSorter, NEAR } from "./sorting.js";
import { Rig, splatRows } from "./splats.js";

const MAX_PIXEL_RATIO = 2;
const SLOW = 1 / 18, FAST = 1 / 45; // seconds per frame between which the resolution stays
const MIN_RESOLUTION = 0.35;
const PICK_PIXELS = 6;

export class Stage {
  /**
   * manifest: {view, fps, sliders} and arrays as in unseen/viewer/packing.py. `onFrame()` is called when the frame changed,
   * `onDraw(time, active)` after a picture was drawn; `clock()` are the motion's seconds, or null to count them here.
   */
  constructor(canvas, manifest, arrays, { onFrame = () => {}, onDraw = () => {}, clock = () => null } = {}) {
    this.canvas = canvas;
    this.renderer = new Renderer(canvas);
    this.camera = new OrbitCamera(manifest.view);
    this.onFrame = onFrame;
    this.onDraw = onDraw;
    this.clock = clock;
    this.frame = 0;
    this.speed = 1;
    this.playing = false;
    this.lastTime = null;
    this.resolution = 1;
    this.pace = 1 / 30;
    this.scheduled = false;
    this.load(arrays, manifest);
    this.count = arrays.means.shape[0];
    const focal = () => this.camera.matrices(canvas.clientWidth, canvas.clientHeight).focal[0];
    attachPointer(canvas, this.camera, focal, () => this.wake(), (x, y) => this.pick(x, y));
  }

  load(arrays, manifest) {
    this.renderer.setSplats(splatRows(arrays));
    if (arrays.sh) {
      const { data, shape, lo, hi } = arrays.sh;
      this.renderer.setHarmonics(Math.round(Math.sqrt(shape[1] + 1)) - 1, data, lo[0], hi[0]);
    }
    this.rig = arrays.vertices ? new Rig(arrays, manifest) : null;
    if (this.rig) this.sort = makeSorter(NEAR);
    else {
      this.means = arrays.means.data;
      this.sorter = new BackgroundSorter(this.means, (order) => {
        this.renderer.setOrder(order);
        this.wake();
      });
    }
  }

  get animated() {
    return this.rig !== null && this.rig.numFrames > 1;
  }

  depthRow() {
    const { rows, translation } = this.camera.matrices(1, 1);
    return [...rows[2], translation[2]];
  }

  /** Poses, sorts on this thread and draws: the picture is right when this returns. */
  renderNow() {
    this.updateRig();
    if (!this.rig) this.sorter.sortNow(this.depthRow());
    this.renderer.draw(this.camera);
  }

  updateRig() {
    if (!this.rig) return;
    this.rig.pose(this.frame);
    this.means = this.rig.means;
    this.renderer.setFaces(this.rig.faceRows);
    this.renderer.setOrder(this.sort(this.means, this.depthRow()));
  }

  wake() {
    if (this.scheduled) return;
    this.scheduled = true;
    requestAnimationFrame((time) => this.tick(time));
  }

  tick(time) {
    this.scheduled = false;
    const seconds = this.lastTime === null ? 0 : Math.min((time - this.lastTime) / 1000, 0.5);
    this.lastTime = time;
    const moving = this.camera.step(Math.min(seconds || 1 / 60, 0.1));
    if (this.playing) this.advance(seconds);
    const active = moving || this.playing;
    this.adapt(active, seconds);
    this.updateRig();
    if (!this.rig && moving) this.resort();
    this.renderer.draw(this.camera);
    this.onDraw(time, active);
    if (active) this.wake();
    else this.lastTime = null;
  }

  /** Asks for the order of depth anew, where it is not made for every picture anyway. */
  resort() {
    if (this.sorter) this.sorter.request(this.depthRow());
  }

  /** Draws fewer pixels while motion would stutter on this machine, all of them at rest. */
  adapt(active, seconds) {
    let wanted = this.resolution;
    if (!active) wanted = 1;
    else if (seconds > 0) {
      this.pace += 0.3 * (seconds - this.pace);
      if (this.pace > SLOW) wanted = Math.max(MIN_RESOLUTION, wanted * 0.75);
      else if (this.pace < FAST) wanted = Math.min(1, wanted * 1.1);
    }
    if (wanted === this.resolution) return;
    this.resolution = wanted;
    this.pace = 1 / 30;
    this.resize();
  }

  advance(seconds) {
    const { fps, numFrames } = this.rig;
    const time = this.clock();
    this.frame = time === null ? this.frame + seconds * fps * this.speed : Math.min(time * fps, numFrames - 1);
    if (this.frame > numFrames - 1 + 0.999) this.frame = 0;
    this.onFrame();
  }

  seek(frame) {
    this.frame = Math.min(Math.max(frame, 0), this.rig.numFrames - 1);
    this.onFrame();
    this.wake();
  }

  /** Moves a slider of the head; what it adds stays while the motion plays. */
  setSlider(index, value) {
    this.rig.sliders.list[index].value = value;
    this.wake();
  }

  setPlaying(playing) {
    this.playing = playing && this.animated;
    this.wake();
  }

  step(direction) {
    this.setPlaying(false);
    const { numFrames } = this.rig;
    this.seek((Math.round(this.frame) + direction + numFrames) % numFrames);
  }

  /** Turns about the target by radians, or comes nearer by a factor below 1. */
  move(yaw, pitch, factor = 1) {
    if (factor !== 1) this.camera.zoom(factor);
    else this.camera.orbit(yaw, pitch);
    this.wake();
  }

  turnOver() {
    this.camera.flipUp();
    this.resort();
    this.wake();
  }

  resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, MAX_PIXEL_RATIO) * this.resolution;
    this.canvas.width = Math.max(1, Math.round(this.canvas.clientWidth * ratio));
    this.canvas.height = Math.max(1, Math.round(this.canvas.clientHeight * ratio));
  }

  /** Makes the splat under the pointer, the nearest of those within a few pixels, the point the camera turns about. */
  pick(x, y) {
    const { clientWidth, clientHeight } = this.canvas;
    const { rows, translation, focal, center } = this.camera.matrices(clientWidth, clientHeight);
    let best = -1;
    let nearest = Infinity;
    for (let p = 0; p < this.means.length; p += 3) {
      const mean = this.means.subarray(p, p + 3);
      const depth = dot(rows[2], mean) + translation[2];
      if (depth <= NEAR || depth >= nearest) continue;
      const dx = (focal[0] * (dot(rows[0], mean) + translation[0])) / depth + center[0] - x;
      const dy = (focal[1] * (dot(rows[1], mean) + translation[1])) / depth + center[1] - y;
      if (dx * dx + dy * dy < PICK_PIXELS * PICK_PIXELS) [best, nearest] = [p, depth];
    }
    if (best < 0) return;
    this.camera.goal.target = add([0, 0, 0], this.means.subarray(best, best + 3));
    this.wake();
  }

  /**
   * What other cameras see, at once, each on a 2D canvas of any size: takes [camera, context] from the front of `wishes`
   * until `milliseconds` are over. The stage's own picture is back when this returns.
   */
  paint(wishes, milliseconds) {
    const own = this.camera;
    const end = performance.now() + milliseconds;
    do {
      const [camera, context] = wishes.shift();
      const { width, height } = context.canvas;
      [this.camera, this.canvas.width, this.canvas.height] = [camera, width, height];
      this.renderNow();
      context.clearRect(0, 0, width, height);
      context.drawImage(this.canvas, 0, 0);
    } while (wishes.length && performance.now() < end);
    this.camera = own;
    this.resize();
    this.renderNow();
  }

  /** Gives back the worker and the graphics memory. */
  dispose() {
    this.playing = false;
    if (this.sorter) this.sorter.stop();
    const lose = this.renderer.gl.getExtension("WEBGL_lose_context");
    if (lose) lose.loseContext();
  }
}
