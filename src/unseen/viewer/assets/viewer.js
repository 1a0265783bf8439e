// The page of one scene: its controls, keys and options.

import { unpack } from "./payload.js";
import { sliderInputs } from "./sliders.js";
import { Stage } from "./stage.js";

const BACKGROUNDS = ["dark", "grey", "white", "black"];
const SPEEDS = [1, 2, 0.25, 0.5];
const KEYS = [
  ["drag", "turn"], ["right drag, two fingers", "move"], ["wheel, pinch", "zoom"], ["double click", "look here"],
  ["R", "first view"], ["B", "background"], ["U", "turn over"], ["F", "full screen"], ["H", "hide controls"],
];
const PLAYER_KEYS = [["Space", "play, pause"], ["\u2190 \u2192", "step"], ["S", "speed"]];

const $ = (id) => document.getElementById(id);

class Viewer {
  constructor(manifest, arrays, options) {
    this.stage = new Stage($("canvas"), manifest, arrays, {
      onFrame: () => this.showFrame(),
      onDraw: (time, active) => this.showRate(time, active),
    });
    this.options = options;
    this.speed = 0;
    this.background = Math.max(0, BACKGROUNDS.indexOf(options.get("background") || manifest.background));
    this.frameTimes = [];
    this.addControls();
    this.addSliders();
    this.applyOptions();
    this.stage.resize();
    this.stage.renderNow();
  }

  setPlaying(playing) {
    this.stage.setPlaying(playing);
    $("play").dataset.state = this.stage.playing ? "playing" : "paused";
    $("play").setAttribute("aria-label", this.stage.playing ? "pause" : "play");
  }

  step(direction) {
    this.setPlaying(false);
    this.stage.step(direction);
  }

  nextSpeed() {
    this.speed = (this.speed + 1) % SPEEDS.length;
    this.stage.speed = SPEEDS[this.speed];
    $("speed").textContent = `${SPEEDS[this.speed]}\u00d7`;
  }

  nextBackground() {
    this.background = (this.background + 1) % BACKGROUNDS.length;
    this.showBackground();
  }

  showBackground() {
    document.body.dataset.background = BACKGROUNDS[this.background];
  }

  showFrame() {
    const { rig } = this.stage;
    const frame = Math.min(this.stage.frame, rig.numFrames - 1);
    $("timeline").value = frame;
    $("timeline").style.setProperty("--done", `${(100 * frame) / (rig.numFrames - 1)}%`);
    $("time").textContent = `${(frame / rig.fps).toFixed(1)} / ${((rig.numFrames - 1) / rig.fps).toFixed(1)} s`;
  }

  /** Frames per second over the last second of motion. */
  showRate(time, active) {
    const times = this.frameTimes;
    times.push(time);
    while (times.length > 2 && times[0] < time - 1000) times.shift();
    const span = time - times[0];
    const perSecond = ((times.length - 1) * 1000) / span;
    const rate = span > 250 ? ` \u00b7 ${perSecond.toFixed(perSecond < 9.5 ? 1 : 0)} fps` : "";
    const text = `${this.stage.count.toLocaleString("en")} splats${rate}`;
    if ($("stats").textContent !== text) $("stats").textContent = text;
    if (!active) this.frameTimes = [];
  }

