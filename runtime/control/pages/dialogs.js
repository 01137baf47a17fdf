// Dialogs: what is asked before something is done, and what the engine said to it.

import { access, ask, parse, repeatable } from "./api.js";
import { h, json, put, say, trouble } from "./dom.js";
import { failureText } from "./spans.js";

let count = 0;

/** A labelled input; `kind` "json" is for JSON text, "select" for one of `choices`. */
export function field(label, { name, kind = "text", value = "", hint = "", list = [], choices = [], required = false } = {}) {
  const id = `field-${(count += 1)}`;
  const attributes = {
    id, name, required, autocomplete: "off", spellcheck: "false",
    "aria-describedby": hint ? `${id}-hint` : null,
  };
  let input;
  if (kind === "json") {
    input = h("textarea", { ...attributes, rows: "3", class: "code" });
    input.value = value;
  } else if (kind === "select") {
    input = h("select", attributes, choices.map(([given, text]) => h("option", { value: given, selected: given === value }, text)));
  } else {
    input = h("input", { ...attributes, type: kind, step: kind === "datetime-local" ? "1" : null, list: list.length ? `${id}-list` : null });
    input.value = value;
  }
  const offered = list.length && h("datalist", { id: `${id}-list` }, list.map((text) => h("option", { value: text })));
  return h("div", { class: "field" },
    h("label", { for: id }, label), input, offered || null,
    hint && h("small", { id: `${id}-hint` }, hint));
}

/** The JSON that was typed as arguments: a list, or an object of named ones. */
export function argumentsOf(text) {
  if (!text.trim()) return {};
  let found;
  try {
    found = parse(text);
  } catch (error) {
    throw new Error(`The arguments are not JSON: ${error.message}`);
  }
  if (Array.isArray(found)) return { args: found };
  if (found !== null && typeof found === "object" && !JSON.isRawJSON?.(found)) return { kwargs: found };
  throw new Error('Write the arguments as a JSON list, [1, "two"], or as an object of names, {"n": 1}.');
}

/**
 * Ask, and do it. `work` gets the form's data; what it returns is shown if it is an
 * element, else the dialog closes. An error is shown and nothing is lost.
 */
export function dialog(title, { about = "", fields = [], action, danger = false, work }) {
  const id = `dialog-${(count += 1)}`;
  const told = h("div", { class: "told", "aria-live": "polite" });
  const doing = h("button", { type: "submit", class: danger ? "danger" : "primary" }, action);
  const form = h("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      doing.disabled = true;
      put(told);
      try {
        const answer = await work(new FormData(form));
        if (answer instanceof Element) put(told, answer);
        else made.close();
      } catch (error) {
        put(told, trouble(error));
      }
      doing.disabled = false;
    },
  },
    h("h2", { id }, title), about && h("p", {}, about), fields, told,
    h("div", { class: "buttons" },
      h("button", { type: "button", onclick: () => made.close() }, "Close"), doing));
  const made = h("dialog", { "aria-labelledby": id, onclose: () => made.remove() }, form);
  document.body.append(made);
  made.showModal();
  const first = danger ? form.querySelector("input, textarea, button") : form.querySelector("input, textarea");
  first?.focus();
  return made;
}

export function accessDialog(reason, done) {
  if (document.getElementById("access-dialog")) return;
  const made = dialog("Access", {
    about: reason || "Who you are for this engine. Both are forgotten with this tab.",
    fields: [
      field("Token", { name: "token", kind: "password", value: access.token, hint: "Begins with everact_. Empty where none is asked for." }),
      field("Workspace", { name: "workspace", value: access.workspace }),
    ],
    action: "Use",
    work: async (data) => {
      access.set(data.get("token"), data.get("workspace"));
      await ask("engine/info");
      done();
    },
  });
  made.id = "access-dialog";
}

// -- on a run ----------------------------------------------------------------------

/** `known` is what the engine has registered under the run's workflow, if anything. */
export function signalDialog(run, known) {
  const once = repeatable();
  return dialog("Send a signal", {
    about: known?.any_signal ? "This workflow takes signals of any name." : "",
    fields: [
      field("Signal", { name: "name", list: known?.signals ?? [], required: true }),
      field("Arguments", { name: "arguments", kind: "json", hint: "JSON: a list, or an object of named arguments" }),
    ],
    action: "Send",
    work: async (data) => {
      await ask("runs/signal", once({ run, name: data.get("name"), ...argumentsOf(data.get("arguments")) }));
      say(`Signal ${data.get("name")} was stored.`);
    },
  });
}

