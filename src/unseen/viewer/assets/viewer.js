// The page: unpacks the splats, draws when something changed, plays the motion, answers the controls.

const BACKGROUNDS = ["dark", "grey", "white", "black"];
const SPEEDS = [1, 2, 0.25, 0.5];
const MAX_PIXEL_RATIO = 2;
const SLOW = 1 / 18, FAST = 1 / 45; // seconds per frame between which the resolution stays
const MIN_RESOLUTION = 0.35;
const KEYS = [
  ["drag", "turn"], ["right drag, two fingers", "move"], ["wheel, pinch", "zoom"], ["double click", "look here"],
  ["R", "first view"], ["B", "background"], ["U", "turn over"], ["F", "full screen"], ["H", "hide controls"],
];
const PLAYER_KEYS = [["Space", "play, pause"], ["\u2190 \u2192", "step"], ["S", "speed"]];

const $ = (id) => document.getElementById(id);

class Viewer {
  constructor(manifest, arrays, options) {
    this.canvas = $("canvas");
    this.renderer = new Renderer(this.canvas);
    this.camera = new OrbitCamera(manifest.view);
    this.options = options;
    this.frame = 0;
    this.speed = 0;
    this.playing = false;
    this.background = Math.max(0, BACKGROUNDS.indexOf(options.get("background") || manifest.background));
    this.lastTime = null;
    this.frameTimes = [];
    this.resolution = 1;
    this.pace = 1 / 30;
    this.scheduled = false;
    this.load(arrays, manifest.fps);
    this.count = arrays.means.shape[0];
    this.addControls();
    this.applyOptions();
    this.resize();
    this.renderNow();
  }

  load(arrays, fps) {
    this.renderer.setSplats(splatRows(arrays));
    if (arrays.sh) {
      const { data, shape, lo, hi } = arrays.sh;
      this.renderer.setHarmonics(Math.round(Math.sqrt(shape[1] + 1)) - 1, data, lo[0], hi[0]);
    }
    this.rig = arrays.vertices ? new Rig(arrays, fps) : null;
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
    if (!this.rig && moving) this.sorter.request(this.depthRow());
    this.renderer.draw(this.camera);
    this.showRate(time);
    if (active) this.wake();
    else {
      this.lastTime = null;
      this.frameTimes = [];
    }
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
    const { rig } = this;
    this.frame += seconds * rig.fps * SPEEDS[this.speed];
    if (this.frame > rig.numFrames - 1 + 0.999) this.frame = 0;
    this.showFrame();
  }

  seek(frame) {
    this.frame = Math.min(Math.max(frame, 0), this.rig.numFrames - 1);
    this.showFrame();
    this.wake();
  }

  setPlaying(playing) {
    this.playing = playing && this.animated;
    $("play").dataset.state = this.playing ? "playing" : "paused";
    $("play").setAttribute("aria-label", this.playing ? "pause" : "play");
    this.wake();
  }

  step(direction) {
    this.setPlaying(false);
    const { numFrames } = this.rig;
    this.seek((Math.round(this.frame) + direction + numFrames) % numFrames);
  }

  nextSpeed() {
    this.speed = (this.speed + 1) % SPEEDS.length;
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
    const { rig } = this;
    const frame = Math.min(this.frame, rig.numFrames - 1);
    $("timeline").value = frame;
    $("timeline").style.setProperty("--done", `${(100 * frame) / (rig.numFrames - 1)}%`);
    $("time").textContent = `${(frame / rig.fps).toFixed(1)} / ${((rig.numFrames - 1) / rig.fps).toFixed(1)} s`;
  }

