// The API: requests, event streams, the token. The token lives in this tab's
// sessionStorage and travels only as a header.

const PREFIX = "/api/v1/";
const TOKEN = "everact.token";
const WORKSPACE = "everact.workspace";

/** What the engine refused; `status` is its name for why. */
export class Refused extends Error {
  constructor(told, http) {
    super(told.message);
    this.type = told.type;
    this.status = told.status;
    this.http = http;
  }
}

/** The engine could not be reached. */
export class Unreachable extends Error {
  constructor() {
    super("The engine does not answer. This page goes on trying.");
  }
}

export const access = {
  get token() { return sessionStorage.getItem(TOKEN) ?? ""; },
  get workspace() { return sessionStorage.getItem(WORKSPACE) || "default"; },
  set(token, workspace) {
    sessionStorage.setItem(TOKEN, token.trim());
    sessionStorage.setItem(WORKSPACE, workspace.trim());
  },
  /** Called when the engine asks for a token, or for another one. */
  wanted() {},
  /** Called with whether the engine answers. */
  reached() {},
};

/** The answer of an operation; null for "not yet". */
export async function ask(operation, body = {}, { signal } = {}) {
  const answer = await send(operation, body, signal, {});
  const text = await answer.text().catch((error) => { throw lost(error, signal); });
  return answer.status === 202 ? null : parse(text);
}

/**
 * Hand each item of a streaming operation to `take`, and go on after an interruption.
 * Ends with the stream, with `signal`, or with a refusal that repeating cannot cure.
 * `again` is called whenever something may have been missed.
 */
export async function follow(operation, body, take, { signal, again = () => {} }) {
  let cursor = "";
  let pause = 500;
  while (!signal.aborted) {
    try {
      const answer = await send(operation, body, signal, cursor ? { "Last-Event-ID": cursor } : {});
      again(); // the first time too: what happened since the page was read
      pause = 500;
      for await (const event of events(answer.body, signal)) {
        if (event.id) cursor = event.id;
        if (event.name === "end") return;
        if (event.name === "error") throw new Refused(parse(event.data).error, 200);
        if (event.data) take(parse(event.data));
      }
    } catch (error) {
      if (signal.aborted) return;
      const passing = error instanceof Unreachable || ["UNAVAILABLE", "ABORTED"].includes(error.status);
      if (!passing) throw error;
    }
    await sleep(pause, signal);
    pause = Math.min(pause * 2, 8000);
  }
}

async function send(operation, body, signal, headers) {
  headers["Content-Type"] = "application/json";
  if (access.token) headers.Authorization = `Bearer ${access.token}`;
  let answer;
  try {
    answer = await fetch(PREFIX + operation, {
      method: "POST", headers, body: JSON.stringify(body), signal,
      cache: "no-store", credentials: "omit", redirect: "error",
    });
  } catch (error) {
    throw lost(error, signal);
  }
  access.reached(true);
  if (answer.ok) return answer;
  const text = await answer.text().catch((error) => { throw lost(error, signal); });
  let told;
  try {
    told = parse(text).error;
  } catch {
    told = { type: "", status: "UNKNOWN", message: `${answer.status} ${answer.statusText}` };
  }
  if (answer.status === 401) access.wanted(told.message);
  throw new Refused(told, answer.status);
}

function lost(error, signal) {
  if (signal?.aborted) return error;
  access.reached(false);
  return new Unreachable();
}

/** The events of a text/event-stream body. */
async function* events(body, signal) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let kept = "";
  try {
    for (;;) {
      let found;
      try {
        found = await reader.read();
      } catch (error) {
        throw lost(error, signal);
      }
      if (found.done) return;
      kept += found.value;
      const whole = kept.split("\n\n");
      kept = whole.pop();
      for (const text of whole) yield event(text);
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

function event(text) {
  const made = { name: "", id: "", data: "" };
  for (const line of text.split("\n")) {
    if (line.startsWith("data: ")) made.data += line.slice(6);
    else if (line.startsWith("id: ")) made.id = line.slice(4);
    else if (line.startsWith("event: ")) made.name = line.slice(7);
  }
  return made;
}

function sleep(milliseconds, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
  });
}

/** JSON text as a value; integers that a double cannot hold keep their digits. */
export function parse(text) {
  if (!JSON.rawJSON || !/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(text, (_, value, context) => {
    const large = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return large && /^-?\d+$/.test(context?.source ?? "") ? JSON.rawJSON(context.source) : value;
  });
}

/** Gives a body its request ID: the same for the same body, so that repeating it after
 * a lost answer does nothing twice. */
export function repeatable() {
  let last = "";
  let id = "";
  return (body) => {
    const text = JSON.stringify(body);
    if (text !== last) {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      id = `page-${Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("")}`;
      last = text;
    }
    return { ...body, request_id: id };
  };
}
