// The engine: what it is, its queues and workers with their builds, what runs are found
// by, and the tree of its actors.

import { access, ask } from "./api.js";
import { duration, h, put, trouble, runLink } from "./dom.js";

const EVERY = 2000;
const SHOWN = 50;

export function actorsView(_, __, signal) {
  const page = new EnginePage(signal);
  page.round();
  return page.element;
}

class EnginePage {
  constructor(signal) {
    this.signal = signal;
    this.texts = {};
    this.folded = new Set(); // changed by hand, from how a node is at first
    this.whole = new Set();
    this.facts = h("dl", { class: "facts" });
    this.workers = h("div");
    this.keys = h("div");
    this.tree = h("div", { class: "tree" });
    this.told = h("div");
    this.element = h("article", { class: "engine-view" },
      h("h1", {}, "Engine"), this.told, this.facts,
      h("section", { class: "panel", "aria-label": "Queues and workers" }, h("h2", {}, "Queues and workers"), this.workers),
      h("section", { class: "panel", "aria-label": "Search attributes" }, h("h2", {}, "Search attributes"), this.keys),
      h("section", { class: "panel", "aria-label": "Actors" }, h("h2", {}, "Actors"), this.tree));
  }

  async round() {
    const { signal } = this;
    const told = [];
    try {
      const engine = await ask("engine/info", {}, { signal });
      this.showFacts(engine);
      const queues = [...new Set(engine.workers.flatMap((worker) => worker.queues))];
      const { workspace } = access;
      const [{ keys }, running, builds] = await Promise.all([
        ask("search_attributes/list", { workspace }, { signal }),
        ask("runs/count", { workspace, narrowed: { status: "RUNNING" }, group_by: "queue" }, { signal }),
        Promise.all(queues.map((queue) => ask("versions/get", { queue, workspace }, { signal }))),
      ]);
      this.showKeys(keys);
      const runningOn = new Map(running.groups.map(({ value, count }) => [value, count]));
      this.showWorkers(engine.workers, queues.map((queue, at) => ({ queue, running: runningOn.get(queue) ?? 0, sets: builds[at].sets })));
    } catch (error) {
      told.push(error);
    }
    try {
      this.showTree(await ask("actors/tree", {}, { signal }));
    } catch (error) {
      if (told[0]?.message !== error.message) told.push(error);
    }
    if (signal.aborted) return;
    const text = told.map((error) => error.message).join("\n");
    if (this.changed("told", text)) put(this.told, told.map(trouble));
    setTimeout(() => signal.aborted || this.round(), EVERY);
  }

  changed(name, text) {
    const before = this.texts[name];
    this.texts[name] = text;
    return before !== text;
  }

