// The buttons and fields above the view of the path editor.

import { button, el, freshId } from "../dom.js";
import { capitalised } from "../words.js";
import { STEPS, TEMPLATES } from "./templates.js";

const MULTIPLE = 32; // both sides of a view, for every model

export function controls(editor) {
  const { model } = editor;
  const templates = Object.entries(TEMPLATES).map(([name, make]) => button(capitalised(name), () => {
    editor.setThrough(null);
    model.change(make(model.anchor, model.ahead), 0);
  }));
  const steps = Object.entries(STEPS).map(([name, make]) => button(capitalised(name), () => {
    const last = model.keys[model.keys.length - 1];
    model.change([...model.keys, make(last, model.ahead)], model.keys.length);
  }));
  const look = button("Look through", () => editor.setThrough(editor.through === null ? "key" : null), { "aria-pressed": "false" });
  editor.onThrough = () => look.setAttribute("aria-pressed", String(editor.through !== null));
  const chooser = el("input", {
    type: "file", accept: ".json", class: "hidden-text", tabindex: "-1", "aria-hidden": "true",
    onchange: () => {
      if (chooser.files[0]) editor.import(chooser.files[0]);
      chooser.value = "";
    },
  });
  return el("div", { class: "path-controls" },
    group("Begin with", templates), group("One step more", steps),
    group("Camera", [button("Add here", () => editor.addHere()), look, button("Take back", () => model.undo())]),
    group("JSON", [button("Import", () => chooser.click()), button("Export", () => editor.export()), chooser]),
    filming(editor));
}

function group(title, children) {
  return el("div", { class: "group", role: "group", "aria-label": title }, el("span", { class: "dim" }, title), children);
}

/** Frames, size, field of view, smoothness. */
function filming(editor) {
  const { model } = editor;
  const number = (title, attributes, read, write) => {
    const id = freshId("film");
    const input = el("input", {
      id, type: "number", ...attributes,
      onchange: () => {
        if (!input.reportValidity()) return; // the browser says what is expected
        if (input.value !== "") write(Number(input.value));
        input.value = read();
      },
    });
    input.value = read();
    shown.push(() => { input.value = read(); });
    return el("span", { class: "mini" }, el("label", { for: id }, title), input);
  };
  const shown = [];
  const side = { min: String(MULTIPLE), max: "4096", step: "1" };
  const smoothId = freshId("film");
  const smooth = el("input", { id: smoothId, type: "checkbox", checked: model.smooth, onchange: () => model.film({ smooth: smooth.checked }) });
  shown.push(() => { smooth.checked = model.smooth; });
  const node = group("Film", [
    number("Frames", { min: "2", max: "2000", step: "1" }, () => model.count, (count) => model.film({ count })),
    number("Width", side, () => model.width, (width) => model.film({ width })),
    number("Height", side, () => model.height, (height) => model.film({ height })),
    number("View angle °", { min: "1", max: "170", step: "any" }, () => Math.round((model.anchor.fovY * 1800) / Math.PI) / 10,
      (degrees) => model.setFovY((degrees * Math.PI) / 180)),
    el("span", { class: "mini" }, smooth, el("label", { for: smoothId }, "Smooth")),
  ]);
  editor.onImport = () => shown.forEach((show) => show());
  return node;
}
