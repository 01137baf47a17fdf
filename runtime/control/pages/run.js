// One run: who it is, how it stands, what it waits for, its picture and its journal.

import { access, ask, follow } from "./api.js";
import { cancelDialog, queryDialog, signalDialog, terminateDialog } from "./dialogs.js";
import { duration, h, json, moment, now, pill, put, runLink, say, soon, trouble } from "./dom.js";
import { Journal } from "./journal.js";
import { Spans, failureText } from "./spans.js";
import { Timeline } from "./timeline.js";

const DRAWN = 5000;
const CHILDREN = 100;

export function runView([workflowId, runId = ""], _, signal) {
  const page = new RunPage({ workflow_id: workflowId, run_id: runId, workspace: access.workspace }, signal);
  page.begin();
  return page.element;
}

class RunPage {
  constructor(run, signal) {
    this.run = run;
    this.signal = signal;
    this.spans = new Spans();
    this.timeline = new Timeline();
    this.describe = soon(() => this.look(), 250);
    this.redraw = soon(() => this.draw(), 60);
    this.part = {};
    const part = (name, title, ...content) => {
      this.part[name] = h("div", {}, content);
      return h("section", { class: `panel ${name}`, "aria-label": title, hidden: !content.length }, h("h2", {}, title), this.part[name]);
    };
    this.told = h("div");
    this.head = h("div", { class: "head" }, h("h1", { class: "id" }, run.workflow_id));
    this.facts = h("dl", { class: "facts" });
    this.element = h("article", { class: "run-view" },
      h("p", { class: "crumbs" }, h("a", { href: "#/runs" }, "All runs")),
      this.head, this.told, this.facts,
      part("aside", "Put aside"), part("outcome", "Outcome"), part("pending", "Pending"),
      part("picture", "Timeline", this.timeline.element), part("children", "Children"),
      part("input", "Input"), part("journal", "Journal"));
  }

  async begin() {
    const known = this.learn();
    await this.look();
    if (!this.shown) return;
    await known;
    this.showButtons();
    this.run = { ...this.run, run_id: this.shown.run_id };
    this.journal = new Journal(this.run, this.signal);
    this.fill("journal", this.journal.element);
    this.journal.grown(this.shown.history_length);
    this.showInput();
    const ticking = setInterval(() => this.tick(), 2000);
    const drawing = setInterval(() => { if (this.open && !this.timeline.zoom) this.redraw(); }, 1000);
    this.signal.addEventListener("abort", () => { clearInterval(ticking); clearInterval(drawing); this.timeline.size.disconnect(); });
    this.listen();
  }

  get open() { return this.shown?.status === "RUNNING"; }

  async learn() {
    try {
      this.definitions = (await ask("engine/definitions", {}, { signal: this.signal })).workflows;
    } catch {
      this.definitions = [];
    }
  }

  tick() { if (this.open) this.describe(); }

  async look() {
    try {
      const found = await ask("runs/describe", { run: this.run }, { signal: this.signal });
      put(this.told);
      if (this.shown && this.shown.status !== found.status) say(`The run is now ${found.status.toLowerCase().replaceAll("_", " ")}.`);
      this.shown = found;
      this.show();
    } catch (error) {
      if (this.signal.aborted) return;
      put(this.told, trouble(error));
      if (!error.status && !this.shown) setTimeout(() => this.signal.aborted || this.begin(), 2000);
    }
  }

  /** Take in the journal from where the picture begins, and as it grows. */
  async listen() {
    const { run_id, generation, history_length } = this.shown;
    this.skipped = Math.max(0, history_length - DRAWN);
    const cursor = this.skipped ? `${run_id}:${generation}:${this.skipped - 1}` : "";
    try {
      await follow("runs/follow", { run: this.run, cursor }, (entry) => {
        this.spans.add(entry);
        this.redraw();
        this.describe();
      }, { signal: this.signal });
    } catch (error) {
      if (!this.signal.aborted) put(this.told, trouble(error));
    }
    this.describe();
  }

  // -- what is shown ---------------------------------------------------------------

