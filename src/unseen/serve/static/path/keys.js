// The list of key cameras: chosen, moved by numbers, reordered and removed without a mouse.

import { announce, button, el, freshId } from "../dom.js";

const AXES = ["x", "y", "z"];

export class KeyList {
  constructor(model, editor) {
    this.model = model;
    this.editor = editor;
    this.list = el("ol", { class: "keys" });
    this.numbers = AXES.map((axis, i) => this.number(axis, i));
    this.node = el("div", { class: "key-panel" }, el("h3", {}, "Cameras"), this.list,
      el("div", { class: "group", role: "group", "aria-label": "Position of the chosen camera" }, this.numbers.map(({ node }) => node)));
  }

  number(axis, i) {
    const id = freshId("position");
    const input = el("input", {
      id, type: "number", step: "any",
      onchange: () => {
        const { chosen } = this.model;
        if (!chosen || input.value === "") return;
        const position = chosen.position.map((value, k) => (k === i ? Number(input.value) : value));
        this.model.replaceChosen({ ...chosen, position });
      },
    });
    return { input, node: el("span", { class: "mini" }, el("label", { for: id }, axis), input) };
  }

  show() {
    const { model } = this;
    const rows = model.keys.map((_, index) => this.row(index));
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.does : null;
    this.list.replaceChildren(...rows);
    if (focused) this.list.children[model.selected]?.querySelector(`[data-does="${focused}"]:not([disabled])`)?.focus();
    this.numbers.forEach(({ input }, i) => {
      if (model.chosen && document.activeElement !== input) input.value = Number(model.chosen.position[i].toFixed(4));
    });
  }

  row(index) {
    const { model, editor } = this;
    const name = `camera ${index + 1}`;
    const does = (what, text, act, disabled = false) => button(text, act, {
      "data-does": what, disabled, class: "quiet", "aria-label": `${what} ${name}`, title: `${what} ${name}`,
    });
    const choose = button(`Camera ${index + 1}`, () => model.select(index), {
      "data-does": "choose", class: "quiet choose", "aria-pressed": String(index === model.selected),
    });
    return el("li", { class: index === model.selected ? "chosen" : "" }, choose,
      does("look through", "◉", () => { model.select(index); editor.setThrough("key"); }),
      does("move up", "↑", () => model.shift(index, -1), index === 0),
      does("move down", "↓", () => model.shift(index, 1), index === model.keys.length - 1),
      does("remove", "✕", () => { model.remove(index); announce(`Camera ${index + 1} removed.`); }, model.keys.length < 2));
  }
}
