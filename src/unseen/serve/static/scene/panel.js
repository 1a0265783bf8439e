// A panel that shows a scene: the viewer's stage with its buttons, timeline and keys.

import { sliderInputs } from "/static/viewer/sliders.js";
import { Stage } from "/static/viewer/stage.js";
import { button, el } from "../dom.js";

const BACKGROUNDS = ["dark", "grey", "white", "black"];
const KEYS_HELP = "Arrow keys turn, plus and minus zoom, R first view, U turn over, B background, space plays.";

export class ScenePanel {
  /**
   * scene: as `loadSplats` gives it; `title` is said by screen readers; `onFrame(seconds, playing)` follows the motion, `clock()`
   * may keep its time, see `Stage`.
   */
  constructor({ manifest, arrays }, { title, onFrame = () => {}, clock }) {
    this.canvas = el("canvas", { tabindex: "0", role: "img", "aria-label": `${title}. ${KEYS_HELP}` });
    this.stats = el("span", { class: "dim" });
    this.background = Math.max(0, BACKGROUNDS.indexOf(manifest.background));
    this.onFrame = onFrame;
    this.clock = clock;
    this.manifest = manifest;
    this.arrays = arrays;
    this.node = el("div", { class: "stage", "data-background": BACKGROUNDS[this.background] }, this.canvas);
    this.sliders = el("details", { class: "sliders", hidden: true, open: true });
    this.observer = new ResizeObserver(() => this.resize());
  }

  /** Begins to draw; the panel must be on the page. */
  start() {
    this.stage = new Stage(this.canvas, this.manifest, this.arrays, {
      onFrame: () => this.showFrame(), clock: this.clock,
    });
    this.arrays = null; // the graphics memory has them now
    this.node.append(this.toolbar());
    if (this.stage.animated) this.node.append(this.player());
    this.addSliders();
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("webglcontextlost", () => { this.stats.textContent = "the graphics context was lost"; });
    this.observer.observe(this.canvas);
    this.stage.resize();
    this.stage.renderNow();
    this.stats.textContent = `${this.stage.count.toLocaleString("en")} splats`;
    this.node.dataset.state = "ready";
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    if (this.stage.animated) this.setPlaying(!still);
  }

  toolbar() {
    const { stage } = this;
    const full = () => {
      if (document.fullscreenElement) document.exitFullscreen();
      else this.node.requestFullscreen();
    };
    return el("div", { class: "stage-tools" }, this.stats, el("span", { class: "push" }),
      button("First view", () => { stage.camera.reset(); stage.wake(); }),
      button("Turn over", () => stage.turnOver()),
      button("Background", () => this.nextBackground()),
      button("Full screen", full));
  }

  player() {
    const { stage } = this;
    this.playButton = button("Play", () => this.setPlaying(!stage.playing), { class: "play" });
    this.timeline = el("input", {
      type: "range", min: "0", max: String(stage.rig.numFrames - 1), step: "any", value: "0", "aria-label": "Time",
      oninput: () => {
        const frame = Number(this.timeline.value); // before it is shown anew
        this.setPlaying(false);
        stage.seek(frame);
      },
    });
    this.time = el("span", { class: "dim time" });
    this.showFrame();
    return el("div", { class: "player" }, this.playButton, this.timeline, this.time);
  }

  /** Below the picture, where the head has some. */
  addSliders() {
    const { rows, reset } = sliderInputs(this.stage);
    if (!rows.length) return;
    this.sliders.append(el("summary", {}, "Expression and pose"),
      el("div", { class: "slider-rows" }, rows.map(({ label, input }) => el("div", { class: "slider-row" }, label, input)),
        button("Reset", reset)));
    this.sliders.hidden = false;
  }

  setPlaying(playing) {
    this.stage.setPlaying(playing);
    this.playButton.textContent = this.stage.playing ? "Pause" : "Play";
    this.showFrame();
  }

  showFrame() {
    const { rig, frame, playing } = this.stage;
    if (!this.timeline) return;
    this.timeline.value = frame;
    const total = (rig.numFrames - 1) / rig.fps;
    this.time.textContent = `${Math.min(frame / rig.fps, total).toFixed(1)} / ${total.toFixed(1)} s`;
    this.onFrame(frame / rig.fps, playing);
  }

  nextBackground() {
    this.background = (this.background + 1) % BACKGROUNDS.length;
    this.node.dataset.background = BACKGROUNDS[this.background];
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { stage } = this;
    const actions = {
      ArrowLeft: () => stage.move(-0.12, 0), ArrowRight: () => stage.move(0.12, 0),
      ArrowUp: () => stage.move(0, 0.1), ArrowDown: () => stage.move(0, -0.1),
      "+": () => stage.move(0, 0, 0.87), "=": () => stage.move(0, 0, 0.87), "-": () => stage.move(0, 0, 1.15),
      r: () => { stage.camera.reset(); stage.wake(); },
      u: () => stage.turnOver(),
      b: () => this.nextBackground(),
      " ": () => stage.animated && this.setPlaying(!stage.playing),
    };
    const action = actions[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  resize() {
    this.stage.resize();
    this.stage.wake();
  }

  dispose() {
    this.observer.disconnect();
    if (this.stage) this.stage.dispose();
  }
}
