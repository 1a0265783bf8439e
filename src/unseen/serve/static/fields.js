// The settings of a job as fields of a form, made from what the server says of them.

import { el, freshId } from "./dom.js";
import { label } from "./words.js";

const SHOWN = 6; // the rest waits behind "More settings"
const LONG = new Set(["prompt"]);

/**
 * {node, values(), set(name, value), has(name), hide(names, hidden)}; `values` holds only what differs from the default and
 * is not hidden.
 */
export function settingFields(settings) {
  const fields = new Map(settings.map((setting) => [setting.name, field(setting)]));
  const nodes = [...fields.values()].map(({ node }) => node);
  const rest = nodes.slice(SHOWN);
  const more = rest.length
    ? [el("details", { class: "more" }, el("summary", {}, `More settings (${rest.length})`), el("div", {}, rest))] : [];
  return {
    node: el("div", { class: "fields" }, nodes.slice(0, SHOWN), more),
    values() {
      const values = {};
      for (const [name, { value, setting, node }] of fields) {
        const given = value();
        if (!node.hidden && given !== null && given !== setting.default) values[name] = given;
      }
      return values;
    },
    has: (name) => fields.has(name),
    hide(names, hidden) {
      for (const name of names) if (fields.has(name)) fields.get(name).node.hidden = hidden;
    },
    set(name, value) {
      if (fields.has(name)) fields.get(name).set(value);
    },
  };
}

function field(setting) {
  const id = freshId("setting");
  const help = setting.help ? el("small", { id: `${id}-help`, class: "dim" }, setting.help) : null;
  const shared = { id, name: setting.name, "aria-describedby": help ? help.id : null };
  const made = { flag, choice, integer: number, number, text }[setting.type](setting, shared);
  const title = el("label", { for: id }, label(setting.name));
  const inside = setting.type === "flag" ? [made.control, title, help] : [title, made.control, help];
  return { setting, ...made, node: el("div", { class: `field ${setting.type}` }, inside) };
}

function flag(setting, shared) {
  let touched = setting.default !== null; // until then the job decides
  const control = el("input", {
    ...shared, type: "checkbox", checked: Boolean(setting.default), onchange: () => { touched = true; },
  });
  const set = (value) => {
    control.checked = value;
    touched = true;
  };
  return { control, value: () => (touched ? control.checked : null), set };
}

function choice(setting, shared) {
  const automatic = setting.default === null ? [el("option", { value: "" }, "automatic")] : [];
  const options = setting.choices.map((value) => el("option", { value, selected: value === setting.default }, value));
  const control = el("select", shared, automatic, options);
  return { control, value: () => control.value || null, set: (value) => { control.value = value; } };
}

function number(setting, shared) {
  const step = setting.type === "integer" ? "1" : "any";
  const limit = (value) => (value === null || value === undefined ? null : String(value));
  const control = el("input", {
    ...shared, type: "number", step, min: limit(setting.minimum), max: limit(setting.maximum),
    placeholder: setting.default === null ? "automatic" : null,
  });
  if (setting.default !== null) control.value = setting.default;
  return {
    control,
    value: () => (control.value === "" ? null : Number(control.value)),
    set: (value) => { control.value = value; },
  };
}

function text(setting, shared) {
  const long = LONG.has(setting.name);
  const hint = setting.default === null ? "automatic" : null;
  const control = long ? el("textarea", { ...shared, rows: 3 }) : el("input", { ...shared, type: "text", placeholder: hint });
  control.value = setting.default ?? "";
  return { control, value: () => control.value || null, set: (value) => { control.value = value; } };
}
