// The list of runs: one page of it, kept live by the stream of changes.
//
// Only the page that is shown is in the document, however many runs there are. Other
// pages are reached by the token that came with one; the way back is remembered in
// `trail`. Only the engine knows which runs a filter finds: so a filtered page is read
// again when any run changes, and any other when new runs have pushed others off it.

import { access, ask, follow } from "./api.js";
import { Filter } from "./filter.js";
import { STATUSES, address, attributesShown, h, moment, pill, put, runAddress, say, soon, trouble } from "./dom.js";

const SIZES = ["50", "100", "200"];
const FLUSH = 250;
const ATTRIBUTES = 6;
const FIELDS = [
  "workflow_id", "run_id", "workflow", "kind", "status", "queue", "start_time", "execution_time", "close_time", "history_length",
  "parent_workflow_id", "parent_run_id", "root_run_id", "run_name", "schedule_id", "nominal_time", "build_ids", "put_aside", "metadata.NAME",
];
const EXAMPLES = [
  "status = 'failed' AND start_time > '2026-01-31T12:00:00Z'",
  "workflow_id STARTS_WITH 'order-' ORDER BY start_time DESC",
];
const trail = new Map();

/** The element of the view; it keeps itself up to date until `signal`. */
export function runsView(_, query, signal) {
  const list = new RunList(query, signal);
  list.load();
  list.watch();
  return list.element;
}

class RunList {
  constructor(query, signal) {
    this.signal = signal;
    this.rows = new Map();
    this.changes = new Map();
    this.read(query);
    // Counting reads the whole index: with many runs it is done less often.
    this.counting = 0;
    this.searching = 0;
    this.again = soon(() => this.load({ quietly: true }), () => Math.max(1000, 20 * this.searching));
    this.tally = soon(() => this.count(), () => Math.max(2000, 40 * this.counting));
    this.flush = soon(() => this.take(), FLUSH);
    this.build();
    const regular = setInterval(() => this.load({ quietly: true }), 15000);
    signal.addEventListener("abort", () => clearInterval(regular));
    document.addEventListener("keydown", (event) => this.key(event), { signal });
  }

  read(query) {
    const status = query.get("status") ?? "";
    const size = query.get("size");
    this.asked = {
      status: status in STATUSES || status === "ASIDE" ? status : "",
      workflow: query.get("workflow") ?? "",
      queue: query.get("queue") ?? "",
      prefix: query.get("prefix") ?? "",
      filter: query.get("filter") ?? "",
      size: SIZES.includes(size) ? size : "",
      after: /^[\w-]+$/.test(query.get("after") ?? "") ? query.get("after") : "",
      from: /^\d+$/.test(query.get("from") ?? "") ? query.get("from") : "",
    };
  }

  get size() { return Number(this.asked.size || 50); }

  // -- what is there from the beginning --------------------------------------------

  build() {
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Status" });
    this.body = h("tbody");
    this.pager = h("nav", { class: "pager", "aria-label": "Pages" });
    this.told = h("div");
    this.box = new Filter(this.asked.filter, {
      fields: FIELDS, examples: EXAMPLES, signal: this.signal,
      changed: (filter) => this.go({ filter }),
    });
    this.table = h("table", { class: "runs" },
      h("thead", {}, h("tr", {}, ["Workflow ID", "Status", "Workflow", "Queue", "Started", "Closed"].map((text) => h("th", { scope: "col" }, text)))),
      this.body);
    this.element = h("section", { class: "runs-view" },
      h("h1", {}, "Runs"), this.chips, this.filters(), this.box.element, this.told, this.table, this.pager);
    this.showChips();
  }

