// The dialogs of a schedule: make one, change it, have it act, pause and forget it.

import { access, ask, parse, repeatable } from "./api.js";
import { argumentsOf, dialog, field } from "./dialogs.js";
import { address, say } from "./dom.js";
import { OVERLAPS } from "./words.js";

function overlapField(first) {
  const choices = Object.entries(OVERLAPS).map(([name, words]) => [name, `${name.toLowerCase().replaceAll("_", " ")}: ${words}`]);
  return field("If a run of it is open", { name: "overlap", kind: "select", choices: [...first, ...choices] });
}

const SAME = [["", "as the schedule says"]];

function asked(name, more, data) {
  return { id: name, workspace: access.workspace, ...more, ...(data?.get("overlap") ? { overlap: data.get("overlap") } : {}) };
}

export function createScheduleDialog() {
  const once = repeatable();
  const made = dialog("New schedule", {
    about: "Everything else can be changed afterwards, as JSON.",
    fields: [
      field("Schedule ID", { name: "id", required: true }),
      field("Workflow", { name: "workflow", required: true }),
      field("Arguments", { name: "arguments", kind: "json", hint: "JSON: a list, or an object of named arguments" }),
      field("Cron", { name: "cron", hint: "Minute, hour, day, month, weekday: 0 2 * * MON-FRI. Or @daily, @every 90m. Empty: only when triggered." }),
      field("Time zone", { name: "zone", hint: "An IANA name, as Europe/Berlin. Empty: UTC." }),
      overlapField([]),
    ],
    action: "Create",
    work: async (data) => {
      const [id, cron] = [data.get("id").trim(), data.get("cron").trim()];
      const schedule = {
        action: { workflow: data.get("workflow").trim(), ...argumentsOf(data.get("arguments")) },
        spec: { crons: cron ? [cron] : [], time_zone: data.get("zone").trim() },
        policy: { overlap: data.get("overlap") },
      };
      await ask("schedules/create", once({ id, workspace: access.workspace, schedule }));
      location.hash = address(["schedule", id]);
    },
  });
  return made;
}

export function editScheduleDialog(found, done) {
  const once = repeatable();
  const { action: _, ...rest } = found.schedule;
  const made = dialog("Change the schedule", {
    about: "What is done stays as it is; when and how it is done is this. If somebody changed it meanwhile, nothing happens.",
    fields: [field("Definition", { name: "definition", kind: "json", value: JSON.stringify(rest, null, 2), hint: "JSON. Calendars, intervals and cron texts add up; excluded calendars take away." })],
    action: "Change",
    work: async (data) => {
      let changed;
      try {
        changed = parse(data.get("definition"));
      } catch (error) {
        throw new Error(`The definition is not JSON: ${error.message}`);
      }
      const schedule = { ...changed, action: { workflow: found.schedule.action.workflow } };
      await ask("schedules/update", once(asked(found.id, { schedule, serial: found.serial, keep_action: true })));
      say("The schedule was changed.");
      done();
    },
  });
  made.querySelector("textarea").setAttribute("rows", "16");
}

export function triggerDialog(found, done) {
  const once = repeatable();
  dialog("Act now?", {
    about: "The schedule takes one action at once, paused or not.",
    fields: [overlapField(SAME)],
    action: "Trigger",
    work: async (data) => {
      await ask("schedules/trigger", once(asked(found.id, {}, data)));
      say("The schedule was triggered.");
      done();
    },
  });
}

export function pauseDialog(found, done) {
  const once = repeatable();
  const pausing = !found.schedule.paused;
  dialog(pausing ? "Pause the schedule?" : "Resume the schedule?", {
    about: pausing ? "It acts only when it is triggered or backfilled. Times that pass are not made up for." : "It acts by itself again, from its next time on.",
    fields: [field("Note", { name: "note", hint: "Why; it is shown beside the state." })],
    action: pausing ? "Pause" : "Resume",
    work: async (data) => {
      await ask(pausing ? "schedules/pause" : "schedules/resume", once(asked(found.id, { note: data.get("note").trim() })));
      say(pausing ? "The schedule is paused." : "The schedule acts again.");
      done();
    },
  });
}

export function backfillDialog(found, done) {
  const once = repeatable();
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  dialog("Make up for past times", {
    about: `All times of the schedule in this range, as if they came now. The range is in the time zone of this browser, ${zone}.`,
    fields: [
      field("After", { name: "after", kind: "datetime-local", required: true }),
      field("Up to and with", { name: "until", kind: "datetime-local", required: true }),
      overlapField(SAME),
    ],
    action: "Backfill",
    work: async (data) => {
      const [after, until] = ["after", "until"].map((name) => new Date(data.get(name)).getTime() / 1000);
      const range = asked(found.id, {}, data);
      const { overlap, ...rest } = range;
      await ask("schedules/backfill", once({ ...rest, backfills: [{ after, until, ...(overlap ? { overlap } : {}) }] }));
      say("The times are made up for.");
      done();
    },
  });
}

export function deleteScheduleDialog(found) {
  const once = repeatable();
  dialog("Delete this schedule?", {
    about: "It never acts again. Runs that it started go on. This cannot be undone.",
    action: "Delete the schedule",
    danger: true,
    work: async () => {
      await ask("schedules/delete", once(asked(found.id, {})));
      say("The schedule was deleted.");
      location.hash = "#/schedules";
    },
  });
}
