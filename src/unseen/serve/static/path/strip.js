// The strip of frames below the view: small pictures of what the path films, a slider through them, play.

import { button, el } from "../dom.js";
import { PathEye } from "./eyes.js";
import { drawOverlay } from "./overlay.js";

const MOST = 12;
const HEIGHT = 54;
const PAINT_MS = 30; // for small pictures, of a picture of the page
const SLOW_MS = 400;
const FRAMES_PER_SECOND = 12;

export class FrameStrip {
  constructor(editor) {
    this.editor = editor;
    this.pictures = el("div", { class: "strip", role: "group", "aria-label": "Frames" });
    this.slider = el("input", {
      type: "range", min: "0", step: "any", value: "0", "aria-label": "Frame",
      oninput: () => {
        this.stop();
        editor.setThrough(Number(this.slider.value));
      },
    });
    this.place = el("span", { class: "dim time" });
    this.play = button("Play", () => (this.timer ? this.stop() : this.run()), { class: "play" });
    this.node = el("div", { class: "frames" }, el("div", { class: "player" }, this.play, this.slider, this.place), this.pictures);
  }

  /** Draws all small pictures anew, one after the other, so that nobody waits for them. */
  show() {
    const { model } = this.editor;
    this.slider.max = model.count - 1;
    const number = Math.min(MOST, model.count);
    const ratio = Math.min(devicePixelRatio || 1, 2);
    const frames = Array.from({ length: number }, (_, i) => Math.round((i * (model.count - 1)) / Math.max(number - 1, 1)));
    const canvases = frames.map(() => el("canvas", { width: Math.round(HEIGHT * model.aspect * ratio), height: Math.round(HEIGHT * ratio) }));
    this.pictures.replaceChildren(...frames.map((frame, i) => el("button", {
      type: "button", "aria-label": `Frame ${frame + 1}`, onclick: () => this.editor.setThrough(frame),
    }, canvases[i])));
    this.wishes = frames.map((frame, i) => [new PathEye(model.at(frame), model.width, model.height), canvases[i].getContext("2d")]);
    cancelAnimationFrame(this.painting);
    this.outline();
    if (this.editor.stage) this.painting = requestAnimationFrame(() => this.paint());
    this.follow(Number(this.slider.value));
  }

  /** The surroundings alone. */
  outline() {
    const colors = this.editor.colors();
    for (const [eye, context] of this.wishes) {
      const { width, height } = context.canvas;
      drawOverlay(context, eye, this.editor.model, colors, { width, height, through: [0, 0, width, height] });
    }
  }

  /** The scene, unless this machine is too slow for so many pictures. */
  paint() {
    const began = performance.now();
    this.editor.stage.paint(this.wishes, PAINT_MS);
    if (performance.now() - began > SLOW_MS) this.wishes = [];
    if (this.wishes.length) this.painting = requestAnimationFrame(() => this.paint());
  }

  follow(frame) {
    if (frame === null) {
      this.place.textContent = `${this.editor.model.count} frames`;
      return;
    }
    this.slider.value = frame;
    const text = `${Math.round(frame) + 1} / ${this.editor.model.count}`;
    this.place.textContent = text;
    this.slider.setAttribute("aria-valuetext", `frame ${text}`);
  }

  run() {
    this.play.textContent = "Pause";
    let frame = typeof this.editor.through === "number" ? this.editor.through : 0;
    this.timer = setInterval(() => {
      frame = frame >= this.editor.model.count - 1 ? 0 : Math.min(frame + 1, this.editor.model.count - 1);
      this.editor.setThrough(frame);
    }, 1000 / FRAMES_PER_SECOND);
  }

  stop() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
  }

  dispose() {
    this.stop();
    cancelAnimationFrame(this.painting);
  }
}
