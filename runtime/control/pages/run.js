// One run: who it is, how it stands, what it waits for, its picture and its journal.

import { access, ask, follow } from "./api.js";
import { cancelDialog, completeDialog, failDialog, queryDialog, signalDialog, terminateDialog, updateDialog } from "./dialogs.js";
import { address, attributesShown, brief, duration, h, json, moment, now, pill, put, runLink, say, soon, trouble } from "./dom.js";
import { Journal } from "./journal.js";
import { Spans, failureText } from "./spans.js";
import { Timeline } from "./timeline.js";

const DRAWN = 5000;
const CHILDREN = 100;
const UPDATES = 50;
const UPDATED = { open: "accepted", done: "completed", failed: "failed", left: "cut off", cancelled: "cancelled" };

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
      part("aside", "Put aside"), part("summary", "About"), part("outcome", "Outcome"), part("pending", "Pending"),
      part("updates", "Updates"), part("picture", "Timeline", this.timeline.element), part("children", "Children"),
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
      ["Workflow", run.workflow], run.kind && ["Kind", run.kind], ["Run", `${run.run_name}`], ["Run ID", h("code", {}, run.run_id)], ["Queue", run.queue],
      ["Started", moment(run.started_at, { both: true })],
      run.begin_at && run.begin_at > now() && ["Begins", moment(run.begin_at, { both: true })],
      run.closed_at && ["Closed", moment(run.closed_at, { both: true })],
      run.closed_at && ["Took", duration(run.closed_at - run.started_at)],
      run.attempt > 1 && ["Attempt", run.attempt],
      run.parent_workflow_id && ["Parent", runLink(run.parent_workflow_id, run.parent_run_id)],
      run.first_run_id !== run.run_id && ["First of its chain", runLink(run.workflow_id, run.first_run_id, run.first_run_id)],
      run.next_run_id && ["Goes on in", runLink(run.workflow_id, run.next_run_id, run.next_run_id)],
      run.identity && ["Started by", run.identity],
      run.priority > 0 && ["Priority", run.priority],
      run.build_id && ["Build ID", run.build_id],
      ...this.origin(),
    ].filter(Boolean);
    const text = JSON.stringify([run.status, run.queue, run.closed_at, run.next_run_id, run.attempt, run.begin_at, run.build_id, Boolean(this.extras)]);
    if (text !== this.facted) {
      this.facted = text;
      put(this.facts, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    }
    this.showSummary();
    this.fill("aside", run.aside && h("p", {}, run.aside));
    this.showPending();
    this.journal?.grown(run.history_length);
    if (run.status !== "RUNNING" && !this.outcome) this.showOutcome();
    this.redraw();
  }

  /** What started the run, if that was no person: known from its journal. */
  origin() {
    const { schedule_id: schedule, nominal_time: nominal, cron, event_key: key, event_id: event } = this.extras ?? {};
    return [
      schedule && ["Schedule", h("a", { href: address(["schedule", schedule]) }, schedule)],
      schedule && nominal && ["For", moment(nominal, { both: true })],
      cron && ["Cron", h("code", {}, cron)],
      key && ["Started by event", [key, h("small", {}, event)]],
    ];
  }

  showSummary() {
    const { static_summary: summary, static_details: details, current_details: current, attributes, memo, additional_metadata: metadata } = this.shown;
    const text = JSON.stringify([summary, details, current, attributes, memo, metadata]);
    if (text === this.summed) return;
    this.summed = text;
    const titled = (title, value) => Object.keys(value ?? {}).length > 0 && [h("h3", {}, title), json(value)];
    const shown = attributesShown(attributes);
    this.fill("summary",
      summary && h("p", {}, h("b", {}, summary)), details && h("p", { class: "said" }, details),
      current && [h("h3", {}, "Where it stands"), h("p", { class: "said current" }, current)],
      shown && [h("h3", {}, "Search attributes"), shown], titled("Memo", memo), titled("Metadata", metadata));
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
      this.open && button("Signal", signalDialog), this.open && button("Update", updateDialog), button("Query", queryDialog),
      this.open && button("Cancel", cancelDialog), this.open && button("Terminate", terminateDialog, "danger"));
  }

  fill(name, ...content) {
    const found = content.flat().filter(Boolean);
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
    const nothing = { pending_tasks: [], pending_timers: [], pending_children: [], pending_events: [] };
    const { pending_tasks: tasks, pending_timers: timers, pending_children: children, pending_events: events } = this.open ? this.shown : nothing;
    const text = JSON.stringify([tasks, timers, children, events]);
    if (text === this.pended) return;
    this.pended = text;
    const rows = tasks.slice(0, 50).map((task) => h("tr", {},
      h("td", {}, h("b", {}, task.name), h("small", {}, `call ${task.call}`)),
      h("td", {}, h("span", { class: `state ${task.state}` }, task.state), task.state === "elsewhere" && h("small", {}, "to be completed from outside"), task.waits_for && h("small", {}, `waits for ${task.waits_for}`), h("small", {}, `attempt ${task.attempt}${task.lost_attempts ? `, ${task.lost_attempts} lost` : ""}`)),
      h("td", {}, task.state === "elsewhere" ? this.reports(task) : task.next_attempt_at ? moment(task.next_attempt_at) : task.worker || "–"),
      h("td", { class: "wide" }, task.last_failure ? h("span", { class: "failed" }, failureText(task.last_failure)) : task.state !== "elsewhere" && "–", task.state === "elsewhere" && h("small", {}, "task ID ", h("code", {}, task.task_id)))));
    this.fill("pending",
      rows.length && h("table", {}, h("thead", {}, h("tr", {}, ["Task", "State", "Next attempt, or worker", "Last failure"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)),
      tasks.length > 50 && h("p", { class: "note" }, `and ${tasks.length - 50} more tasks`),
      timers.length && h("p", {}, timers.length > 1 ? `${timers.length} timers, the next ` : "A timer ", "is due ", moment(Math.min(...timers)), "."),
      events.length && h("p", {}, events.length > 1 ? `Waits for ${events.length} events: ` : "Waits for the event ", [...new Set(events)].slice(0, 20).map((key, at) => [at ? ", " : "", h("code", {}, key)]), "."),
      children.length && h("p", {}, "Waits for ", children.slice(0, 20).flatMap((id) => [runLink(id), " "]), children.length > 20 && `and ${children.length - 20} more`));
  }

  reports(task) {
    const button = (text, open) => h("button", { type: "button", class: "quiet", onclick: () => open(this.run, task) }, text);
    return h("span", { class: "reports" }, button("Complete", completeDialog), " ", button("Fail", failDialog));
  }

  async showInput() {
    try {
      const found = await ask("runs/history", { run: this.run, limit: 1, wait: 0 }, { signal: this.signal });
      const started = found?.items[0]?.events.find((event) => event.type === "Started");
      if (!started) return;
      this.extras = started.options?.extras ?? null;
      if (this.extras) this.show();
      const named = Object.keys(started.kwargs ?? {}).length > 0;
      this.fill("input",
        started.args?.length || !named ? json(started.args ?? []) : null, named && json(started.kwargs));
    } catch (error) {
      if (!this.signal.aborted) this.fill("input", trouble(error));
    }
  }

  /** Those in the journal, the latest first; of one that is cut off also the open ones. */
  showUpdates(list) {
    const known = list.filter((span) => span.what === "update").reverse();
    const open = this.open ? this.shown.pending_updates : [];
    const rest = open.filter(({ update_id: id }) => !this.spans.updates.has(id));
    const text = JSON.stringify([known.map((span) => [span.call, span.state]), rest]);
    if (text === this.updated) return;
    this.updated = text;
    const row = (name, id, state, at, answer) => h("tr", {},
      h("td", {}, h("b", {}, name), h("small", {}, id)), h("td", {}, h("span", { class: `state ${state}` }, state)),
      h("td", {}, at ? moment(at) : "–"), h("td", { class: "wide" }, answer ?? "–"));
    const rows = [
      ...rest.map((update) => row(update.name, update.update_id, "accepted", null)),
      ...known.slice(0, UPDATES).map((span) => row(span.update.name, span.call, UPDATED[span.state], span.start, answerOf(span))),
    ];
    this.fill("updates",
      rows.length && h("table", {}, h("thead", {}, h("tr", {}, ["Update", "State", "Accepted", "Answer"].map((t) => h("th", { scope: "col" }, t)))), h("tbody", {}, rows)),
      known.length > UPDATES && h("p", { class: "note" }, `and ${known.length - UPDATES} before them`));
  }

  draw() {
    if (this.signal.aborted || !this.shown) return;
    const pending = new Map(this.shown.pending_tasks.map((task) => [`${this.shown.generation}.${task.call}`, task]));
    const list = this.spans.list(this.open ? pending : new Map());
    this.timeline.show(this.spans, list, { open: this.open, skipped: this.skipped });
    this.showUpdates(list);
    const children = list.filter((span) => span.what === "child");
    const text = children.map((c) => c.workflowId + c.state).join("\n");
    if (text === this.bred) return;
    this.bred = text;
    this.fill("children",
      children.length && h("ul", { class: "plain" }, children.slice(0, CHILDREN).map((c) => h("li", {}, runLink(c.workflowId, c.runId), " ", h("span", { class: "muted" }, `${c.name}, ${c.state === "open" ? "open" : c.state}`)))),
      children.length > CHILDREN && h("p", { class: "note" }, `and ${children.length - CHILDREN} more`));
  }
}

function answerOf(span) {
  if (span.state === "failed") return h("span", { class: "failed" }, failureText(span.failure));
  return span.state === "done" ? h("code", {}, brief(span.result ?? null, 200)) : null;
}

function failure(found) {
  const parts = [h("p", { class: "failed" }, h("b", {}, found.type), found.message && `: ${found.message}`)];
  if (found.details?.length) parts.push(json(found.details));
  if (found.traceback) parts.push(h("details", {}, h("summary", {}, "Traceback"), h("pre", { class: "json", tabindex: "0" }, found.traceback)));
  if (found.cause) parts.push(h("div", { class: "cause" }, h("small", {}, "caused by"), failure(found.cause)));
  return h("div", {}, parts);
}