  /** Frames per second over the last second of motion. */
  showRate(time) {
    const times = this.frameTimes;
    times.push(time);
    while (times.length > 2 && times[0] < time - 1000) times.shift();
    const span = time - times[0];
    const perSecond = ((times.length - 1) * 1000) / span;
    const rate = span > 250 ? ` \u00b7 ${perSecond.toFixed(perSecond < 9.5 ? 1 : 0)} fps` : "";
    const text = `${this.count.toLocaleString("en")} splats${rate}`;
    if ($("stats").textContent !== text) $("stats").textContent = text;
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
      if (dx * dx + dy * dy < 36) [best, nearest] = [p, depth];
    }
    if (best < 0) return;
    this.camera.goal.target = [...this.means.subarray(best, best + 3)];
    this.wake();
  }

  addControls() {
    const wake = () => this.wake();
    const focal = () => this.camera.matrices(this.canvas.clientWidth, this.canvas.clientHeight).focal[0];
    attachPointer(this.canvas, this.camera, focal, wake, (x, y) => this.pick(x, y));
    const actions = {
      reset: () => { this.camera.reset(); wake(); },
      background: () => this.nextBackground(),
      over: () => { this.camera.flipUp(); this.sorter && this.sorter.request(this.depthRow()); wake(); },
      full: () => {
        if (document.fullscreenElement) document.exitFullscreen();
        else document.documentElement.requestFullscreen();
      },
      hide: () => document.body.classList.toggle("bare"),
      help: () => { $("help-panel").hidden = !$("help-panel").hidden; },
      close: () => { $("help-panel").hidden = true; },
      closer: () => { this.camera.zoom(0.87); wake(); },
      farther: () => { this.camera.zoom(1.15); wake(); },
      play: () => this.setPlaying(!this.playing),
      speed: () => this.nextSpeed(),
      back: () => this.step(-1),
      forth: () => this.step(1),
      left: () => { this.camera.orbit(-0.12, 0); wake(); },
      right: () => { this.camera.orbit(0.12, 0); wake(); },
      up: () => { this.camera.orbit(0, 0.1); wake(); },
      down: () => { this.camera.orbit(0, -0.1); wake(); },
    };
    const buttons = ["reset", "background", "full", "help", "play", "speed"];
    for (const id of buttons) $(id).addEventListener("click", actions[id]);
    const keys = {
      r: "reset", b: "background", u: "over", f: "full", h: "hide", "?": "help", "+": "closer", "=": "closer",
      "-": "farther", Escape: "close", ArrowUp: "up", ArrowDown: "down",
      ...(this.animated
        ? { " ": "play", s: "speed", ArrowLeft: "back", ArrowRight: "forth" }
        : { ArrowLeft: "left", ArrowRight: "right" }),
    };
    window.addEventListener("keydown", (event) => {
      const action = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
      if (!action || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.target.tagName === "BUTTON" && event.key === " ") return; // the button's own click
      event.preventDefault();
      actions[action]();
    });
    window.addEventListener("resize", () => { this.resize(); wake(); });
    if (this.animated) this.addTimeline();
    const list = [...KEYS, ...(this.animated ? PLAYER_KEYS : [])];
    $("help-panel").append(...list.flatMap(([key, what]) => [element("kbd", key), element("span", what)]));
    this.canvas.addEventListener("webglcontextlost", () => fail("The graphics context was lost: reload the page."));
  }

  addTimeline() {
    const timeline = $("timeline");
    timeline.max = this.rig.numFrames - 1;
    timeline.addEventListener("input", () => {
      this.setPlaying(false);
      this.seek(Number(timeline.value));
    });
    $("player").hidden = false;
  }

  /** Options after # in the address: frame, yaw and pitch (degrees), zoom, background, ui=0. */
  applyOptions() {
    const { options, camera } = this;
    const number = (name) => (options.has(name) ? Number(options.get(name)) : NaN);
    const radians = Math.PI / 180;
    if (options.has("yaw")) camera.goal.yaw = number("yaw") * radians;
    if (options.has("pitch")) camera.goal.pitch = number("pitch") * radians;
    if (number("zoom") > 0) camera.goal.distance /= number("zoom");
    camera.now = { ...camera.goal };
    if (options.get("ui") === "0") document.body.classList.add("bare");
    if (options.has("background") || this.background) this.showBackground();
    if (this.animated) {
      if (number("frame") >= 0) this.seek(number("frame"));
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
