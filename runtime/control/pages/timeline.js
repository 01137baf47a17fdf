// The picture of a run: its calls on a time axis, drawn from its spans.
//
// Many calls of one name share a lane until it is unfolded, so that the picture stays
// small however long the history is. Arrow keys move between lanes, dragging zooms.

import { absolute, brief, duration, h, now, put, relative, runAddress, s } from "./dom.js";
import { scaleOf } from "./scale.js";
import { failureText } from "./spans.js";

const ROW = 24;
const AXIS = 26;
const FOLD_ABOVE = 30;
const LANES = 60;
const UNFOLDED = 100;
const PATIENT = new Set(["timer", "event"]);
const WORDS = { open: "running", waiting: "waiting for its next attempt", done: "done", failed: "failed", cancelled: "cancelled", left: "still open when the run closed" };

export class Timeline {
  constructor() {
    this.unfolded = new Set();
    this.folding = true;
    this.zoom = null; // [from, to] in epoch seconds, or the whole run
    this.detail = h("div", { class: "detail", role: "tooltip", hidden: true });
    this.canvas = h("div", { class: "canvas" });
    this.legend = legend();
    this.note = h("p", { class: "note" });
    const tool = (label, text, work) => h("button", { type: "button", class: "quiet", title: label, "aria-label": label, onclick: () => { work(); this.draw(); } }, text);
    const waits = h("button", {
      type: "button", class: "quiet", "aria-pressed": "true", title: "Give long waits less room",
      onclick: () => { this.folding = !this.folding; waits.setAttribute("aria-pressed", this.folding); this.draw(); },
    }, "Fold waits");
    this.tools = h("div", { class: "tools" }, waits,
      tool("Zoom in", "+", () => this.scale(0.5)), tool("Zoom out", "−", () => this.scale(2)),
      tool("Earlier", "←", () => this.shift(-0.4)), tool("Later", "→", () => this.shift(0.4)),
      tool("Whole run", "Whole", () => { this.zoom = null; }));
    // A lane that is drawn anew under the pointer is never left: the canvas is.
    this.canvas.addEventListener("pointerleave", () => { this.detail.hidden = true; });
    this.element = h("div", { class: "timeline" }, this.tools, this.canvas, this.legend, this.note, this.detail);
    this.size = new ResizeObserver(() => this.draw());
    this.size.observe(this.canvas);
  }

  /** Draw what is known now; `skipped` entries are older than the picture. */
  show(spans, list, { open, skipped }) {
    this.data = { spans, list, open, skipped };
    this.draw();
  }

  // -- time ------------------------------------------------------------------------

  get whole() {
    const { spans, open } = this.data;
    const from = spans.begun ?? spans.last ?? now();
    const to = open ? Math.max(now(), spans.last ?? 0) : spans.closed?.time ?? spans.last ?? from;
    return [from, Math.max(to, from + 0.001)];
  }

  scale(by) {
    const [a, b] = this.zoom ?? this.whole;
    const half = ((b - a) * by) / 2;
    this.limit((a + b) / 2 - half, (a + b) / 2 + half);
  }

  shift(by) {
    const [a, b] = this.zoom ?? this.whole;
    this.limit(a + (b - a) * by, b + (b - a) * by);
  }

  limit(a, b) {
    const [from, to] = this.whole;
    const size = Math.max(b - a, 0.0005);
    const left = Math.min(Math.max(a, from), Math.max(to - size, from));
    this.zoom = size >= to - from ? null : [left, left + size];
  }

  // -- lanes -----------------------------------------------------------------------

