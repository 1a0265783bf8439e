// The form of a new job: its inputs, a camera path drawn on the page, its settings.

import { submitJob } from "./api.js";
import { announce, button, el } from "./dom.js";
import { acceptDrops, dropField } from "./drop.js";
import { settingFields } from "./fields.js";
import { PathEditor } from "./path/editor.js";
import { fromDataUrl } from "./path/json.js";
import { loadSplats, showable } from "./scene/load.js";
import { capitalised, label } from "./words.js";

const CAMERAS = "cameras"; // the input that the editor fills
const DRAWN = ["path", "reach", "radius", "elevation", "fov", "num_frames"]; // what a drawn path has instead
const SIZE = ["width", "height"]; // what is filmed with
const PICTURE = "image"; // and the one that a request's picture goes to

export async function showNew(kinds, name) {
  const kind = kinds.find((candidate) => candidate.name === name);
  if (!kind) throw new Error(`There is no job called “${name}”.`);
  const form = new JobForm(kind);
  return { node: form.node, leave: () => form.leave() };
}

class JobForm {
  constructor(kind) {
    this.kind = kind;
    this.fields = settingFields(kind.settings);
    this.drops = new Map(kind.inputs.map((input) => [input.name, dropField(input, () => this.changed(input.name))]));
    this.message = el("p", { class: "notice", role: "alert", hidden: true });
    this.bar = el("progress", { max: 1, value: 0, "aria-label": "Upload", hidden: true });
    this.start = el("button", { type: "submit", class: "primary" }, "Start");
    this.stop = button("Stop the upload", () => this.abort?.(), { hidden: true });
    this.editor = null;
    this.form = el("form", { class: "job-form", novalidate: false, onsubmit: (event) => this.submit(event) },
      el("div", { class: "inputs" }, [...this.drops.values()].map(({ node }) => node), this.pathPart()),
      el("div", { class: "settings" }, el("h2", {}, "Settings"), this.fields.node,
        el("div", { class: "actions" }, this.start, this.stop), this.bar, this.message));
    this.node = el("div", { class: "column wide" },
      el("p", { class: "crumbs" }, el("a", { href: "#/" }, "All jobs")),
      el("h1", {}, capitalised(kind.name)), el("p", { class: "lead" }, kind.title), this.form);
    acceptDrops(this.form, (files) => this.distribute(files));
  }

  /** A button that opens the camera-path editor, where the job takes cameras. */
  pathPart() {
    if (!this.drops.has(CAMERAS)) return null;
    this.place = el("div", {});
    this.opener = button("Draw a camera path", () => this.openEditor(), { class: "wide-button" });
    return el("section", { "aria-label": "Camera path" }, this.opener, this.place);
  }

  openEditor() {
    this.opener.hidden = true;
    this.editor = new PathEditor({
      onRequest: (content) => this.takeRequest(content),
      onClose: () => this.closeEditor(),
    });
    this.place.replaceChildren(this.editor.node);
    this.editor.start();
    this.showSceneInEditor();
    this.drops.get(CAMERAS).node.hidden = true;
    this.fields.hide([...DRAWN, ...SIZE], true);
  }

  closeEditor() {
    this.editor.dispose();
    this.editor = null;
    this.place.replaceChildren();
    this.opener.hidden = false;
    this.drops.get(CAMERAS).node.hidden = false;
    this.fields.hide([...DRAWN, ...SIZE], false);
    this.sceneFile = null;
    this.opener.focus();
  }

  /** What else a request file holds goes where it belongs. */
  takeRequest({ text_prompt: prompt, image_prompt: picture }) {
    if (prompt) this.fields.set("prompt", prompt);
    const file = picture ? fromDataUrl(picture) : null;
    if (file && this.drops.has(PICTURE)) this.drops.get(PICTURE).set([file]);
  }

  changed(name) {
    this.message.hidden = true;
    if (name !== CAMERAS) this.showSceneInEditor();
  }

  /** Splats that were dropped are what the path leads through. */
  async showSceneInEditor() {
    const files = [...this.drops.values()].flatMap((drop) => drop.files);
    const file = files.find((candidate) => showable(candidate.name));
    if (!this.editor || !file || file === this.sceneFile) return;
    this.sceneFile = file;
    try {
      const scene = await loadSplats(file.name, await file.arrayBuffer());
      if (this.editor) this.editor.setScene(scene);
    } catch (error) {
      this.fail(`${file.name} cannot be shown: ${error.message}`);
    }
  }

  /** Files dropped beside the zones go to the first input that takes them. */
  distribute(files) {
    for (const file of files) {
      const drop = [...this.drops.values()].find((candidate) => candidate.accepts(file));
      if (drop) drop.set([...drop.files, file]);
      else this.fail(`${file.name} is nothing that this job takes.`);
    }
  }

  files() {
    const files = {};
    for (const [name, drop] of this.drops) if (drop.files.length) files[name] = drop.files;
    if (this.editor) files[CAMERAS] = [this.editor.file()];
    return files;
  }

  /** A job that takes a size films the drawn path in the editor's. */
  settings() {
    const values = this.fields.values();
    if (this.editor) for (const name of SIZE) if (this.fields.has(name)) values[name] = this.editor.model[name];
    return values;
  }

  fail(text) {
    this.message.textContent = text;
    this.message.hidden = false;
  }

  async submit(event) {
    event.preventDefault();
    this.message.hidden = true;
    const files = this.files();
    const missing = this.kind.inputs.filter((input) => input.required && !files[input.name]);
    if (missing.length) {
      this.fail(`Still missing: ${missing.map((input) => label(input.name)).join(", ")}.`);
      return;
    }
    this.uploading(true);
    const upload = submitJob(this.kind.name, this.settings(), files, (share) => { this.bar.value = share; });
    this.abort = upload.abort;
    try {
      const job = await upload.done;
      announce("The job was sent.");
      location.hash = `#/job/${encodeURIComponent(job.id)}`;
    } catch (error) {
      this.fail(error.message);
      this.uploading(false);
    }
  }

  uploading(busy) {
    this.start.disabled = busy;
    this.stop.hidden = this.bar.hidden = !busy;
    this.bar.value = 0;
  }

  leave() {
    if (this.abort) this.abort();
    if (this.editor) this.editor.dispose();
    for (const drop of this.drops.values()) drop.files.length && drop.set([]);
  }
}
