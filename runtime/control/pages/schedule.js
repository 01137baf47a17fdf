// One schedule: what it does when, its next times, its last actions, and the buttons.

import { access, ask } from "./api.js";
import { address, attributesShown, both, duration, elsewhere, h, json, local, moment, pill, put, runLink, say, trouble, utc, zoned } from "./dom.js";
import { backfillDialog, deleteScheduleDialog, editScheduleDialog, pauseDialog, triggerDialog } from "./scheduling.js";
import { OVERLAPS, specWords } from "./words.js";

const EVERY = 2000;

export function scheduleView([id = ""], _, signal) {
  const page = new SchedulePage(id, signal);
  page.round();
  return page.element;
}

class SchedulePage {
  constructor(id, signal) {
    this.id = id;
    this.signal = signal;
    this.texts = {};
    this.part = {};
    const part = (name, title) => {
      this.part[name] = h("div");
      return h("section", { class: `panel ${name}`, "aria-label": title, hidden: true }, h("h2", {}, title), this.part[name]);
    };
    this.told = h("div");
    this.head = h("div", { class: "head" }, h("h1", { class: "id" }, id));
    this.facts = h("dl", { class: "facts" });
    this.element = h("article", { class: "schedule-view" },
      h("p", { class: "crumbs" }, h("a", { href: "#/schedules" }, "All schedules")),
      this.head, this.told, this.facts,
      part("summary", "About"), part("when", "When"), part("upcoming", "Next times"), part("recent", "Last actions"), part("definition", "Definition"));
  }

  async round() {
    await this.look();
    if (this.gone || this.signal.aborted) return;
    setTimeout(() => this.signal.aborted || this.round(), EVERY);
  }

  async look() {
    try {
      const found = await ask("schedules/describe", { id: this.id, workspace: access.workspace }, { signal: this.signal });
      put(this.told);
      if (this.found && this.found.schedule.paused !== found.schedule.paused) say(found.schedule.paused ? "The schedule is now paused." : "The schedule is now active.");
      this.found = found;
      this.show();
      await this.showRecent();
    } catch (error) {
      if (this.signal.aborted) return;
      this.gone = Boolean(error.status) && error.status !== "UNAVAILABLE";
      put(this.told, trouble(error));
    }
  }

  changed(name, value) {
    const text = JSON.stringify(value);
    const before = this.texts[name];
    this.texts[name] = text;
    return before !== text;
  }

  fill(name, ...content) {
    const found = content.flat().filter(Boolean);
    this.part[name].parentElement.hidden = !found.length;
    put(this.part[name], found);
  }

  show() {
    const { found } = this;
    const { schedule } = found;
    this.showHead();
    const facts = [
      ["Workflow", schedule.action.workflow],
      ["Runs", h("a", { href: address(["runs"], { filter: `schedule_id = '${this.id.replaceAll("\\", "\\\\").replaceAll("'", "''")}'` }) }, "all that it started")],
      schedule.note && ["Note", schedule.note],
      ["Actions taken", found.actions_taken.toLocaleString("en")],
      ["Missed", found.actions_missed.toLocaleString("en")],
      ["Skipped for an open run", found.actions_skipped.toLocaleString("en")],
      found.waiting > 0 && ["Waiting for a run's end", found.waiting.toLocaleString("en")],
      schedule.limited_actions && ["Actions left", schedule.remaining_actions.toLocaleString("en")],
      ["If a run is open", OVERLAPS[schedule.policy.overlap] ?? schedule.policy.overlap],
      ["Makes up for times missed", `up to ${duration(schedule.policy.catchup_window)} ago`],
      schedule.policy.pause_on_failure && ["When a run fails", "it pauses"],
      ["Created", moment(found.created_at, { both: true })],
      found.updated_at !== found.created_at && ["Changed", moment(found.updated_at, { both: true })],
    ].filter(Boolean);
    const { recent: _, upcoming: __, running: ___, ...rest } = found;
    if (this.changed("facts", rest)) {
      put(this.facts, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
      const memo = Object.keys(found.memo).length > 0;
      this.fill("summary",
        found.static_summary && h("p", {}, h("b", {}, found.static_summary)),
        found.static_details && h("p", { class: "said" }, found.static_details),
        attributesShown(found.attributes), memo && [h("h3", {}, "Memo"), json(found.memo)]);
      this.fill("when", h("ul", { class: "lines" }, specWords(schedule.spec).map((line) => h("li", {}, line))));
      this.fill("definition", json(schedule));
    }
    if (this.changed("upcoming", found.upcoming)) this.fill("upcoming", this.times());
  }

  times() {
    const { upcoming, schedule } = this.found;
    if (!upcoming.length) return h("p", { class: "muted" }, "No time is to come.");
    const zone = schedule.spec.time_zone;
    const own = zone && zone !== "UTC" && zoned(upcoming[0], zone) !== null;
    const here = elsewhere();
    const heads = ["Due", here && `Here (${here})`, "UTC", own && zone].filter(Boolean);
    return [
      schedule.paused && h("p", { class: "muted" }, "Paused: these times pass without an action."),
      h("table", { class: "times" }, h("thead", {}, h("tr", {}, heads.map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, upcoming.map((at) => h("tr", {}, h("td", {}, moment(at)), here && h("td", {}, local(at)), h("td", {}, utc(at)), own && h("td", {}, zoned(at, zone)))))),
    ];
  }

  async showRecent() {
    const { recent, running } = this.found;
    if (!this.changed("recent", [recent, running])) return;
    if (!recent.length) {
      this.fill("recent", h("p", { class: "muted" }, "It has not acted yet."));
      return;
    }
    let statuses = new Map();
    try {
      const query = `run_id IN (${recent.map((one) => `'${one.run_id}'`).join(", ")})`;
      const found = await ask("runs/search", { workspace: access.workspace, query, page_size: recent.length }, { signal: this.signal });
      statuses = new Map(found.runs.map((run) => [run.run_id, run]));
    } catch {
      // Without them the list of actions is still true.
    }
    const rows = [...recent].reverse().map((one) => {
      const run = statuses.get(one.run_id);
      return h("tr", {},
        h("td", { class: "wide" }, runLink(one.workflow_id, one.run_id)),
        h("td", {}, run ? pill(run.status, run.aside) : h("span", { class: "muted" }, "–")),
        h("td", {}, both(one.nominal_time)),
        h("td", {}, moment(one.taken_at)));
    });
    this.fill("recent", h("table", {}, h("thead", {}, h("tr", {}, ["Run", "Status", "For", "Taken"].map((text) => h("th", { scope: "col" }, text)))), h("tbody", {}, rows)));
  }

  showHead() {
    const { paused } = this.found.schedule;
    if (!this.changed("head", paused)) return;
    document.title = `${this.id} · everact`;
    const again = () => this.look();
    const button = (text, open, kind = "") => h("button", { type: "button", class: kind, onclick: () => open(this.found, again) }, text);
    put(this.head, h("h1", { class: "id" }, this.id), pill(paused ? "PAUSED" : "ACTIVE"), h("div", { class: "actions" },
      button("Trigger", triggerDialog), button(paused ? "Resume" : "Pause", pauseDialog), button("Backfill", backfillDialog),
      button("Change", editScheduleDialog), button("Delete", deleteScheduleDialog, "danger")));
  }
}
