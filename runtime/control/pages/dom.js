// Elements, times and values. Whatever comes from outside becomes a text node or the
// value of a harmless attribute; nothing here parses text as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** An element: `on…` are listeners, false and null leave an attribute out. */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An element of a picture. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** Put `children` in place of what `element` holds. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false));
  return element;
}

/** Tell those who do not see the page. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

// -- addresses ---------------------------------------------------------------------

export function address(path, query = {}) {
  const found = Object.entries(query).filter(([, v]) => v !== "" && v !== null && v !== undefined);
  const text = new URLSearchParams(found).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${text ? `?${text}` : ""}`;
}

export function runAddress(workflowId, runId = "") {
  return address(runId ? ["run", workflowId, runId] : ["run", workflowId]);
}

export function runLink(workflowId, runId = "", text = workflowId) {
  return h("a", { href: runAddress(workflowId, runId), class: "id" }, text);
}

// -- statuses ----------------------------------------------------------------------

export const STATUSES = {
  RUNNING: "Running",
  COMPLETED: "Completed",
  FAILED: "Failed",
  CANCELLED: "Cancelled",
  TERMINATED: "Terminated",
  TIMED_OUT: "Timed out",
  CONTINUED_AS_NEW: "Continued",
};
const WORDS = { ...STATUSES, ASIDE: "Put aside", ACTIVE: "Active", PAUSED: "Paused" };

export function pill(status, aside = "") {
  const shown = aside && status === "RUNNING" ? "ASIDE" : status;
  return h("span", { class: `pill ${shown.toLowerCase()}`, title: aside || null }, WORDS[shown] ?? shown);
}

// -- times -------------------------------------------------------------------------

let ahead = 0;

/** The engine's clock, in epoch seconds: it may differ from that of this machine. */
export function now() {
  return Date.now() / 1000 + ahead;
}

export function setClock(engineNow) {
  ahead = engineNow - Date.now() / 1000;
}

const absoluteForm = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clockForm = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
const relativeForm = new Intl.RelativeTimeFormat("en", { numeric: "always" });
const UNITS = [["year", 31556952], ["month", 2629746], ["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function absolute(at) {
  return absoluteForm.format(at * 1000);
}

/** A moment by the clock of this browser, and by others. */
export function local(at) {
  return zoned(at, undefined);
}

export function utc(at) {
  return `${zoned(at, "UTC")} UTC`;
}

/** The zone of this browser, or nothing where that is UTC. */
export function elsewhere() {
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return ["UTC", "Etc/UTC"].includes(timeZone) ? "" : timeZone;
}

/** A moment by the clock of this browser and, below it, by UTC. */
export function both(at) {
  return [elsewhere() && local(at), h("small", {}, utc(at))];
}

/** Null if the browser does not know the zone. */
export function zoned(at, timeZone) {
  try {
    return new Intl.DateTimeFormat(undefined, { weekday: "short", day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23", timeZone }).format(at * 1000);
  } catch {
    return null;
  }
}

export function clockTime(at) {
  return `${clockForm.format(at * 1000)}.${String(Math.floor((at % 1) * 1000)).padStart(3, "0")}`;
}

export function relative(at) {
  const away = at - now();
  if (Math.abs(away) < 1.5) return "now";
  // What would round to 60 minutes is an hour.
  const [unit, size] = UNITS.find(([, size]) => Math.abs(away) >= size * 0.992) ?? UNITS.at(-1);
  return relativeForm.format(Math.round(away / size), unit);
}

/** A moment, shown relative to now and, on hovering, as it is. */
export function moment(at, { both = false } = {}) {
  if (at === null || at === undefined) return h("span", { class: "muted" }, "–");
  const iso = new Date(at * 1000).toISOString();
  const shown = h("time", { datetime: iso, title: absolute(at), "data-at": at }, relative(at));
  return both ? h("span", { class: "moment" }, shown, h("small", {}, absolute(at))) : shown;
}

setInterval(() => {
  for (const shown of document.querySelectorAll("time[data-at]")) {
    const text = relative(Number(shown.dataset.at));
    if (shown.textContent !== text) shown.textContent = text;
  }
}, 1000);

export function duration(seconds) {
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(seconds < 10 ? 2 : 1)} s`;
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.round(seconds);
  const found = [];
  for (const [name, size] of parts) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count) found.push(`${count} ${name}`);
  }
  return found.slice(0, 2).join(" ");
}

// -- values ------------------------------------------------------------------------

const SHORT = 90;
const LONGEST = 4000;

/** A value as JSON text, cut if it is long, with a button for the whole. */
export function json(value) {
  const line = JSON.stringify(value) ?? "";
  const text = line.length <= SHORT ? line : JSON.stringify(value, null, 2);
  const shown = h("pre", { class: "json", tabindex: text.includes("\n") ? "0" : null });
  if (text.length <= LONGEST) return put(shown, text);
  const more = h("button", { type: "button", class: "quiet", onclick: () => put(shown, text) },
    `Show all ${text.length.toLocaleString()} characters`);
  return put(shown, text.slice(0, LONGEST), "…\n", more);
}

/** Search attributes by name, or null if there are none. */
export function attributesShown(attributes, { longest = 200, most = 100 } = {}) {
  const found = Object.entries(attributes ?? {});
  if (!found.length) return null;
  const rest = found.length > most && h("li", {}, `and ${found.length - most} more`);
  return h("ul", { class: "attributes" }, found.slice(0, most).map(([name, { kind, value }]) => {
    const text = kind === "DATETIME" ? absolute(value) : Array.isArray(value) ? value.join(", ") : String(value);
    return h("li", { title: text.length > longest ? text : null }, h("span", { class: "muted" }, name), " ", text.length > longest ? `${text.slice(0, longest)}…` : text);
  }), rest);
}

/** A value on one short line. */
export function brief(value, longest = 80) {
  const text = JSON.stringify(value) ?? "";
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

/** An error of the API, or of reaching it. */
export function trouble(error) {
  return h("p", { class: "trouble", role: "alert" }, error.message);
}

/** Call `work` soon, once for many calls; `wait` is milliseconds, or a function. */
export function soon(work, wait) {
  let timer = 0;
  const call = () => {
    if (!timer) timer = setTimeout(() => { timer = 0; work(); }, typeof wait === "function" ? wait() : wait);
  };
  call.stop = () => clearTimeout(timer);
  return call;
}