  lanes() {
    const { spans, list } = this.data;
    const found = [];
    if (spans.messages.length) found.push({ key: "messages", label: "messages", marks: spans.messages, spans: [] });
    if (list.length <= FOLD_ABOVE) {
      for (const span of list) found.push(laneOf(span));
      return found;
    }
    const groups = new Map();
    for (const span of list) {
      const key = `${span.what}:${span.kind}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(span);
    }
    for (const [key, members] of groups) {
      if (members.length === 1) {
        found.push(laneOf(members[0]));
        continue;
      }
      const unfolded = this.unfolded.has(key);
      found.push({ key, label: `${members[0].kind} × ${members.length.toLocaleString("en")}`, spans: members, marks: [], fold: unfolded ? "open" : "closed" });
      if (unfolded) {
        for (const span of members.slice(0, UNFOLDED)) found.push({ ...laneOf(span), inner: true });
        const rest = members.slice(UNFOLDED);
        if (rest.length) found.push({ key: `${key}…`, label: `${rest.length.toLocaleString("en")} more`, spans: rest, marks: [], inner: true });
      }
    }
    return found;
  }

  // -- drawing ---------------------------------------------------------------------

  draw() {
    if (!this.data) return;
    const width = Math.floor(this.canvas.clientWidth);
    if (width < 60) return;
    const left = width < 560 ? 104 : 190;
    const [from, to] = this.zoom ?? this.whole;
    const { spans, list } = this.data;
    const moments = spans.messages.map((mark) => mark.time);
    for (const span of list) moments.push(span.start, span.end ?? to, ...span.marks.map((mark) => mark.time));
    const scale = scaleOf({ from, to, left, right: width - 14, list, moments, folding: this.folding });
    const { x } = scale;
    let lanes = this.lanes();
    const hidden = Math.max(0, lanes.length - LANES - this.unfolded.size * UNFOLDED);
    lanes = lanes.slice(0, lanes.length - hidden);
    const height = AXIS + lanes.length * ROW + 6;
    const picture = s("svg", { width, height, viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": "Timeline of the run" });
    const clip = s("clipPath", { id: "plot" }, s("rect", { x: left - 6, y: 0, width: width - left + 6, height }));
    picture.append(s("defs", {}, clip), this.axis(scale, height));
    const active = this.element.contains(document.activeElement) ? document.activeElement.dataset?.key : null;
    lanes.forEach((lane, at) => picture.append(this.lane(lane, at, x, left, width)));
    const stops = [...picture.querySelectorAll("g.lane")];
    const focused = stops.find((lane) => lane.dataset.key === active) ?? stops[0];
    focused?.setAttribute("tabindex", "0");
    picture.addEventListener("keydown", (event) => this.key(event, stops));
    this.drag(picture, scale.time, left);
    if (lanes.length) put(this.canvas, picture);
    else put(this.canvas);
    this.tools.hidden = this.legend.hidden = !lanes.length;
    if (active && focused?.dataset.key === active) focused.focus({ preventScroll: true });
    const notes = [];
    if (this.data.skipped) notes.push(`The picture leaves out the first ${this.data.skipped.toLocaleString("en")} entries of the journal.`);
    if (hidden) notes.push(`${hidden.toLocaleString("en")} more lanes are not drawn.`);
    if (!lanes.length) notes.push(this.data.open ? "The run has called nothing yet." : "The run called nothing.");
    put(this.note, notes.join(" "));
    this.note.hidden = !notes.length;
  }

  axis({ parts, perSecond, x }, height) {
    const group = s("g", { class: "axis" });
    const step = niceStep(110 / perSecond);
    const begun = this.whole[0];
    let last = -Infinity;
    parts.forEach((part, nth) => {
      if (part.folded) {
        const middle = part.x + part.width / 2;
        group.append(
          s("rect", { class: "wait", x: part.x + 2, y: AXIS - 4, width: part.width - 4, height: height - AXIS }),
          s("text", { class: "wait", x: middle, y: 15, "text-anchor": "middle" }, duration(part.b - part.a).split(" ").slice(0, 2).join(" ")));
        last = part.x + part.width;
        return;
      }
      // After a wait, times are counted from its end.
      const from = nth ? part.a : begun;
      for (let at = from + Math.ceil((part.a - from) / step) * step; at <= part.b + step * 1e-6; at += step) {
        const place = x(Math.min(at, part.b));
        const text = `${nth && at > from ? "+" : ""}${tick(at - from, step)}`;
        const width = text.length * 6.5;
        if (nth && at === from) continue;
        group.append(s("line", { x1: place, x2: place, y1: AXIS - 4, y2: height - 4 }));
        if (place - width / 2 < last + 8 || place + width / 2 > parts.at(-1).x + parts.at(-1).width + 12) continue;
        if (parts[nth + 1]?.folded && place + width / 2 > parts[nth + 1].x) continue;
        group.append(s("text", { x: place, y: 15, "text-anchor": "middle" }, text));
        last = place + width / 2;
      }
    });
    return group;
  }

  lane(lane, at, x, left, width) {
    const y = AXIS + at * ROW;
    const group = s("g", { class: `lane ${lane.inner ? "inner" : ""}`, tabindex: "-1", role: lane.fold ? "button" : "img", "aria-label": describe(lane).join(", "), "aria-expanded": lane.fold ? String(lane.fold === "open") : null });
    group.dataset.key = lane.key;
    const sign = { open: "▾ ", closed: "▸ " }[lane.fold] ?? "";
    const room = Math.floor((left - (lane.inner ? 22 : 12)) / 7);
    const label = `${sign}${lane.label}`;
    group.append(
      s("rect", { class: "back", x: 0, y, width, height: ROW }),
      s("text", { class: "label", x: lane.inner ? 14 : 4, y: y + 16 }, label.length > room ? `${label.slice(0, room - 1)}…` : label));
    const plot = s("g", { "clip-path": "url(#plot)" });
    plot.append(...bars(lane.spans, x, y), ...marks(lane, x, y));
    group.append(plot);
    const show = (event) => this.tell(lane, event, y);
    group.addEventListener("pointerenter", show);
    group.addEventListener("pointermove", show);
    group.addEventListener("pointerleave", () => { this.detail.hidden = true; });
    group.addEventListener("focus", show);
    group.addEventListener("blur", () => { this.detail.hidden = true; });
    group.addEventListener("click", () => this.act(lane));
    return group;
  }

  act(lane) {
    if (this.dragged) return;
    if (lane.fold) {
      if (!this.unfolded.delete(lane.key)) this.unfolded.add(lane.key);
      this.draw();
    } else if (lane.spans.length === 1 && lane.spans[0].what === "child") {
      location.hash = runAddress(lane.spans[0].workflowId, lane.spans[0].runId);
    }
  }

  key(event, stops) {
    const at = stops.indexOf(event.target);
    if (at < 0) return;
    const next = { ArrowDown: stops[at + 1], ArrowUp: stops[at - 1], Home: stops[0], End: stops.at(-1) }[event.key];
    if (next) {
      event.preventDefault();
      event.target.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      event.target.dispatchEvent(new MouseEvent("click"));
    } else if (event.key === "Escape") {
      this.detail.hidden = true;
    }
  }

  tell(lane, event, y) {
    put(this.detail, describe(lane).map((line, at) => h(at ? "div" : "strong", {}, line)));
    this.detail.hidden = false;
    const room = this.element.getBoundingClientRect();
    const top = this.canvas.offsetTop + y + ROW + 4;
    const left = event.type === "focus" ? 110 : event.clientX - room.left + 12;
    this.detail.style.top = `${top}px`;
    this.detail.style.left = `${Math.max(0, Math.min(left, room.width - this.detail.offsetWidth - 4))}px`;
  }

  drag(picture, timeAt, left) {
    let begun = null;
    let box = null;
    const at = (event) => event.clientX - picture.getBoundingClientRect().left;
    picture.addEventListener("pointerdown", (event) => {
      this.dragged = false;
      if (event.button === 0 && event.pointerType === "mouse" && at(event) >= left) begun = at(event);
    });
    picture.addEventListener("pointermove", (event) => {
      if (begun === null || Math.abs(at(event) - begun) < 6) return;
      this.dragged = true;
      box ??= picture.appendChild(s("rect", { class: "chosen", y: 0, height: "100%" }));
      box.setAttribute("x", Math.min(begun, at(event)));
      box.setAttribute("width", Math.abs(at(event) - begun));
    });
    const done = (event) => {
      if (box) {
        const [a, b] = [timeAt(begun), timeAt(at(event))].sort((p, q) => p - q);
        this.limit(a, b);
        this.draw();
      }
      begun = box = null;
    };
    picture.addEventListener("pointerup", done);
    picture.addEventListener("pointerleave", done);
  }
}

function legend() {
  const sign = (name, text) => h("span", {}, s("svg", { viewBox: "0 0 18 10", "aria-hidden": "true" }, s("rect", { class: `bar ${name}`, width: 18, height: 10, rx: 2 })), text);
  return h("div", { class: "legend" }, sign("task done", "task"), sign("task open", "running"), sign("task waiting", "waits to be tried again, or completed elsewhere"), sign("task failed", "failed"), sign("task cancelled", "cancelled"), sign("timer done", "timer, event"), sign("child done", "child, message, update"));
}

function laneOf(span) {
  return { key: `${span.what === "update" ? "update " : ""}${span.generation}.${span.call}`, label: span.name, spans: [span], marks: span.marks };
}

/** One path for each state, however many spans there are. */
function bars(spans, x, y) {
  const paths = {};
  for (const span of spans) {
    const a = x(span.start);
    const b = Math.max(x(span.end ?? now()), a + 2);
    const name = `${span.what} ${span.state}`;
    (paths[name] ??= []).push(`M${a.toFixed(1)} ${y + 6}H${b.toFixed(1)}V${y + 18}H${a.toFixed(1)}Z`);
  }
  return Object.entries(paths).map(([name, parts]) => s("path", { class: `bar ${name}`, d: parts.join("") }));
}

function marks(lane, x, y) {
  return lane.marks.slice(-400).map((mark) =>
    mark.kind === "failed" || mark.kind === "lost"
      ? s("path", { class: `mark ${mark.kind}`, d: `M${x(mark.time) - 4} ${y + 8}l8 8m0 -8l-8 8` })
      : s("circle", { class: `mark ${mark.kind}`, cx: x(mark.time), cy: y + 12, r: mark.kind === "beat" ? 2 : 4.5 }));
}

/** What there is to say of a lane, line by line. */
function describe(lane) {
  if (lane.key === "messages") {
    return ["messages", ...lane.marks.slice(-8).map((m) => `${m.text}${m.value?.length ? ` ${brief(m.value, 60)}` : ""}, ${relative(m.time)}`)];
  }
  if (lane.spans.length > 1) {
    const counts = {};
    for (const span of lane.spans) counts[span.state] = (counts[span.state] ?? 0) + 1;
    const text = Object.entries(counts).map(([state, n]) => `${n.toLocaleString("en")} ${WORDS[state]}`);
    return [lane.label, ...text, lane.fold ? `press to ${lane.fold === "open" ? "fold" : "unfold"}` : ""].filter(Boolean);
  }
  const [span] = lane.spans;
  const took = duration((span.end ?? now()) - span.start);
  const lines = [`${span.name} · ${span.what} ${span.call}`, `${state(span)}, ${span.end ? "took" : "for"} ${took}`, `from ${absolute(span.start)}`];
  if (span.what === "task" && span.attempts > 1) lines.push(`${span.attempts} attempts`);
  if (span.what === "timer" && span.due !== null && !span.end) lines.push(`due ${relative(span.due)}, ${absolute(span.due)}`);
  if (span.update?.args?.length) lines.push(brief(span.update.args));
  if (span.task?.next_attempt_at) lines.push(`next attempt ${relative(span.task.next_attempt_at)}`);
  if (span.what === "child" || span.what === "message") lines.push(`run ${span.workflowId}`);
  if (span.failure) lines.push(failureText(span.failure).slice(0, 300));
  else if (span.marks.length) lines.push(span.marks.at(-1).text.slice(0, 300));
  return lines;
}

function state(span) {
  if (span.task?.state === "elsewhere") return "waiting to be completed from outside";
  return PATIENT.has(span.what) && span.state === "open" ? "waiting" : WORDS[span.state];
}

function niceStep(least) {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500].map((ms) => ms / 1000)
    .concat([1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400]);
  return steps.find((step) => step >= least) ?? Math.ceil(least / 86400) * 86400;
}

function tick(elapsed, step) {
  if (elapsed < step / 2) return "0";
  if (step < 1 && elapsed < 10) return elapsed < 1 ? `${Math.round(elapsed * 1000)} ms` : `${elapsed.toFixed(step < 0.1 ? 2 : 1)} s`;
  return elapsed < 60 ? `${Number(elapsed.toFixed(3))} s` : duration(elapsed);
}
