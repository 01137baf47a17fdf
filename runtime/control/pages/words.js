// When a schedule acts, in words. Pure: a specification in, lines of text out.

import { duration, local } from "./dom.js";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const MONTHS = ["", "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const CLOCKS = 6;

export const OVERLAPS = {
  SKIP: "leaves the action out",
  BUFFER_ONE: "lets one action wait for its end",
  BUFFER_ALL: "lets all actions wait for its end",
  CANCEL_OTHER: "asks it to stop, then starts",
  TERMINATE_OTHER: "ends it at once, and starts",
  ALLOW_ALL: "starts another beside it",
};

/** The lines that say when: one for each calendar, interval and cron text. */
export function specWords(spec) {
  const lines = [
    ...spec.calendars.map((one) => calendarWords(one, spec.time_zone)),
    ...spec.intervals.map(({ every, offset }) => `every ${duration(every)}${offset ? `, ${duration(offset)} late` : ""}`),
    ...spec.crons.map((text) => `cron ${text}`),
  ];
  if (!lines.length) lines.push("only when it is triggered");
  lines.push(...spec.excluded.map((one) => `but not ${calendarWords(one, spec.time_zone)}`));
  if (spec.start_at !== null && spec.start_at !== undefined) lines.push(`not before ${local(spec.start_at)}`);
  if (spec.end_at !== null && spec.end_at !== undefined) lines.push(`not after ${local(spec.end_at)}`);
  if (spec.jitter) lines.push(`up to ${duration(spec.jitter)} late, to spread the load`);
  return lines;
}

function calendarWords(calendar, zone) {
  const days = [
    !whole(calendar.day_of_week, 0, 6) && spoken(calendar.day_of_week, (n) => DAYS[n]),
    !whole(calendar.day_of_month, 1, 31) && `on day ${spoken(calendar.day_of_month)} of the month`,
    !whole(calendar.month, 1, 12) && `in ${spoken(calendar.month, (n) => MONTHS[n])}`,
    calendar.year.length > 0 && `in ${spoken(calendar.year)}`,
  ].filter(Boolean);
  const shown = calendar.time_zone || zone;
  const place = shown && shown !== "UTC" ? shown : "UTC";
  return `${clockWords(calendar)} (${place})${days.length ? `, ${days.join(", ")}` : ""}${calendar.comment ? ` – ${calendar.comment}` : ""}`;
}

function clockWords({ hour, minute, second }) {
  const [hours, minutes, seconds] = [hour, minute, second].map(numbers);
  const full = seconds.length > 1 || seconds[0] !== 0;
  if (hours.length * minutes.length * seconds.length <= CLOCKS) {
    const clocks = hours.flatMap((a) => minutes.flatMap((b) => seconds.map((c) => (full ? [a, b, c] : [a, b]))));
    return `at ${clocks.map((parts) => parts.map((n) => String(n).padStart(2, "0")).join(":")).join(", ")}`;
  }
  const within = whole(hour, 0, 23) ? "every hour" : `hours ${spoken(hour)}`;
  if (whole(minute, 0, 59) && whole(second, 0, 59)) return `all of ${within}`;
  const at = full ? (whole(second, 0, 59) ? "every second of " : `second ${spoken(second)} of `) : "";
  if (whole(minute, 0, 59)) return `${at}every minute${whole(hour, 0, 23) ? "" : ` of ${within}`}`;
  return `${at ? at : "at "}minute ${spoken(minute)} of ${within}`;
}

function numbers(ranges) {
  const found = new Set();
  for (const { start, end, step } of ranges) {
    for (let n = start; n <= Math.max(start, end); n += step || 1) found.add(n);
  }
  return [...found].sort((a, b) => a - b);
}

function whole(ranges, first, last) {
  return numbers(ranges).length === last - first + 1;
}

/** Numbers as a list in which three or more in a row are one range. */
function spoken(ranges, name = String) {
  const all = numbers(ranges);
  const parts = [];
  for (let at = 0; at < all.length;) {
    let to = at;
    while (to + 1 < all.length && all[to + 1] === all[to] + 1) to += 1;
    if (to - at > 1) parts.push(`${name(all[at])} to ${name(all[to])}`);
    else parts.push(...all.slice(at, to + 1).map((n) => name(n)));
    at = to + 1;
  }
  return parts.join(", ");
}
