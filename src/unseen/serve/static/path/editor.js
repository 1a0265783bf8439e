// The editor of camera paths: place, drag, look through, templates, FlashWorld's JSON, a strip of frames.

import { attachPointer } from "/static/viewer/camera.js";
import { Stage } from "/static/viewer/stage.js";
import { announce, button, el, freshId, saveFile } from "../dom.js";
import { outsideView, PathEye, standpoint } from "./eyes.js";
import { controls } from "./controls.js";
import { Dragging } from "./dragging.js";
import { fromJson, toJson } from "./json.js";
import { KeyList } from "./keys.js";
import { add, dot, fromAxes, lookAt } from "./math.js";
import { PathModel } from "./model.js";
import { drawOverlay } from "./overlay.js";
import { FrameStrip } from "./strip.js";

const HELP = "Drag to look round, drag a numbered camera to move it. Keys: arrows turn the view, Space adds a camera here, "
  + "[ and ] choose, W A S D R F move the chosen camera, J L I K turn it, Enter looks through it, Delete removes it, Z takes back.";
const STRIP_DELAY_MS = 250;

export class PathEditor {
  /** onRequest(content): of a request file that was imported; onClose(). */
  constructor({ onRequest, onClose }) {
    this.onRequest = onRequest;
    this.model = new PathModel(() => this.changed());
    this.orbit = outsideView(this.model.anchor, this.model.ahead);
    this.through = null; // null: from outside; "key": through the chosen camera; a number: through a frame
    this.handles = [];
    const help = el("p", { id: freshId("path-help"), class: "dim small-print" }, HELP);
    this.overlay = el("canvas", {
      class: "overlay", tabindex: "0", role: "application", "aria-label": "Camera path", "aria-describedby": help.id,
    });
    this.scenePlace = el("div", { class: "scene-layer" });
    this.view = el("div", { class: "path-view" }, this.scenePlace, this.overlay);
    this.keys = new KeyList(this.model, this);
    this.strip = new FrameStrip(this);
    this.message = el("p", { class: "notice", role: "alert", hidden: true });
    this.node = el("div", { class: "path-editor" },
      el("div", { class: "path-head" }, el("h2", {}, "Camera path"), button("Close", onClose, { class: "quiet push" })),
      controls(this), this.message,
      el("div", { class: "path-body" }, el("div", {}, this.view, this.strip.node), this.keys.node), help);
    this.dragging = new Dragging(this);
    this.observer = new ResizeObserver(() => this.resize());
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.repaint = () => this.wake();
  }

  /** Begins to draw; the editor must be on the page. */
  start() {
    const focal = () => this.orbit.matrices(this.overlay.clientWidth, this.overlay.clientHeight).focal[0];
    this.dragging.attach(this.overlay); // first, so that a grabbed camera does not turn the view too
    attachPointer(this.overlay, this.orbitProxy(), focal, () => this.wake(), () => {});
    this.observer.observe(this.overlay);
    this.scheme.addEventListener("change", this.repaint);
    this.resize();
    this.changed();
  }

  /** The orbiting camera of the moment, which a new scene replaces. */
  orbitProxy() {
    return {
      orbit: (yaw, pitch) => this.orbit.orbit(yaw, pitch),
      zoom: (factor) => this.orbit.zoom(factor),
      pan: (dx, dy, focal) => this.orbit.pan(dx, dy, focal),
    };
  }

  get eye() {
    const { model } = this;
    if (this.through === null) return this.orbit;
    const camera = this.through === "key" ? model.chosen : model.at(this.through);
    return new PathEye(camera, model.width, model.height);
  }

  setThrough(through) {
    this.through = through;
    this.strip.follow(through === "key" ? this.model.frameOf(this.model.selected) : through);
    this.onThrough?.();
    this.wake();
  }

  /** Splats to lead the path through, as `loadSplats` gives them. */
  setScene({ manifest, arrays }) {
    if (this.stage) this.stage.dispose();
    const canvas = el("canvas", { "aria-hidden": "true" });
    this.scenePlace.replaceChildren(canvas);
    this.stage = new Stage(canvas, manifest, arrays);
    const { eye, target, up } = manifest.view;
    const anchor = { position: eye, rotation: lookAt(eye, target, up) };
    this.model.setAnchor(anchor, Math.hypot(...add(target, eye, -1)));
    this.orbit = outsideView(this.model.anchor, this.model.ahead);
    this.setThrough(null);
    this.resize();
  }