  addControls() {
    const { stage } = this;
    const actions = {
      reset: () => { stage.camera.reset(); stage.wake(); },
      background: () => this.nextBackground(),
      over: () => stage.turnOver(),
      full: () => {
        if (document.fullscreenElement) document.exitFullscreen();
        else document.documentElement.requestFullscreen();
      },
      hide: () => document.body.classList.toggle("bare"),
      help: () => { $("help-panel").hidden = !$("help-panel").hidden; },
      close: () => { $("help-panel").hidden = true; },
      closer: () => stage.move(0, 0, 0.87),
      farther: () => stage.move(0, 0, 1.15),
      play: () => this.setPlaying(!stage.playing),
      speed: () => this.nextSpeed(),
      back: () => this.step(-1),
      forth: () => this.step(1),
      left: () => stage.move(-0.12, 0),
      right: () => stage.move(0.12, 0),
      up: () => stage.move(0, 0.1),
      down: () => stage.move(0, -0.1),
    };
    const buttons = ["reset", "background", "full", "help", "play", "speed"];
    for (const id of buttons) $(id).addEventListener("click", actions[id]);
    const keys = {
      r: "reset", b: "background", u: "over", f: "full", h: "hide", "?": "help", "+": "closer", "=": "closer",
      "-": "farther", Escape: "close", ArrowUp: "up", ArrowDown: "down",
      ...(stage.animated
        ? { " ": "play", s: "speed", ArrowLeft: "back", ArrowRight: "forth" }
        : { ArrowLeft: "left", ArrowRight: "right" }),
    };
    window.addEventListener("keydown", (event) => {
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.tagName === "BUTTON" && event.key === " ") return; // the button's own click
      if (event.target.type === "range" && event.key.startsWith("Arrow") && event.target.id !== "timeline") return;
      event.preventDefault();
      actions[action]();
    });
    window.addEventListener("resize", () => { stage.resize(); stage.wake(); });
    if (stage.animated) this.addTimeline();
    const list = [...KEYS, ...(stage.animated ? PLAYER_KEYS : [])];
    $("help-panel").append(...list.flatMap(([key, what]) => [element("kbd", key), element("span", what)]));
    $("canvas").addEventListener("webglcontextlost", () => fail("The graphics context was lost: reload the page."));
  }

  /** A panel of sliders, where the avatar has some. */
  addSliders() {
    const { rows, reset } = sliderInputs(this.stage);
    if (!rows.length) return;
    const panel = $("sliders");
    const again = element("button", "reset");
    again.addEventListener("click", reset);
    panel.append(...rows.flatMap(({ label, input }) => [label, input]), again);
    $("face").hidden = false;
    $("face").addEventListener("click", () => {
      panel.hidden = !panel.hidden;
      $("face").setAttribute("aria-expanded", String(!panel.hidden));
    });
  }

  addTimeline() {
    const timeline = $("timeline");
    timeline.max = this.stage.rig.numFrames - 1;
    timeline.addEventListener("input", () => {
      this.setPlaying(false);
      this.stage.seek(Number(timeline.value));
    });
    $("player").hidden = false;
  }

  /** Options after # in the address: frame, yaw and pitch (degrees), zoom, background, ui=0. */
  applyOptions() {
    const { options, stage } = this;
    const { camera } = stage;
    const number = (name) => (options.has(name) ? Number(options.get(name)) : NaN);
    const radians = Math.PI / 180;
    if (options.has("yaw")) camera.goal.yaw = number("yaw") * radians;
    if (options.has("pitch")) camera.goal.pitch = number("pitch") * radians;
    if (number("zoom") > 0) camera.goal.distance /= number("zoom");
    camera.now = { ...camera.goal };
    if (options.get("ui") === "0") document.body.classList.add("bare");
    if (options.has("background") || this.background) this.showBackground();
    if (stage.animated) {
      if (number("frame") >= 0) stage.seek(number("frame"));
      else this.showFrame();
      const still = options.has("frame") || matchMedia("(prefers-reduced-motion: reduce)").matches;
      this.setPlaying(!still);
    }
    this.showRate(0);
  }
}

function element(tag, text) {
  const node = document.createElement(tag);
  node.textContent = text;
  return node;
}

function fail(message) {
  $("message").textContent = message;
  $("message").hidden = false;
  document.body.dataset.state = "failed";
}

async function main() {
  const manifest = JSON.parse($("manifest").textContent);
  try {
    const arrays = await unpack(manifest, $("payload").textContent.trim());
    $("payload").remove();
    window.viewer = new Viewer(manifest, arrays, new URLSearchParams(location.hash.slice(1)));
    $("message").hidden = true;
    document.body.dataset.state = "ready";
  } catch (error) {
    fail(error.message || String(error));
  }
}

main();
