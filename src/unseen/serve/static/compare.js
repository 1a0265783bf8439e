// Two pictures or videos of the same views, one over the other, parted by a line that can be moved.

import { el, freshId } from "./dom.js";

const VIDEO = /\.(mp4|webm)$/i;
const DRIFT = 0.05; // seconds by which two videos may be apart

/** before, after: {url, name}; labels are said and shown. */
export function beforeAfter(before, after, labels = ["before", "after"]) {
  const id = freshId("compare");
  const below = medium(after);
  const above = medium(before);
  above.classList.add("above");
  const frame = el("div", { class: "compare" }, below, above,
    el("span", { class: "tag left" }, labels[0]), el("span", { class: "tag right" }, labels[1]), el("div", { class: "line" }));
  const slider = el("input", {
    id, type: "range", min: "0", max: "100", value: "50", step: "0.5",
    oninput: () => show(Number(slider.value)),
  });
  const show = (share) => {
    frame.style.setProperty("--at", `${share}%`);
    slider.setAttribute("aria-valuetext", `${Math.round(share)} % ${labels[0]}`);
  };
  const drag = (event) => {
    if (event.buttons !== 1) return;
    const box = frame.getBoundingClientRect();
    slider.value = (100 * (event.clientX - box.left)) / box.width;
    show(Number(slider.value));
  };
  frame.addEventListener("pointerdown", (event) => {
    frame.setPointerCapture(event.pointerId);
    drag(event);
  });
  frame.addEventListener("pointermove", drag);
  show(50);
  const parts = [frame, el("label", { for: id, class: "hidden-text" }, `${labels[0]} against ${labels[1]}`), slider];
  if (VIDEO.test(after.name)) parts.push(playTogether(below, above));
  return el("div", { class: "comparison" }, parts);
}

function medium({ url, name }) {
  if (!VIDEO.test(name)) return el("img", { src: url, alt: name, draggable: false });
  return el("video", { src: url, muted: true, loop: true, playsInline: true, preload: "auto", "aria-label": name });
}

/** One button for two videos; the second follows the first. */
function playTogether(first, second) {
  const control = el("button", { type: "button" }, "Play");
  control.addEventListener("click", () => {
    if (first.paused) Promise.all([first.play(), second.play()]).catch(() => {});
    else for (const video of [first, second]) video.pause();
  });
  first.addEventListener("play", () => { control.textContent = "Pause"; });
  first.addEventListener("pause", () => { control.textContent = "Play"; });
  first.addEventListener("timeupdate", () => {
    if (Math.abs(first.currentTime - second.currentTime) > DRIFT) second.currentTime = first.currentTime;
  });
  return control;
}