  changed() {
    this.keys.show();
    clearTimeout(this.stripTimer);
    this.stripTimer = setTimeout(() => this.strip.show(), STRIP_DELAY_MS);
    if (typeof this.through === "number") this.strip.follow(Math.min(this.through, this.model.count - 1));
    this.wake();
  }

  wake() {
    if (this.scheduled || this.gone) return;
    this.scheduled = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.scheduled = false;
    if (this.gone) return;
    const moving = this.through === null && this.orbit.step(1 / 60);
    const { clientWidth: width, clientHeight: height } = this.overlay;
    const { eye } = this;
    if (this.stage) {
      this.stage.camera = { step: () => false, matrices: (w, h) => eye.matrices(w, h) };
      this.stage.resort();
      this.stage.wake();
    }
    const context = this.overlay.getContext("2d");
    const ratio = this.overlay.width / width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const through = this.through === null ? null : eye.frame(width, height);
    this.handles = drawOverlay(context, eye, this.model, this.colors(), { width, height, through, scene: Boolean(this.stage) });
    if (moving) this.wake();
  }

  colors() {
    const style = getComputedStyle(this.view);
    const of = (name) => style.getPropertyValue(`--path-${name}`).trim();
    return Object.fromEntries(["grid", "thing", "path", "camera", "chosen", "back", "shade"].map((name) => [name, of(name)]));
  }

  resize() {
    const ratio = Math.min(devicePixelRatio || 1, 2);
    this.overlay.width = Math.max(1, Math.round(this.overlay.clientWidth * ratio));
    this.overlay.height = Math.max(1, Math.round(this.overlay.clientHeight * ratio));
    if (this.stage) this.stage.resize();
    this.wake();
  }

  /** A camera where the view is from: a key after the chosen one. */
  addHere() {
    const { model } = this;
    const camera = this.through === null ? standpoint(this.orbit, model.anchor.fovY, fromAxes)
      : this.through === "key" ? { ...model.chosen } : model.at(this.through);
    if (typeof this.through === "number") model.select(Math.floor((this.through * (model.keys.length - 1)) / Math.max(model.count - 1, 1)));
    model.insert(camera);
    announce(`Camera ${model.selected + 1} of ${model.keys.length} added.`);
  }

  async import(file) {
    this.message.hidden = true;
    try {
      const { keys, width, height, content } = fromJson(await file.text());
      this.model.film({ width, height, count: keys.length, smooth: false });
      this.model.setAnchor(keys[0], this.distanceFrom(keys));
      this.model.change(keys, 0);
      this.orbit = outsideView(this.model.anchor, this.model.ahead);
      this.setThrough(null);
      this.onImport?.();
      this.onRequest(content);
      announce(`${keys.length} cameras imported.`);
    } catch (error) {
      this.message.textContent = error.message;
      this.message.hidden = false;
    }
  }

  /** How far the surroundings of an imported path are drawn: as far as it leads, or the scene's own measure. */
  distanceFrom(keys) {
    const reach = Math.max(...keys.map(({ position }) => Math.hypot(...add(position, keys[0].position, -1))));
    return this.stage ? this.model.ahead : reach || 1;
  }

  export() {
    saveFile("path.json", this.blob());
  }

  blob() {
    const { frames, width, height } = this.model;
    return new Blob([JSON.stringify(toJson(frames, width, height))], { type: "application/json" });
  }

  /** The path as an input of a job. */
  file() {
    return new File([this.blob()], "cameras.json", { type: "application/json" });
  }

  /** World units per pixel at the depth of a point, seen as now. */
  unitsPerPixel(point) {
    const { rows, translation, focal } = this.eye.matrices(this.overlay.clientWidth, this.overlay.clientHeight);
    return (dot(rows[2], point) + translation[2]) / focal[0];
  }

  dispose() {
    this.gone = true;
    this.strip.dispose();
    clearTimeout(this.stripTimer);
    this.observer.disconnect();
    this.scheme.removeEventListener("change", this.repaint);
    if (this.stage) this.stage.dispose();
  }
}