export function queryDialog(run, known) {
  return dialog("Ask a query", {
    fields: [
      field("Query", { name: "name", list: known?.queries ?? [], value: known?.queries.length === 1 ? known.queries[0] : "", required: true }),
      field("Arguments", { name: "arguments", kind: "json", hint: "JSON: a list, or an object of named arguments" }),
    ],
    action: "Ask",
    work: async (data) => {
      const answer = await ask("runs/query", { run, name: data.get("name"), ...argumentsOf(data.get("arguments")) });
      return h("div", { class: "answer" }, h("strong", {}, "Answer"), json(answer.value ?? null));
    },
  });
}

export function updateDialog(run, known) {
  const once = repeatable();
  return dialog("Send an update", {
    about: "The run answers it. Sent again as it is, it joins the one that was sent before.",
    fields: [
      field("Update", { name: "name", list: known?.updates ?? [], value: known?.updates.length === 1 ? known.updates[0] : "", required: true }),
      field("Arguments", { name: "arguments", kind: "json", hint: "JSON: a list, or an object of named arguments" }),
      field("Wait until it is", { name: "wait_for", kind: "select", choices: [["completed", "answered"], ["accepted", "accepted"]] }),
    ],
    action: "Send",
    work: async (data) => {
      const { request_id: update_id, ...update } = once({ name: data.get("name"), ...argumentsOf(data.get("arguments")) });
      const found = await ask("updates/send", { run, update: { update_id, ...update }, wait_for: data.get("wait_for"), wait: 5 });
      if (!found) return h("p", {}, "There is no answer yet. Sending it again waits on.");
      if (found.failure) throw new Error(`The update failed: ${failureText(found.failure)}`);
      if (found.stage !== "completed") return h("p", {}, `It is ${found.stage}.`);
      return h("div", { class: "answer" }, h("strong", {}, "Answer"), json(found.result ?? null));
    },
  });
}

export function cancelDialog(run) {
  const once = repeatable();
  return dialog("Cancel this run?", {
    about: "The run is asked to stop. Its code may clean up first, or go on.",
    fields: [field("Reason", { name: "reason" })],
    action: "Cancel the run",
    danger: true,
    work: async (data) => {
      await ask("runs/cancel", once({ run, reason: data.get("reason") }));
      say("The run was asked to stop.");
    },
  });
}

export function terminateDialog(run) {
  const once = repeatable();
  return dialog("Terminate this run?", {
    about: "The run is closed at once. None of its code runs any more, and nothing is cleaned up. This cannot be undone.",
    fields: [field("Reason", { name: "reason" })],
    action: "Terminate the run",
    danger: true,
    work: async (data) => {
      await ask("runs/terminate", once({ run, reason: data.get("reason") }));
      say("The run was terminated.");
    },
  });
}

// -- on a task that others complete ------------------------------------------------

function taskOf(run, task) {
  return { workflow_id: run.workflow_id, run_id: run.run_id, workspace: run.workspace, task_id: task.task_id };
}

export function completeDialog(run, task) {
  const once = repeatable();
  dialog("Complete the task", {
    about: `Task ${task.name} waits for somebody to complete it.`,
    fields: [field("Result", { name: "result", kind: "json", hint: "JSON, as the task would return it; empty for none" })],
    action: "Complete",
    work: async (data) => {
      const text = data.get("result").trim();
      await ask("tasks/complete", once({ task: taskOf(run, task), ...(text ? { result: value(text) } : {}) }));
      say("The task was completed.");
    },
  });
}

export function failDialog(run, task) {
  const once = repeatable();
  dialog("Fail the attempt?", {
    about: `This attempt of task ${task.name} fails. Its policy decides whether it is tried again.`,
    fields: [field("Reason", { name: "message", required: true })],
    action: "Fail the attempt",
    danger: true,
    work: async (data) => {
      await ask("tasks/fail", once({ task: taskOf(run, task), failure: { kind: "APPLICATION", type: "Rejected", message: data.get("message") } }));
      say("The attempt has failed.");
    },
  });
}

function value(text) {
  try {
    return parse(text);
  } catch (error) {
    throw new Error(`The result is not JSON: ${error.message}`);
  }
}
