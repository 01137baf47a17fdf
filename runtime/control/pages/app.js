// The frame: which view is shown, whether the engine answers, light and dark.
//
// A view is a function of (place, query, signal) that returns its element; `signal`
// ends it. Views end when the page was hidden for a while, so that a forgotten tab holds
// no stream; but the form that starts a run keeps what was typed.

import { actorsView } from "./actors.js";
import { access, ask } from "./api.js";
import { accessDialog } from "./dialogs.js";
import { h, put, setClock } from "./dom.js";
import { runView } from "./run.js";
import { runsView } from "./runs.js";
import { scheduleView } from "./schedule.js";
import { schedulesView } from "./schedules.js";
import { startView } from "./start.js";

const VIEWS = { runs: runsView, run: runView, schedules: schedulesView, schedule: scheduleView, actors: actorsView, start: startView };
const TITLES = { runs: "Runs", schedules: "Schedules", actors: "Engine", start: "Start a run" };
const ABOVE = { run: "runs", schedule: "schedules" };
const FORGOTTEN = 60_000;
const main = document.getElementById("main");
const link = document.getElementById("link");

let ending = new AbortController();

function show() {
  ending.abort();
  ending = new AbortController();
  const { signal } = ending;
  const [path, text = ""] = location.hash.replace(/^#\/?/, "").split("?");
  let place;
  try {
    place = path.split("/").map(decodeURIComponent);
  } catch {
    place = [""];
  }
  const name = place[0] || "runs";
  const view = Object.hasOwn(VIEWS, name) ? VIEWS[name] : null;
  document.title = `${TITLES[name] ?? place[1] ?? ""} · everact`;
  for (const shown of document.querySelectorAll("nav a")) {
    const here = shown.dataset.view === (ABOVE[name] ?? name);
    if (here) shown.setAttribute("aria-current", "page");
    else shown.removeAttribute("aria-current");
  }
  if (!view) put(main, h("p", {}, "There is no such view. ", h("a", { href: "#/runs" }, "All runs")));
  else put(main, view(place.slice(1), new URLSearchParams(text), signal));
  learnTime();
}

async function learnTime() {
  try {
    setClock((await ask("engine/info")).now);
  } catch (error) {
    if (error.http === 401) put(main, h("p", {}, "Nothing is shown without a token. "), h("button", { type: "button", onclick: () => access.wanted("") }, "Give a token"));
  }
}

let shown = "";
addEventListener("hashchange", () => {
  if (location.hash === "#main") return;
  const path = location.hash.split("?")[0];
  show();
  if (path !== shown) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
  }
  shown = path;
});
let forgotten = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(forgotten);
  if (document.hidden) forgotten = setTimeout(() => ending.abort(), FORGOTTEN);
  else if (ending.signal.aborted && !location.hash.startsWith("#/start")) show();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});

// -- whether the engine answers ----------------------------------------------------

access.reached = (answers) => {
  const text = answers ? "Live" : "No answer";
  if (link.textContent !== text) link.textContent = text;
  link.className = `link ${answers ? "live" : "lost"}`;
};
access.wanted = (reason) => accessDialog(access.token ? reason : "This engine asks for a token.", show);
document.getElementById("access").addEventListener("click", () => accessDialog("", show));

// -- light and dark ----------------------------------------------------------------

const theme = document.getElementById("theme");
const dark = matchMedia("(prefers-color-scheme: dark)");

function isDark() {
  return (document.documentElement.dataset.theme ?? (dark.matches ? "dark" : "light")) === "dark";
}

function labelTheme() {
  theme.textContent = isDark() ? "Light" : "Dark";
  theme.setAttribute("aria-label", `Use ${isDark() ? "light" : "dark"} colours`);
}

theme.addEventListener("click", () => {
  const next = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("everact.theme", next);
  labelTheme();
});
dark.addEventListener("change", labelTheme);
labelTheme();

show();
