// The journal of a run, a page at a time: what came in, what went out, and when.

import { ask } from "./api.js";
import { brief, clockTime, absolute, duration, h, json, put, trouble } from "./dom.js";
import { failureText } from "./spans.js";

const PAGE = 50;
const SHOWN = 8;
const OWN = new Set(["type", "call", "name"]);
const CODED = ["result", "payload", "attributes"];

export class Journal {
  constructor(run, signal) {
    this.run = run;
    this.signal = signal;
    this.trail = []; // where the pages before this one begin
    this.after = [-1, -1];
    this.items = [];
    this.body = h("tbody");
    this.told = h("div");
    this.pager = h("div", { class: "pager" });
    this.element = h("div", { class: "entries" }, this.told,
      h("table", {}, h("thead", {}, h("tr", {}, ["Entry", "Time", "What happened"].map((text) => h("th", { scope: "col" }, text)))), this.body),
      this.pager);
  }

  /** Tell it how long the journal is now. */
  grown(length) {
    if (length === this.length) return;
    this.length = length;
    if (this.items.length < PAGE) this.load();
    else this.showPager();
  }

  async load() {
    try {
      const found = await ask("runs/history", { run: this.run, after: this.after, limit: PAGE, wait: 0 }, { signal: this.signal });
      if (!found) return;
      put(this.told);
      const same = this.items.length && found.items[0]?.seq === this.items[0].seq && found.items[0]?.generation === this.items[0].generation;
      this.begun ??= found.items[0]?.time;
      // Entries never change: what is shown stays, so that what was opened stays open.
      const fresh = same ? found.items.slice(this.items.length) : found.items;
      const rows = fresh.map((entry) => this.row(entry));
      if (same) this.body.append(...rows);
      else put(this.body, rows);
      this.items = found.items;
      this.showPager();
    } catch (error) {
      if (!this.signal.aborted) put(this.told, trouble(error));
    }
  }

  row(entry) {
    const records = [
      ...entry.events.map((event) => record(event, "event")),
      ...entry.commands.map((command) => record(command, "command")),
    ];
    return h("tr", {},
      h("td", { class: "seq" }, entry.generation ? `${entry.generation}:${entry.seq}` : entry.seq),
      h("td", { class: "time" }, h("time", { title: absolute(entry.time), datetime: new Date(entry.time * 1000).toISOString() }, clockTime(entry.time)), h("small", {}, `+${duration(entry.time - this.begun)}`)),
      h("td", {}, records.length > SHOWN + 2 ? [records.slice(0, SHOWN), rest(records.slice(SHOWN))] : records));
  }

  showPager() {
    const last = this.items.at(-1);
    const go = (text, work, enabled) => h("button", { type: "button", class: "quiet", disabled: !enabled, onclick: () => { work(); this.load(); } }, text);
    const full = this.items.length >= PAGE && this.seen() < this.length;
    put(this.pager,
      h("span", { class: "range" }, this.items.length ? `Entries ${(this.before() + 1).toLocaleString("en")}–${this.seen().toLocaleString("en")} of ${(this.length ?? 0).toLocaleString("en")}` : ""),
      go("First", () => { this.trail = []; this.after = [-1, -1]; }, this.before()),
      go("Earlier", () => { this.after = this.trail.pop() ?? [last.generation, Math.max(-1, this.items[0].seq - PAGE - 1)]; }, this.before()),
      go("Later", () => { this.trail.push(this.after); this.after = [last.generation, last.seq]; }, full),
      go("Last", () => { this.trail = []; this.after = [last.generation, Math.max(-1, this.length - PAGE - 1)]; }, full));
    this.pager.hidden = (this.length ?? 0) <= PAGE;
  }

  /** How many entries are before this page; numbers have no gaps. */
  before() {
    return this.items.length ? this.items[0].seq - (this.offset ??= this.items[0].seq) : 0;
  }

  seen() { return this.before() + this.items.length; }
}

function record(found, side) {
  const rest = Object.fromEntries(Object.entries(found).filter(([name, value]) => !OWN.has(name) && !empty(value)));
  const title = [
    h("span", { class: `tag ${side}` }, words(found.type)),
    found.name && h("b", {}, found.name),
    found.call !== undefined && h("span", { class: "muted call" }, `call ${found.call}`),
    h("span", { class: "muted brief" }, summary(found)),
  ];
  if (!Object.keys(rest).length) return h("div", { class: "record" }, title);
  const opened = h("details", { class: "record", ontoggle: () => { if (opened.open && opened.childElementCount === 1) opened.append(json(rest)); } }, h("summary", {}, title));
  return opened;
}

/** The rest of a large entry, behind a button. */
function rest(records) {
  const more = h("button", { type: "button", class: "quiet", onclick: () => more.replaceWith(...records) }, `${records.length.toLocaleString("en")} more in this entry`);
  return more;
}

function summary(found) {
  if (found.failure) return failureText(found.failure).slice(0, 120);
  if (found.outcome) return summary(found.outcome);
  const coded = CODED.find((name) => found[name] !== undefined);
  if (coded) return brief(found[coded]);
  if (found.args?.length) return brief(found.args);
  if (found.due !== undefined) return absolute(found.due);
  return found.reason ?? found.workflow_id ?? found.text ?? found.key ?? "";
}

function empty(value) {
  if (value === null || value === "") return true;
  return typeof value === "object" && Object.keys(value).length === 0 && !JSON.isRawJSON?.(value);
}

function words(type) {
  const text = type.replace(/(?<=[a-z])([A-Z])/g, (letter) => ` ${letter.toLowerCase()}`);
  return text;
}
