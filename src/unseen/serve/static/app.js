// The page: which view is shown, and the line about the queue.

import { getKinds, getQueue } from "./api.js";
import { announce, el } from "./dom.js";
import { showSignIn } from "./signin.js";
import { showHome } from "./home.js";
import { showJob } from "./job.js";
import { showNew } from "./new.js";

const QUEUE_MS = 5000;
const main = document.getElementById("main");
let leave = () => {};
let shown = 0;

/** #/ is the start, #/new/KIND the form of a job, #/job/ID a job. A view returns its element and what ends it. */
async function route() {
  const turn = ++shown;
  leave();
  leave = () => {};
  const [, page, argument] = location.hash.split("/");
  let view;
  try {
    const kinds = await getKinds();
    if (page === "new") view = await showNew(kinds, decodeURIComponent(argument || ""));
    else if (page === "job") view = await showJob(kinds, decodeURIComponent(argument || ""));
    else view = await showHome(kinds);
  } catch (error) {
    view = { node: error.status === 401 ? showSignIn(route) : failure(error), leave: () => {} };
  }
  if (turn !== shown) {
    view.leave();
    return;
  }
  leave = view.leave;
  main.replaceChildren(view.node);
  const heading = main.querySelector("h1");
  document.title = heading && page ? `${heading.textContent} · unseen` : "unseen";
  if (page) main.focus({ preventScroll: true });
  scrollTo(0, 0);
  view.shown?.();
}

function failure(error) {
  announce(error.message);
  return el("section", { class: "column" }, el("h1", {}, "This did not work"), el("p", { class: "notice" }, error.message),
    el("p", {}, el("a", { href: "#/", class: "button" }, "Back to the start")));
}

async function showQueue() {
  if (document.hidden) return;
  const line = document.getElementById("queue");
  try {
    const { running, queued } = await getQueue();
    line.textContent = running || queued ? `${running} running, ${queued} waiting` : "idle";
  } catch (error) {
    line.textContent = error.code === "unreachable" ? "no answer from the server" : "";
  }
}

addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address after # is the view's
  main.focus();
});
route();
showQueue();
setInterval(showQueue, QUEUE_MS);
