// A place to drop or choose files for one input of a job.

import { announce, button, el, freshId } from "./dom.js";
import { bytes, label } from "./words.js";

const PICTURES = [".png", ".jpg", ".jpeg", ".webp"];
const VIDEOS = [".mp4", ".webm", ".mov"];

const endsWithAny = (name, suffixes) => suffixes.some((suffix) => name.toLowerCase().endsWith(suffix));

/** {node, files, accepts(file), set(files)}; `onChange()` is called after every change. */
export function dropField(input, onChange) {
  const id = freshId("input");
  const list = el("ul", { class: "files" });
  const chooser = el("input", {
    id, type: "file", multiple: input.many, accept: input.accept.join(","), "aria-describedby": `${id}-what`,
    onchange: () => {
      place.set(input.many ? [...place.files, ...chooser.files] : [...chooser.files]);
      chooser.value = "";
    },
  });
  const zone = el("label", { class: "zone", for: id }, chooser,
    el("strong", {}, label(input.name), input.required ? null : el("span", { class: "dim" }, " optional")),
    el("span", { id: `${id}-what`, class: "dim" }, input.what),
    el("small", { class: "dim" }, `Drop ${input.many ? "files" : "a file"} here, or choose. ${input.accept.join(" ")}`));
  const place = {
    node: el("div", { class: "drop" }, zone, list),
    files: [],
    accepts: (file) => endsWithAny(file.name, input.accept),
    set(files) {
      const refused = files.filter((file) => !place.accepts(file));
      const fitting = files.filter((file) => place.accepts(file));
      if (refused.length) announce(`${refused.map((f) => f.name).join(", ")}: expected ${input.accept.join(", ")}`);
      zone.classList.toggle("refused", refused.length > 0);
      if (refused.length && !fitting.length) return;
      place.files = input.many ? fitting : fitting.slice(-1);
      show();
      onChange();
    },
  };
  const show = () => {
    for (const old of list.querySelectorAll("[data-url]")) URL.revokeObjectURL(old.dataset.url);
    const remove = (file) => () => {
      place.set(place.files.filter((other) => other !== file));
      chooser.focus();
    };
    list.replaceChildren(...place.files.map((file) => el("li", {}, thumbnail(file),
      el("span", { class: "name" }, file.name), el("span", { class: "dim" }, bytes(file.size)),
      button("Remove", remove(file), { class: "quiet", "aria-label": `Remove ${file.name}` }))));
  };
  acceptDrops(zone, (files) => place.set(input.many ? [...place.files, ...files] : files));
  return place;
}

/** Lets files be dropped on an element. */
export function acceptDrops(zone, take) {
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    event.stopPropagation();
    zone.classList.remove("over");
    take([...event.dataTransfer.files]);
  });
}

function thumbnail(file) {
  const picture = endsWithAny(file.name, PICTURES);
  if (!picture && !endsWithAny(file.name, VIDEOS)) return null;
  const url = URL.createObjectURL(file);
  if (picture) return el("img", { src: url, alt: "", "data-url": url });
  return el("video", { src: url, muted: true, preload: "metadata", "data-url": url, "aria-hidden": "true" });
}
