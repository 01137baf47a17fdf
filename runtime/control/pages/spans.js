// From a journal to what is drawn: one span for each call, marks for what happened.
// Pure: entries in, spans out, in whatever portions the entries come.

const OPENING = {
  RunTask: ["task", (c) => `${c.name}(${shortened(c.args)})`],
  StartTimer: ["timer", () => "timer"],
  AwaitEvent: ["event", (c) => `event ${c.key}`],
  StartChild: ["child", (c) => c.name],
  SignalRun: ["message", (c) => `signal ${c.name}`],
  CancelRun: ["message", () => "cancel"],
};
const CLOSING = new Set(["Complete", "Fail", "ContinueAsNew", "TailCall"]);

/** What a run has done so far, as spans. */
export class Spans {
  constructor() {
    this.calls = new Map(); // "generation.call" -> span
    this.messages = [];
    this.updates = new Map(); // by their ID, those that were accepted
    this.begun = null;
    this.closed = null;
    this.started = null;
    this.last = null;
  }

  add(entry) {
    const { time, generation } = entry;
    this.last = time;
    for (const event of entry.events) this.happened(event, time, generation);
    for (const command of entry.commands) this.asked(command, time, generation);
  }

  happened(event, time, generation) {
    const kind = event.type;
    const span = this.calls.get(`${generation}.${event.call}`);
    switch (kind) {
      case "Started":
        this.started ??= event;
        this.begun ??= time;
        for (const carried of event.carried ?? []) {
          if (carried.type === "UpdateAccepted") this.accepted(carried, time, generation);
        }
        break;
      case "UpdateAccepted":
        this.accepted(event, time, generation);
        break;
      case "TaskCompleted":
      case "TimerFired":
      case "EventMatched":
        end(span, time, "done");
        break;
      case "TaskFailed":
        // Final only if nothing follows: a retry is told by the next outcome.
        span?.marks.push({ time, kind: "failed", text: failureText(event.failure) });
        if (span) Object.assign(span, { state: "failed", end: time, failure: event.failure });
        break;
      case "TaskHandedOver":
        span?.marks.push({ time, kind: "again", text: "goes on elsewhere, to be completed from outside" });
        if (span) span.handed = time;
        break;
      case "TaskReported":
        if (event.outcome) this.happened({ ...event.outcome, call: event.call }, time, generation);
        else span?.marks.push({ time, kind: "beat", text: "heartbeat from outside" });
        break;
      case "AttemptStarted":
        span?.marks.push({ time, kind: event.lost ? "lost" : "again", text: event.lost ? "the attempt was lost with the engine" : "dispatched again" });
        break;
      case "HeartbeatRecorded":
        span?.marks.push({ time, kind: "beat", text: "heartbeat" });
        break;
      case "TaskHandedOver":
        span?.marks.push({ time, kind: "again", text: "goes on elsewhere" });
        break;
      case "TaskReported":
        if (event.outcome) this.happened(event.outcome, time, generation);
        else span?.marks.push({ time, kind: "beat", text: "heartbeat" });
        break;
      case "ChildStarted":
        if (span) span.runId = event.run_id || span.runId;
        break;
      case "ChildClosed":
      case "MessageSent":
        end(span, time, event.failure ? "failed" : "done");
        if (span && event.failure) span.failure = event.failure;
        break;
      case "SignalReceived":
        this.messages.push({ time, kind: "signal", text: `signal ${event.name}`, value: event.args });
        break;
      case "CancelRequested":
        this.messages.push({ time, kind: "cancel", text: `asked to stop${event.reason ? `: ${event.reason}` : ""}` });
        break;
      case "TerminateRequested":
        this.messages.push({ time, kind: "cancel", text: `terminated${event.reason ? `: ${event.reason}` : ""}` });
        this.closed = { time, kind };
        break;
      case "RunTimedOut":
        this.messages.push({ time, kind: "cancel", text: "the run's time was over" });
        break;
      case "Held":
        this.messages.push({ time, kind: "held", text: `held: ${event.reason}` });
        break;
    }
  }

  accepted(update, time, generation) {
    if (this.updates.has(update.update_id)) return;
    this.updates.set(update.update_id, {
      what: "update", name: `update ${update.name}`, kind: `update ${update.name}`, call: update.update_id, generation,
      start: time, end: null, state: "open", marks: [], due: null, failure: null, update,
    });
  }

  asked(command, time, generation) {
    const kind = command.type;
    const opening = OPENING[kind];
    if (opening) {
      const [what, nameOf] = opening;
      this.calls.set(`${generation}.${command.call}`, {
        what, name: nameOf(command), kind: command.name ?? what, call: command.call, generation, start: time, end: null,
        state: "open", marks: [], due: command.due ?? null,
        workflowId: command.workflow_id ?? "", runId: command.run_id ?? "", failure: null,
      });
    } else if (kind === "CancelCall") {
      end(this.calls.get(`${generation}.${command.call}`), time, "cancelled");
    } else if (kind === "CancelTask") {
      this.calls.get(`${generation}.${command.call}`)?.marks.push({ time, kind: "cancel", text: "asked to stop" });
    } else if (kind === "CancelTask") {
      this.calls.get(`${generation}.${command.call}`)?.marks.push({ time, kind: "again", text: "asked to stop" });
    } else if (kind === "CompleteUpdate") {
      const span = this.updates.get(command.update_id);
      end(span, time, command.failure ? "failed" : "done");
      if (span) Object.assign(span, { failure: command.failure ?? null, result: command.result });
    } else if (kind === "SetDetails") {
      this.messages.push({ time, kind: "told", text: `tells: ${command.text}` });
    } else if (kind === "UpsertAttributes") {
      this.messages.push({ time, kind: "told", text: `sets ${Object.keys(command.attributes).join(", ")}` });
    } else if (CLOSING.has(kind)) {
      if (kind === "TailCall") this.messages.push({ time, kind: "next", text: `goes on as ${command.name}` });
      else this.closed = { time, kind };
    }
  }

  /** The spans in the order of their begin; `pending` are the tasks still open. */
  list(pending) {
    const all = [...this.calls.values(), ...this.updates.values()];
    if (this.updates.size) all.sort((a, b) => a.start - b.start);
    return all.map((span) => {
      const failed = span.marks.filter((mark) => mark.kind === "failed").length;
      const task = span.what === "task" ? pending.get(`${span.generation}.${span.call}`) : undefined;
      // What failed and is still pending waits for another attempt, or is in one.
      if (task) return { ...span, end: null, state: ["retrying", "elsewhere"].includes(task.state) ? "waiting" : "open", attempts: task.attempt, task };
      if (span.state === "open" && this.closed) return { ...span, state: "left", end: this.closed.time, attempts: failed + 1, task: null };
      return { ...span, attempts: failed + (span.state === "failed" ? 0 : 1), task: null };
    });
  }
}

function end(span, time, state) {
  if (span && span.state !== "done") Object.assign(span, { end: time, state });
}

/** Arguments for a label: short ones as they are. */
function shortened(args) {
  const text = (args ?? []).map((value) => JSON.stringify(value)).join(", ");
  return text.length > 24 ? `${text.slice(0, 23)}…` : text;
}

/** A failure on one line. */
export function failureText(failure) {
  if (!failure) return "";
  return failure.message ? `${failure.type}: ${failure.message}` : failure.type;
}