  showFacts(engine) {
    const facts = [
      ["everact", engine.version], ["Python", engine.python], ["Database", engine.database || "in memory"],
      ["Up for", duration(engine.uptime)], ["Runs in memory", engine.runs_in_memory.toLocaleString("en")],
      ["Runs put aside", h("a", { href: "#/runs?status=ASIDE" }, engine.runs_aside.toLocaleString("en"))],
      ["Actors", engine.actors.toLocaleString("en")],
      engine.disk_full && ["Disk", h("span", { class: "failed" }, "full: work is held until there is room")],
    ].filter(Boolean);
    if (this.changed("facts", JSON.stringify({ ...engine, now: 0, uptime: Math.floor(engine.uptime) }))) {
      put(this.facts, facts.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
    }
  }

  showKeys(keys) {
    if (!this.changed("keys", JSON.stringify(keys))) return;
    const names = Object.keys(keys);
    put(this.keys, names.length
      ? h("table", { class: "keys" }, h("thead", {}, h("tr", {}, ["Name", "Type"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, names.map((name) => h("tr", {}, h("td", {}, name), h("td", {}, keys[name].toLowerCase().replaceAll("_", " "))))))
      : h("p", { class: "muted" }, "None is declared in this workspace."));
  }

  showWorkers(workers, queues) {
    if (!this.changed("workers", JSON.stringify([workers, queues]))) return;
    const head = (...texts) => h("thead", {}, h("tr", {}, texts.map((text) => h("th", { scope: "col" }, text))));
    put(this.workers,
      h("table", {}, head("Worker", "Build ID", "Queues", "Slots in use", "Threads in use"), h("tbody", {}, workers.map((worker) => h("tr", {},
        h("td", {}, h("b", {}, worker.name)),
        h("td", {}, worker.build_id || h("span", { class: "muted" }, "–")),
        h("td", {}, worker.queues.join(", ")),
        h("td", {}, used(worker.busy, worker.slots, "slots")), h("td", {}, used(worker.busy_threads, worker.threads, "threads")))))),
      h("table", {}, head("Queue", "Running runs", "Workers", "Build sets, newest first"), h("tbody", {}, queues.map(({ queue, running, sets }) => h("tr", {},
        h("td", {}, h("a", { href: `#/runs?${new URLSearchParams({ queue })}` }, queue)),
        h("td", {}, running.toLocaleString("en")),
        h("td", {}, String(workers.filter((worker) => worker.queues.includes(queue)).length)),
        h("td", {}, setsShown(sets)))))));
  }

  showTree(tree) {
    if (!this.changed("tree", JSON.stringify(tree))) return;
    this.draw(tree);
  }

  draw(tree) {
    const focused = this.tree.contains(document.activeElement) ? document.activeElement.dataset.place : null;
    put(this.tree,
      this.nodes(tree.actors, "", tree),
      tree.left_out > 0 && h("p", { class: "note" }, `${tree.left_out.toLocaleString("en")} more actors are not shown.`));
    if (focused) [...this.tree.querySelectorAll("[data-place]")].find((found) => found.dataset.place === focused)?.focus();
  }

  nodes(actors, place, tree) {
    const all = this.whole.has(place);
    const shown = all ? actors : actors.slice(0, SHOWN);
    const seen = new Map();
    const items = shown.map((actor) => {
      const name = `${actor.class_name}:${actor.name ?? ""}`;
      const nth = seen.get(name) ?? 0;
      seen.set(name, nth + 1);
      return this.node(actor, `${place}/${name}#${nth}`, tree);
    });
    const rest = actors.length - shown.length;
    const more = rest > 0 && h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => { this.whole.add(place); this.draw(tree); } }, `Show ${rest.toLocaleString("en")} more`));
    return h("ul", {}, items, more);
  }

  node(actor, place, tree) {
    const { children } = actor;
    const line = [
      h("b", {}, actor.class_name), actor.name && h("span", { class: "actor-name" }, actor.name),
      actor.about && (actor.class_name === "RunActor" ? runLink(actor.about) : h("span", {}, actor.about)),
      h("span", { class: `state ${actor.state.toLowerCase()}` }, actor.state),
      actor.unread > 0 && h("span", { class: "muted" }, `${actor.unread} unread`),
      children.length > 0 && h("span", { class: "muted" }, `supervises ${children.length}`),
    ];
    if (!children.length) return h("li", {}, h("span", { class: "leaf" }, line));
    const atFirst = children.length <= SHOWN;
    const summary = h("summary", { "data-place": place }, line);
    const opened = h("details", {
      open: atFirst !== this.folded.has(place),
      ontoggle: () => { if (opened.open === atFirst) this.folded.delete(place); else this.folded.add(place); },
    }, summary, this.nodes(children, place, tree));
    return h("li", {}, opened);
  }
}

/** Sets of builds that may take each other's runs; the last set and ID are the default. */
function setsShown(sets) {
  if (!sets.length) return h("span", { class: "muted" }, "–");
  return h("ol", { class: "sets" }, [...sets].reverse().map((ids, at) => h("li", {},
    [...ids].reverse().map((id, nth) => [nth ? ", " : "", h("code", {}, id)]), at ? null : h("span", { class: "muted" }, " for new runs"))));
}

function used(busy, all, what) {
  return h("span", { class: "used" }, h("meter", { min: "0", max: String(all || 1), value: String(busy), "aria-label": `${what} in use` }), ` ${busy} of ${all}`);
}