  show() {
    const run = this.shown;
    this.showHead();
    const facts = [
      ["Workflow", run.workflow], ["Run", `${run.run_name}`], ["Run ID", h("code", {}, run.run_id)], ["Queue", run.queue],
      ["Started", moment(run.started_at, { both: true })],
      run.begin_at && run.begin_at > now() && ["Begins", moment(run.begin_at, { both: true })],
      run.closed_at && ["Closed", moment(run.closed_at, { both: true })],
      run.closed_at && ["Took", duration(run.closed_at - run.started_at)],
      run.attempt > 1 && ["Attempt", run.attempt],
      run.parent_workflow_id && ["Parent", runLink(run.parent_workflow_id, run.parent_run_id)],
      run.first_run_id !== run.run_id && ["First of its chain", runLink(run.workflow_id, run.first_run_id, run.first_run_id)],
      run.next_run_id && ["Goes on in", runLink(run.workflow_id, run.next_run_id, run.next_run_id)],
      run.identity && ["Started by", run.identity],
    ].filter(Boolean);
    const text = JSON.stringify([run.status, run.queue, run.closed_at, run.next_run_id, run.attempt, run.begin_at]);
    if (text !== this.facted) {
      this.facted = text;
      put(this.facts, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    }
    this.fill("aside", run.aside && h("p", {}, run.aside));
    this.showPending();
    this.journal?.grown(run.history_length);
    if (run.status !== "RUNNING" && !this.outcome) this.showOutcome();
    this.redraw();
  }

  showHead() {
    const { status, aside } = this.shown;
    if (this.headed === status + aside) return;
    this.headed = status + aside;
    this.buttons = h("div", { class: "actions" });
    put(this.head, h("h1", { class: "id" }, this.shown.workflow_id), pill(status, aside), this.buttons);
    document.title = `${this.shown.workflow_id} · everact`;
    this.showButtons();
  }

  showButtons() {
    if (!this.definitions) return;
    const known = this.definitions.find((found) => found.name === this.shown.workflow);
    const run = { ...this.run, run_id: this.shown.run_id };
    const button = (text, open, kind = "") => h("button", { type: "button", class: kind, onclick: () => open(run, known) }, text);
    put(this.buttons,
      this.open && button("Signal", signalDialog), button("Query", queryDialog),
      this.open && button("Cancel", cancelDialog), this.open && button("Terminate", terminateDialog, "danger"));
  }

  fill(name, ...content) {
    const found = content.filter(Boolean);
    this.part[name].parentElement.hidden = !found.length;
    put(this.part[name], found);
  }

  async showOutcome() {
    this.outcome = true;
    try {
      const closed = await ask("runs/result", { run: this.run, follow: false, wait: 5 }, { signal: this.signal });
      if (!closed) { this.outcome = false; return; }
      if (closed.failure) this.fill("outcome", failure(closed.failure));
      else if (closed.next_run_id) this.fill("outcome", h("p", {}, "The run goes on in ", runLink(this.shown.workflow_id, closed.next_run_id, "its successor"), "."));
      else this.fill("outcome", json(closed.result ?? null));
    } catch (error) {
      this.outcome = false;
      if (!this.signal.aborted) this.fill("outcome", trouble(error));
    }
  }

  showPending() {
    const { pending_tasks: tasks, pending_timers: timers, pending_children: children } = this.open ? this.shown : { pending_tasks: [], pending_timers: [], pending_children: [] };
    const text = JSON.stringify([tasks, timers, children]);
    if (text === this.pended) return;
    this.pended = text;
    const rows = tasks.slice(0, 50).map((task) => h("tr", {},
      h("td", {}, h("b", {}, task.name), h("small", {}, `call ${task.call}`)),
      h("td", {}, h("span", { class: `state ${task.state}` }, task.state), h("small", {}, `attempt ${task.attempt}${task.lost_attempts ? `, ${task.lost_attempts} lost` : ""}`)),
      h("td", {}, task.next_attempt_at ? moment(task.next_attempt_at) : task.worker || "–"),
      h("td", { class: "wide" }, task.last_failure ? h("span", { class: "failed" }, failureText(task.last_failure)) : "–")));
    this.fill("pending",
      rows.length && h("table", {}, h("thead", {}, h("tr", {}, ["Task", "State", "Next attempt, or worker", "Last failure"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)),
      tasks.length > 50 && h("p", { class: "note" }, `and ${tasks.length - 50} more tasks`),
      timers.length && h("p", {}, timers.length > 1 ? `${timers.length} timers, the next ` : "A timer ", "is due ", moment(Math.min(...timers)), "."),
      children.length && h("p", {}, "Waits for ", children.slice(0, 20).flatMap((id) => [runLink(id), " "]), children.length > 20 && `and ${children.length - 20} more`));
  }

  async showInput() {
    try {
      const found = await ask("runs/history", { run: this.run, limit: 1, wait: 0 }, { signal: this.signal });
      const started = found?.items[0]?.events.find((event) => event.type === "Started");
      if (!started) return;
      const named = Object.keys(started.kwargs ?? {}).length > 0;
      const memo = this.shown.memo ?? {};
      this.fill("input",
        started.args?.length || !named ? json(started.args ?? []) : null, named && json(started.kwargs),
        Object.keys(memo).length && h("div", {}, h("h3", {}, "Memo"), json(memo)));
    } catch (error) {
      if (!this.signal.aborted) this.fill("input", trouble(error));
    }
  }

  draw() {
    if (this.signal.aborted || !this.shown) return;
    const pending = new Map(this.shown.pending_tasks.map((task) => [`${this.shown.generation}.${task.call}`, task]));
    const list = this.spans.list(this.open ? pending : new Map());
    this.timeline.show(this.spans, list, { open: this.open, skipped: this.skipped });
    const children = list.filter((span) => span.what === "child");
    const text = children.map((c) => c.workflowId + c.state).join("\n");
    if (text === this.bred) return;
    this.bred = text;
    this.fill("children",
      children.length && h("ul", { class: "plain" }, children.slice(0, CHILDREN).map((c) => h("li", {}, runLink(c.workflowId, c.runId), " ", h("span", { class: "muted" }, `${c.name}, ${c.state === "open" ? "open" : c.state}`)))),
      children.length > CHILDREN && h("p", { class: "note" }, `and ${children.length - CHILDREN} more`));
  }
}

function failure(found) {
  const parts = [h("p", { class: "failed" }, h("b", {}, found.type), found.message && `: ${found.message}`)];
  if (found.details?.length) parts.push(json(found.details));
  if (found.traceback) parts.push(h("details", {}, h("summary", {}, "Traceback"), h("pre", { class: "json", tabindex: "0" }, found.traceback)));
  if (found.cause) parts.push(h("div", { class: "cause" }, h("small", {}, "caused by"), failure(found.cause)));
  return h("div", {}, parts);
}
