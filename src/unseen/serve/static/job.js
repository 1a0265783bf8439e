// One job: its state and progress while it runs, its result when it is done.

import { cancelJob, deleteJob, fileUrl, followJob, getJob } from "./api.js";
import { announce, button, el } from "./dom.js";
import { statePill } from "./home.js";
import { showResult } from "./result.js";
import { capitalised, clock, isOver, seconds, STATES } from "./words.js";

const STEP = 0.1; // of the progress after which it is said anew

export async function showJob(kinds, id) {
  const view = new JobView(kinds, await getJob(id));
  return { node: view.node, shown: () => view.begin(), leave: () => view.leave() };
}

class JobView {
  constructor(kinds, job) {
    this.job = job;
    this.title = kinds.find((kind) => kind.name === job.kind)?.title || "";
    this.pill = el("span", {});
    this.line = el("p", { class: "dim" });
    this.bar = el("progress", { max: 1, "aria-label": "Progress" });
    this.stage = el("p", { class: "stage-line" });
    this.preview = el("img", { class: "preview", alt: "Preview", hidden: true });
    this.problem = el("pre", { class: "notice", role: "alert", hidden: true });
    this.cancel = button("Cancel", () => this.act(cancelJob));
    this.remove = button("Delete", () => this.delete(), { class: "danger" });
    this.note = el("p", { class: "dim small-print" });
    this.progress = el("div", { class: "progress" }, this.stage, this.bar, this.note, this.preview);
    this.result = el("div", {});
    this.node = el("div", { class: "column wide" }, el("p", { class: "crumbs" }, el("a", { href: "#/" }, "All jobs")),
      el("div", { class: "job-head" }, el("h1", {}, capitalised(job.kind)), this.pill,
        el("div", { class: "actions push" }, this.cancel, this.remove)),
      el("p", { class: "lead" }, this.title), this.line, this.problem, this.progress, this.result);
    this.said = -1;
    this.left = false;
    this.show();
  }

  begin() {
    this.clock = setInterval(() => this.showTimes(), 1000);
    if (!isOver(this.job.state)) {
      this.stop = followJob(this.job.id, (name, data) => this.event(name, data), () => this.refresh());
    }
  }

  leave() {
    this.left = true;
    this.stop?.();
    clearInterval(this.clock);
    this.shownResult?.leave();
  }

  event(name, data) {
    if (name === "progress") this.job.progress = data;
    else if (name === "preview") this.job.preview = data.name;
    else if (name === "note") this.job.message = data.message;
    else this.refresh(); // a state: what else changed with it is asked for
    this.show();
  }

  async refresh() {
    try {
      this.job = await getJob(this.job.id);
      this.show();
    } catch (error) {
      this.fail(error.message);
    }
  }

  async act(request) {
    try {
      await request(this.job.id);
      await this.refresh();
    } catch (error) {
      this.fail(error.message);
    }
  }

  async delete() {
    if (!confirm("Delete this job and its files?")) return;
    try {
      await deleteJob(this.job.id);
      location.hash = "#/";
    } catch (error) {
      this.fail(error.message);
    }
  }

  fail(text) {
    this.problem.textContent = text;
    this.problem.hidden = false;
  }

  show() {
    const { job } = this;
    const over = isOver(job.state);
    if (this.pill.dataset.state !== job.state) {
      this.pill.dataset.state = job.state;
      this.pill.replaceChildren(statePill(job.state));
      announce(`The job is ${STATES[job.state] || job.state}.`);
    }
    this.cancel.hidden = over;
    this.remove.hidden = !over;
    this.progress.hidden = over;
    if (job.message && job.state === "FAILED") this.fail(job.message);
    this.showTimes();
    if (over) this.end();
    else this.showProgress();
  }

  showProgress() {
    const { state, progress, position, preview, message, id } = this.job;
    this.note.textContent = message;
    const ahead = position ? `${position} ahead of it` : "next in line";
    if (state === "QUEUED" || !progress) {
      this.stage.textContent = state === "QUEUED" ? `Waiting, ${ahead}.` : "Starting.";
      this.bar.removeAttribute("value");
      return;
    }
    const { stage, done, total } = progress;
    this.stage.textContent = `${capitalised(stage || "")}${total ? `, ${done} of ${total}` : ""}`;
    if (total) this.bar.value = done / total;
    else this.bar.removeAttribute("value");
    if (total && Math.abs(done / total - this.said) >= STEP) {
      this.said = done / total;
      announce(`${this.stage.textContent}.`);
    }
    if (preview) {
      const address = `${fileUrl(id, preview)}?at=${done || 0}`;
      this.preview.hidden = false;
      if (this.preview.dataset.name !== address) {
        this.preview.dataset.name = address;
        this.preview.src = address;
      }
    }
  }

  showTimes() {
    const { created, started, ended, expires } = this.job;
    const parts = [`Sent ${clock(created)}`];
    if (started) parts.push(`${ended ? "took" : "for"} ${seconds((ended || Date.now() / 1000) - started)}`);
    if (expires) parts.push(`kept until ${clock(expires)}`);
    this.line.textContent = parts.join(" · ");
  }

  end() {
    this.stop?.();
    if (this.job.state !== "COMPLETED" || this.shownResult || this.left) return;
    this.shownResult = showResult(this.job);
    this.result.replaceChildren(this.shownResult.node);
    this.shownResult.start();
  }
}
