// The schedules: a page of them, asked for again and again; there is no stream of them.

import { access, ask } from "./api.js";
import { createScheduleDialog } from "./scheduling.js";
import { Filter } from "./filter.js";
import { address, both, h, moment, pill, put, runLink, say, trouble } from "./dom.js";
import { specWords } from "./words.js";

const EVERY = 5000;
const PAGE = 50;
const trail = new Map();
let typing = false;

export function schedulesView(_, query, signal) {
  const list = new ScheduleList(query, signal);
  list.round();
  // What was typed leads to another view; the box that it was typed into is a new one.
  if (typing) queueMicrotask(() => list.box.input.focus());
  typing = false;
  return list.element;
}

export function scheduleAddress(id) {
  return address(["schedule", id]);
}

class ScheduleList {
  constructor(query, signal) {
    this.signal = signal;
    this.filter = query.get("filter") ?? "";
    this.after = query.get("after") ?? "";
    this.body = h("tbody");
    this.told = h("div");
    this.pager = h("nav", { class: "pager", "aria-label": "Pages" });
    this.box = new Filter(this.filter, {
      fields: ["ScheduleId", "WorkflowType", "Paused", "Note"], signal,
      examples: ["Paused = true", "WorkflowType = 'import' AND Note STARTS_WITH 'until'"],
      changed: (text) => { typing = true; location.hash = address(["schedules"], { filter: text }); },
    });
    this.element = h("section", { class: "schedules-view" },
      h("div", { class: "head" }, h("h1", {}, "Schedules"),
        h("div", { class: "actions" }, h("button", { type: "button", onclick: () => createScheduleDialog() }, "New schedule"))),
      this.box.element, this.told,
      h("table", { class: "schedules" },
        h("thead", {}, h("tr", {}, ["Schedule ID", "State", "When", "Next", "Last action"].map((text) => h("th", { scope: "col" }, text)))),
        this.body),
      this.pager);
  }

  async round() {
    const { signal } = this;
    try {
      const found = await ask("schedules/list", {
        workspace: access.workspace, query: this.filter, limit: PAGE, next_page_token: this.after,
      }, { signal });
      put(this.told);
      this.box.refused(null);
      this.show(found);
    } catch (error) {
      if (signal.aborted) return;
      if (this.box.refused(error)) {
        put(this.body);
        return;
      }
      put(this.told, trouble(error));
    }
    setTimeout(() => signal.aborted || this.round(), EVERY);
  }

  show(found) {
    const text = JSON.stringify(found);
    if (text === this.shown) return;
    if (this.shown === undefined) say(`${found.schedules.length} schedules are shown.`);
    this.shown = text;
    const focused = this.body.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
    const rows = found.schedules.map(row);
    put(this.body, rows.length ? rows : h("tr", { class: "nothing" }, h("td", { colspan: "5" }, this.filter || this.after ? "No schedule matches." : "There is no schedule.")));
    if (focused) [...this.body.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)?.focus();
    this.showPager(found.next_page_token);
  }

  showPager(next) {
    const go = (text, after) => h("a", { href: address(["schedules"], { filter: this.filter, after }) }, text);
    if (next) trail.set(next, this.after);
    put(this.pager,
      this.after && go("First", ""), trail.has(this.after) && go("Before", trail.get(this.after)), next && go("More", next));
  }
}

function row(item) {
  const [next] = item.upcoming;
  const last = item.recent.at(-1);
  const words = specWords(item.spec);
  return h("tr", {},
    h("td", { class: "ids" }, h("a", { class: "row", href: scheduleAddress(item.id) }, item.id), h("small", {}, item.workflow)),
    h("td", { class: "status" }, pill(item.paused ? "PAUSED" : "ACTIVE"), item.note && h("small", {}, item.note)),
    h("td", { class: "when" }, words[0] ?? "–", words.length > 1 && h("small", {}, `and ${words.length - 1} more`)),
    h("td", { class: "next" }, next === undefined ? h("span", { class: "muted" }, "–") : [moment(next), h("small", {}, both(next))]),
    h("td", { class: "last" }, last ? [h("span", { class: "above" }, runLink(last.workflow_id, last.run_id)), h("small", {}, moment(last.taken_at), item.running.some((one) => one.run_id === last.run_id) && ", open")] : h("span", { class: "muted" }, "–")));
}
