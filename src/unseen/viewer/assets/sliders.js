// Sliders that move the vertices of a head: samples of what they do, from unseen/head/sliders.py.

import { spread } from "./payload.js";

/** How much of which sample a value is: [[sample, weight]], linear between samples and zero, and beyond the last. */
function shares(samples, value) {
  const ordered = samples.map((at, sample) => ({ at, sample })).sort((a, b) => Math.abs(a.at) - Math.abs(b.at));
  const side = ordered.filter(({ at }) => at * value > 0);
  const points = side.length ? side : ordered;
  const above = points.findIndex(({ at }) => Math.abs(at) >= Math.abs(value));
  const k = side.length ? (above < 0 ? points.length - 1 : above) : 0;
  const high = points[k];
  if (!k) return [[high.sample, value / high.at]];
  const low = points[k - 1];
  const t = (value - low.at) / (high.at - low.at);
  return [[low.sample, 1 - t], [high.sample, t]];
}

export class Sliders {
  /** list: {name, low, high, step, samples} each, as the manifest has them; arrays: with `moves` and `turns`, or without. */
  constructor(list, arrays) {
    let first = 0;
    this.list = list.map((slider) => {
      const placed = { ...slider, value: 0, first };
      first += slider.samples.length;
      return placed;
    });
    this.moves = list.length ? spread(arrays.moves.data, arrays.moves.lo, arrays.moves.hi) : null;
    this.turns = list.length ? arrays.turns.data : null;
  }

  /** Adds what the sliders stand at to posed vertices of a frame. */
  addTo(vertices, frame) {
    const moved = this.list.filter(({ value }) => value !== 0);
    if (!moved.length) return;
    const sum = new Float32Array(vertices.length);
    for (const { samples, value, first } of moved) {
      for (const [sample, weight] of shares(samples, value)) {
        const offset = (first + sample) * sum.length;
        for (let i = 0; i < sum.length; i++) sum[i] += weight * this.moves[offset + i];
      }
    }
    const r = this.turns.subarray(9 * frame, 9 * frame + 9);
    for (let i = 0; i < sum.length; i += 3) {
      const x = sum[i], y = sum[i + 1], z = sum[i + 2];
      vertices[i] += r[0] * x + r[1] * y + r[2] * z;
      vertices[i + 1] += r[3] * x + r[4] * y + r[5] * z;
      vertices[i + 2] += r[6] * x + r[7] * y + r[8] * z;
    }
  }
}

/** {rows, reset}: a label and an input for each slider of a stage, and what sets them to nothing. */
export function sliderInputs(stage) {
  const list = stage.rig ? stage.rig.sliders.list : [];
  const rows = list.map((slider, i) => {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const { low, high, step, name } = slider;
    Object.assign(input, { type: "range", min: low, max: high, step, value: 0, id: `slider-${i}` });
    input.addEventListener("input", () => stage.setSlider(i, Number(input.value)));
    label.htmlFor = input.id;
    label.textContent = name;
    return { label, input };
  });
  const reset = () => rows.forEach(({ input }, i) => {
    input.value = 0;
    stage.setSlider(i, 0);
  });
  return { rows, reset };
}
