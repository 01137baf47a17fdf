// Start a run: a workflow that the engine knows, JSON arguments, an ID.

import { access, ask, repeatable } from "./api.js";
import { argumentsOf, field } from "./dialogs.js";
import { h, put, runAddress, trouble } from "./dom.js";

export function startView(_, query, signal) {
  const told = h("div", { "aria-live": "polite" });
  const about = h("div", { class: "about" });
  const workflow = field("Workflow", { name: "workflow", required: true, value: query.get("workflow") ?? "" });
  const begin = h("button", { type: "submit", class: "primary" }, "Start the run");
  const once = repeatable();
  const form = h("form", {
    class: "panel start",
    onsubmit: async (event) => {
      event.preventDefault();
      begin.disabled = true;
      put(told);
      try {
        const data = new FormData(form);
        const made = await ask("runs/start", once({
          workflow: data.get("workflow"), workflow_id: data.get("id").trim(),
          workspace: access.workspace, must_be_known: true,
          ...argumentsOf(data.get("arguments")),
          options: { queue: data.get("queue").trim() || "default" },
        }));
        location.hash = runAddress(made.workflow_id, made.run_id);
      } catch (error) {
        put(told, trouble(error));
      }
      begin.disabled = false;
    },
  },
    workflow, about,
    field("Arguments", { name: "arguments", kind: "json", hint: 'JSON: a list, [1, "two"], or an object of named arguments, {"n": 1}' }),
    field("Workflow ID", { name: "id", hint: "Empty for a new one. While a run of this ID is open, another is refused." }),
    field("Queue", { name: "queue", value: "default" }),
    told, h("div", { class: "buttons" }, begin));
  offer(workflow, about, signal).catch((error) => signal.aborted || put(told, trouble(error)));
  return h("article", { class: "start-view" }, h("h1", {}, "Start a run"), form);
}

/** Make the input a choice of what the engine knows, and show what it takes. */
async function offer(place, about, signal) {
  const { workflows } = await ask("engine/definitions", {}, { signal });
  const input = place.querySelector("input");
  const chosen = h("select", { id: input.id, name: "workflow", required: true, onchange: () => tell() },
    workflows.map((found) => h("option", { value: found.name, selected: found.name === input.value }, found.name)));
  input.replaceWith(chosen);
  const tell = () => {
    const found = workflows.find((known) => known.name === chosen.value);
    put(about, found ? h("p", {}, "Takes ", h("code", {}, found.parameters)) : h("p", {}, "This engine has no workflow registered."));
  };
  tell();
}
