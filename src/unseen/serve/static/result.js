// What a finished job leaves: its scene, its videos and pictures, its files.

import { fileUrl } from "./api.js";
import { beforeAfter } from "./compare.js";
import { button, el } from "./dom.js";
import { bestScene, loadSplats } from "./scene/load.js";
import { ScenePanel } from "./scene/panel.js";
import { bytes, capitalised } from "./words.js";

const VIDEO = /\.(mp4|webm)$/i;
const PICTURE = /\.(png|jpe?g|webp)$/i;
const COMPARISON = "comparison.mp4"; // input | render | error, as the avatar job writes it
const BEFORE = /(^|[/._-])before(?=[/._-])/i;
const FIRST_PICTURE = "#t=0.001"; // shown before anybody plays it
const MANY_PICTURES = 12;
const MANY_FILES = 20;

/** {node, start(), leave()} */
export function showResult(job) {
  const url = (name) => fileUrl(job.id, name);
  const scene = bestScene(job.files);
  const panelPlace = scene ? el("div", { class: "scene-place" }, el("p", { class: "dim" }, `Loading ${scene.name} …`)) : null;
  const pairs = comparisons(job.files);
  const paired = new Set(pairs.flat());
  const videos = job.files.filter(({ name }) => VIDEO.test(name) && !paired.has(name));
  const pictures = job.files.filter(({ name }) => PICTURE.test(name) && !paired.has(name));
  let panel = null;
  let left = false;
  const start = async () => {
    if (!scene) return;
    try {
      panel = await openScene(job, scene, panelPlace, () => left);
    } catch (error) {
      if (!left) panelPlace.replaceChildren(el("p", { class: "notice" }, `${scene.name} cannot be shown: ${error.message}`));
    }
  };
  const node = el("div", { class: "result" }, panelPlace,
    pairs.map(([before, after]) => section("Before and after",
      beforeAfter({ url: url(before), name: before }, { url: url(after), name: after }))),
    videos.length ? section("Videos", el("div", { class: "media" }, videos.map(({ name }) => figure(name,
      el("video", { src: `${url(name)}${FIRST_PICTURE}`, controls: true, loop: true, muted: true, playsInline: true, preload: "metadata" }))))) : null,
    pictures.length ? section("Pictures", el("div", { class: "media small" }, pictures.slice(0, MANY_PICTURES).map(
      ({ name }) => figure(name, el("a", { href: url(name) }, el("img", { src: url(name), alt: name, loading: "lazy" })))))) : null,
    section("Files", fileList(job, url)));
  const leave = () => {
    left = true;
    if (panel) panel.dispose();
  };
  return { node, start, leave };
}

function section(title, ...children) {
  return el("section", {}, el("h2", {}, title), children);
}

function figure(name, medium) {
  return el("figure", {}, medium, el("figcaption", { class: "dim" }, name));
}

/** Names of files that show the same before and after: before.mp4 and after.mp4, path-before.png and path-after.png. */
function comparisons(files) {
  const names = new Set(files.map(({ name }) => name));
  return [...names].filter((name) => BEFORE.test(name))
    .map((name) => [name, name.replace(BEFORE, (whole, edge) => `${edge}after`)])
    .filter(([before, after]) => before !== after && names.has(after) && (VIDEO.test(after) || PICTURE.test(after)));
}

async function openScene(job, scene, place, gone) {
  const answer = await fetch(fileUrl(job.id, scene.name));
  if (!answer.ok) throw new Error(`the server answered with status ${answer.status}`);
  const splats = await loadSplats(scene.name, await answer.arrayBuffer());
  if (gone()) return null;
  const side = job.files.some(({ name }) => name === COMPARISON) && splats.arrays.vertices
    ? inputBeside(fileUrl(job.id, COMPARISON)) : null;
  const panel = new ScenePanel(splats, { title: `${capitalised(job.kind)}, ${scene.name}`, onFrame: side?.follow, clock: side?.clock });
  place.replaceChildren(el("div", { class: side ? "beside" : "" }, side?.node, panel.node), panel.sliders);
  panel.start();
  return panel;
}

/** The input's part of the comparison video. While both play, the video keeps the time; else it follows the avatar. */
function inputBeside(url) {
  const video = el("video", { src: url, muted: true, loop: true, playsInline: true, preload: "auto", "aria-label": "The input" });
  const node = el("figure", { class: "input-video" }, el("div", { class: "first-third" }, video),
    el("figcaption", {}, "input"));
  video.addEventListener("loadedmetadata", () => {
    node.style.setProperty("--aspect", `${video.videoWidth / 3} / ${video.videoHeight}`);
  });
  const follow = (time, playing) => {
    if (playing && video.paused) video.play().catch(() => {});
    if (!playing && !video.paused) video.pause();
    if (!playing && video.readyState > 0) video.currentTime = Math.min(time, video.duration);
  };
  return { node, follow, clock: () => (video.paused ? null : video.currentTime) };
}

function fileList(job, url) {
  const row = ({ name, bytes: size }) => el("tr", {},
    el("td", {}, el("a", { href: url(name), download: name.split("/").pop() }, name)),
    el("td", { class: "dim amount" }, bytes(size)));
  const sorted = [...job.files].sort((a, b) => a.name.split("/").length - b.name.split("/").length || (a.name < b.name ? -1 : 1));
  const body = el("tbody", {}, sorted.slice(0, MANY_FILES).map(row));
  const table = el("table", { class: "file-table" }, el("thead", { class: "hidden-text" },
    el("tr", {}, el("th", { scope: "col" }, "File"), el("th", { scope: "col" }, "Size"))), body);
  if (sorted.length <= MANY_FILES) return table;
  const more = button(`Show ${sorted.length - MANY_FILES} more`, () => {
    body.append(...sorted.slice(MANY_FILES).map(row));
    more.remove();
  });
  return el("div", {}, table, more);
}