  filters() {
    const text = (name, label, hint) => {
      const changed = soon(() => this.go({ [name]: input.value.trim() }), 300);
      const input = h("input", {
        type: "search", id: `filter-${name}`, list: `known-${name}`, autocomplete: "off",
        spellcheck: "false", placeholder: hint, oninput: changed,
      });
      input.value = this.asked[name];
      return h("div", { class: "field" }, h("label", { for: input.id }, label), input);
    };
    const sizes = h("select", { id: "filter-size", onchange: () => this.go({ size: sizes.value }) },
      SIZES.map((size) => h("option", { value: size, selected: size === String(this.size) }, size)));
    const known = h("datalist", { id: "known-workflow" });
    const queues = h("datalist", { id: "known-queue" });
    this.offer(known, queues);
    return h("form", { class: "filters", role: "search", "aria-label": "Runs", onsubmit: (event) => event.preventDefault() },
      text("prefix", "ID begins with", "Press / to type here"),
      text("workflow", "Workflow", "Any"), text("queue", "Queue", "Any"),
      h("div", { class: "field narrow" }, h("label", { for: "filter-size" }, "Per page"), sizes), known, queues);
  }

  async offer(workflows, queues) {
    try {
      const [names, engine] = await Promise.all([ask("engine/definitions"), ask("engine/info")]);
      const options = (texts) => texts.map((value) => h("option", { value }));
      put(workflows, options(names.workflows.map((w) => w.name)));
      put(queues, options([...new Set(engine.workers.flatMap((w) => w.queues))]));
    } catch {
      // They are only a help; the list itself tells what is wrong.
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    const typing = event.target.closest?.("input, textarea, select");
    if (event.key === "/" && !typing) {
      event.preventDefault();
      this.element.querySelector("#filter-prefix").select();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const links = [...this.body.querySelectorAll("a.row")];
      const at = links.indexOf(document.activeElement);
      if (at < 0) return;
      event.preventDefault();
      links[at + (event.key === "ArrowDown" ? 1 : -1)]?.focus();
    }
  }

  // -- going elsewhere -------------------------------------------------------------

  address(changes) {
    return address(["runs"], { ...this.asked, after: "", from: "", ...changes });
  }

  /** Show what `changes` ask for, without losing the focus. */
  go(changes) {
    const next = this.address(changes);
    if (next === this.address(this.asked)) return;
    history[["after", "status", "filter"].some((name) => name in changes) ? "pushState" : "replaceState"](null, "", next);
    const streamed = [this.asked.workflow, this.asked.queue].join("\n");
    this.read(new URLSearchParams(next.split("?")[1] ?? ""));
    this.going = true;
    this.showChips();
    this.load();
    if (streamed !== [this.asked.workflow, this.asked.queue].join("\n")) this.watch();
  }

  link(text, changes, attributes = {}) {
    return h("a", {
      href: this.address(changes), ...attributes,
      onclick: (event) => {
        if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
        event.preventDefault();
        this.go(changes);
      },
    }, text);
  }

  // -- a page ----------------------------------------------------------------------

  /** What the runs of any status must be; with `narrowed`, those that are shown. */
  wanted(narrowed = {}) {
    const { workflow, queue, prefix, filter } = this.asked;
    return {
      workspace: access.workspace, query: filter,
      narrowed: { workflow: workflow || null, queue: queue || null, id_prefix: prefix || null, ...narrowed },
    };
  }

  async load({ quietly = false } = {}) {
    const turn = (this.turn = Symbol());
    try {
      const found = await this.search();
      if (turn !== this.turn) return;
      this.next = found.next_page_token;
      this.more = this.next !== "";
      put(this.told);
      this.box.refused(null);
      this.going = false;
      this.show(found.runs, quietly && this.asked.filter !== "");
      if (!quietly) say(`${this.rows.size} runs are shown.`);
      if (quietly) this.tally();
      else this.count();
    } catch (error) {
      if (this.signal.aborted || turn !== this.turn) return;
      if (this.box.refused(error)) {
        this.going = this.more = false;
        this.counts = this.total = undefined;
        this.showChips();
        this.show([]);
        return;
      }
      put(this.told, trouble(error));
      if (!error.status) setTimeout(() => this.signal.aborted || this.load({ quietly: true }), 2000);
    }
  }

  async search() {
    const { status, after, filter } = this.asked;
    const narrowed = status === "ASIDE" ? { put_aside: true } : { status: status || null };
    const begun = performance.now();
    const found = await ask("runs/search", {
      ...this.wanted(narrowed), newest: !filter, page_size: this.size, next_page_token: after,
    }, { signal: this.signal });
    this.searching = performance.now() - begun;
    return found;
  }

  show(items, flash = false) {
    const before = this.rows;
    this.rows = new Map();
    for (const item of items) {
      const row = before.get(item.run_id) ?? new Row();
      row.show(item, flash);
      this.rows.set(item.run_id, row);
    }
    this.arrange();
  }

  /** Make the table hold exactly the rows, and move none that is in its place. */
  arrange() {
    let place = this.body.firstElementChild;
    const wanted = this.rows.size ? [...this.rows.values()].map((row) => row.element) : [this.nothing()];
    const kept = new Set(wanted);
    for (const shown of [...this.body.children]) if (!kept.has(shown)) shown.remove();
    place = this.body.firstElementChild;
    for (const element of wanted) {
      if (element === place) place = place.nextElementSibling;
      else this.body.insertBefore(element, place);
    }
    this.showPager();
  }

  nothing() {
    const { size: _, from: __, ...asked } = this.asked;
    const matches = Object.values(asked).some(Boolean) ? "No run matches." : "No run was started yet.";
    const text = this.box.wrong.hidden ? matches : "Nothing is shown for a filter that cannot be read.";
    return h("tr", { class: "nothing" }, h("td", { colspan: "6" }, text));
  }

  showPager() {
    if (this.going) return; // the rows are not yet those that were asked for
    const { after } = this.asked;
    const from = Number(this.asked.from || 0);
    const beyond = this.total === undefined || this.total > from + this.rows.size;
    const parts = [];
    if (after) parts.push(this.link(this.asked.filter ? "First" : "Newest", { after: "", from: "" }));
    if (trail.has(after)) {
      const newer = trail.get(after);
      parts.push(this.link(this.asked.filter ? "Before" : "Newer", { after: newer, from: newer ? String(Math.max(0, from - this.size)) : "" }));
    }
    if (this.more && beyond && this.rows.size) {
      trail.set(this.next, after);
      parts.push(this.link(this.asked.filter ? "Next" : "Older", { after: this.next, from: String(from + this.rows.size) }, { rel: "next" }));
    }
    const count = this.rows.size;
    const total = this.total === undefined ? "" : ` of ${this.total.toLocaleString("en")}`;
    const range = count ? `${(from + 1).toLocaleString("en")}–${(from + count).toLocaleString("en")}${total}` : "";
    const text = `${range}|${parts.map((p) => p.textContent + p.getAttribute("href"))}`;
    if (text === this.paged) return;
    this.paged = text;
    const focused = this.pager.contains(document.activeElement) ? document.activeElement.textContent : "";
    put(this.pager, h("span", { class: "range" }, range), parts);
    if (focused) (parts.find((p) => p.textContent === focused) ?? parts.at(-1))?.focus();
  }

  // -- counts ----------------------------------------------------------------------

  async count() {
    const begun = performance.now();
    const { filter } = this.asked;
    try {
      const [every, aside] = await Promise.all([{}, { put_aside: true }].map((narrowed) =>
        ask("runs/count", { ...this.wanted(narrowed), group_by: "status" }, { signal: this.signal })));
      this.counting = performance.now() - begun;
      if (filter !== this.asked.filter) return;
      const named = every.groups.map(({ value, count }) => [value.toUpperCase(), count]);
      this.counts = { ...Object.fromEntries(named), ASIDE: aside.count, "": every.count };
    } catch {
      return; // the list tells what is wrong
    }
    this.total = this.counts[this.asked.status] ?? 0;
    this.showChips();
    this.showPager();
  }

  showChips() {
    const names = { "": "All", ...STATUSES, ASIDE: "Put aside" };
    if (!this.chips.childElementCount) {
      put(this.chips, Object.entries(names).map(([status, text]) =>
        this.link([h("span", { class: "dot" }), text, h("span", { class: "count" })], { status },
          { class: `chip ${status.toLowerCase() || "all"}`, "data-status": status })));
    }
    for (const chip of this.chips.children) {
      const { status } = chip.dataset;
      chip.setAttribute("href", this.address({ status }));
      chip.setAttribute("aria-current", status === this.asked.status ? "true" : "false");
      chip.querySelector(".count").textContent = this.counts ? (this.counts[status] ?? 0).toLocaleString("en") : "";
    }
  }

  // -- changes ---------------------------------------------------------------------

  async watch() {
    this.watching?.abort();
    const watching = (this.watching = new AbortController());
    this.signal.addEventListener("abort", () => watching.abort());
    const { workspace, narrowed: { workflow, queue } } = this.wanted();
    try {
      await follow("runs/watch", { workspace, workflow, queue },
        (item) => {
          if (this.asked.filter) { this.again(); return; }
          this.changes.set(item.key, item);
          this.flush();
        },
        { signal: watching.signal, again: () => this.load({ quietly: true }) });
    } catch (error) {
      if (!this.signal.aborted) put(this.told, trouble(error));
    }
  }

  take() {
    if (this.signal.aborted || this.asked.filter) { this.changes.clear(); return; }
    if (this.going) { this.flush(); return; }
    const changed = [...this.changes.values()].sort((a, b) => a.key - b.key);
    this.changes.clear();
    const fresh = [];
    const newest = [...this.rows.values()][0]?.item.key ?? -1;
    for (const item of changed) {
      const row = this.rows.get(item.run_id);
      if (row) row.show(item, true);
      else if (!this.asked.after && item.key > newest && this.matches(item)) fresh.push(item);
    }
    if (fresh.length) {
      const items = [...fresh.reverse(), ...[...this.rows.values()].map((row) => row.item)];
      if (items.length > this.size) this.again(); // for a page of its size, and its token
      // The token that is here goes on after the last row: until then it stays shown.
      if (items.length > 2 * this.size) {
        items.length = this.size;
        this.more = false;
      }
      this.show(items);
    }
    this.tally();
  }

  matches(item) {
    const { status, prefix } = this.asked;
    const fits = !status || (status === "ASIDE" ? item.aside && item.status === "RUNNING" : item.status === status);
    return fits && item.workflow_id.startsWith(prefix);
  }
}

class Row {
  constructor() {
    this.element = h("tr");
  }

  show(item, flash = false) {
    // What the stream of changes does not tell is not shown.
    const { history_length, memo, begin_at, parent_workflow_id, parent_run_id, ...told } = item;
    const text = JSON.stringify(told);
    if (text === this.text) return;
    flash &&= this.text !== undefined;
    const { element } = this;
    const focused = element.contains(document.activeElement);
    this.text = text;
    this.item = item;
    const link = h("a", { class: "row", href: runAddress(item.workflow_id, item.run_id) }, item.workflow_id);
    put(element,
      h("td", { class: "ids" }, link, h("small", {}, item.run_name), attributesShown(item.attributes, { longest: 40, most: ATTRIBUTES })),
      h("td", { class: "status" }, pill(item.status, item.aside)),
      h("td", { class: "name" }, item.workflow),
      h("td", { class: "queue" }, item.queue),
      h("td", { class: "started" }, moment(item.started_at, { both: true })),
      h("td", { class: "closed" }, moment(item.closed_at, { both: true })));
    if (focused) link.focus();
    if (flash) {
      element.classList.remove("changed");
      requestAnimationFrame(() => element.classList.add("changed"));
    }
  }
}
