// The start: what can be done, and what this browser has asked for.

import { getJobs } from "./api.js";
import { button, el } from "./dom.js";
import { capitalised, clock, isOver, label, STATES } from "./words.js";

const REFRESH_MS = 4000;

export async function showHome(kinds) {
  const list = el("div", {});
  const titles = Object.fromEntries(kinds.map((kind) => [kind.name, kind.title]));
  let timer = 0;
  const refresh = async () => {
    if (document.hidden) return;
    const { jobs, next } = await getJobs();
    const rows = el("tbody", {}, jobs.map((job) => jobRow(job, titles)));
    list.replaceChildren(...(jobs.length ? [jobTable(rows), olderButton(next, rows, titles, () => clearInterval(timer))]
      : [el("p", { class: "dim" }, "Nothing yet.")]));
    if (jobs.every((job) => isOver(job.state))) clearInterval(timer);
  };
  await refresh();
  timer = setInterval(() => refresh().catch(() => {}), REFRESH_MS);
  const node = el("div", { class: "column" },
    el("h1", {}, "See what the cameras never saw"),
    el("p", { class: "lead" }, "Pick a job. Everything stays on the machine that serves this page."),
    el("ul", { class: "cards" }, kinds.map(card)),
    el("section", { "aria-labelledby": "jobs-title" }, el("h2", { id: "jobs-title" }, "Your jobs"), list));
  return { node, leave: () => clearInterval(timer) };
}

function card(kind) {
  const needed = kind.inputs.filter((input) => input.required).map((input) => label(input.name).toLowerCase());
  return el("li", {}, el("a", { class: "card", href: `#/new/${encodeURIComponent(kind.name)}` },
    el("strong", {}, capitalised(kind.name)), el("span", {}, kind.title),
    needed.length ? el("small", { class: "dim" }, `needs: ${needed.join(", ")}`) : null));
}

function jobTable(rows) {
  const head = ["Job", "State", "Sent"].map((text) => el("th", { scope: "col" }, text));
  return el("table", { class: "jobs" }, el("thead", {}, el("tr", {}, head)), rows);
}

function jobRow(job, titles) {
  return el("tr", {},
    el("td", {}, el("a", { href: `#/job/${encodeURIComponent(job.id)}`, title: titles[job.kind] || null },
      capitalised(job.kind)), " ", el("span", { class: "dim" }, job.id.slice(0, 6))),
    el("td", {}, statePill(job.state)),
    el("td", { class: "dim" }, clock(job.created)));
}

/** Adds the jobs before those shown, as long as there are any; the list is not made anew from then on. */
function olderButton(next, rows, titles, stop) {
  if (!next) return "";
  const older = button("Show older", async () => {
    stop();
    const found = await getJobs(next);
    rows.append(...found.jobs.map((job) => jobRow(job, titles)));
    older.replaceWith(olderButton(found.next, rows, titles, stop));
  });
  return older;
}

export function statePill(state) {
  return el("span", { class: "pill", "data-state": state }, STATES[state] || state);
}
