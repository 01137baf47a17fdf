// Where a moment is in the picture. A long wait in which no task ran takes a fixed
// width, so that an hour of sleep does not hide the milliseconds of work around it.

const FOLD = 46;

/** The scale from [from, to] to pixels [left, right]; `list` and `moments` happened. */
export function scaleOf({ from, to, left, right, list, moments, folding }) {
  const waits = folding ? longWaits(from, to, list, moments) : [];
  const drawn = to - from - waits.reduce((sum, [a, b]) => sum + b - a, 0);
  const perSecond = Math.max(right - left - waits.length * FOLD, 40) / drawn;
  const parts = [];
  let place = left;
  const add = (a, b, folded) => {
    const width = folded ? FOLD : (b - a) * perSecond;
    if (b > a) parts.push({ a, b, x: place, width, folded });
    place += width;
  };
  let at = from;
  for (const [a, b] of waits) {
    add(at, a, false);
    add(a, b, true);
    at = b;
  }
  add(at, to, false);
  const within = (part, share) => part.a + Math.min(Math.max(share, 0), 1) * (part.b - part.a);
  return {
    parts,
    perSecond,
    x(time) {
      const part = parts.find((found) => time <= found.b) ?? parts.at(-1);
      return part.x + ((time - part.a) / (part.b - part.a)) * part.width;
    },
    time(x) {
      const part = parts.find((found) => x <= found.x + found.width) ?? parts.at(-1);
      return within(part, (x - part.x) / part.width);
    },
  };
}

/** The gaps without a task that are long against all that is left when they are gone. */
function longWaits(from, to, list, moments) {
  const busy = list.filter((span) => span.what === "task").map((span) => {
    const until = span.handed !== undefined ? span.handed : span.state === "waiting" ? span.marks.at(-1)?.time ?? span.start : span.end ?? to;
    return [Math.max(span.start, from), Math.min(until, to)];
  }).filter(([a, b]) => b >= a).sort((p, q) => p[0] - q[0]);
  const edges = [from, ...moments.filter((time) => time > from && time < to), to].sort((p, q) => p - q);
  const gaps = [];
  let total = to - from;
  let next = 0;
  let until = from;
  for (let at = 0; at + 1 < edges.length; at += 1) {
    const [a, b] = [edges[at], edges[at + 1]];
    while (next < busy.length && busy[next][0] <= a) until = Math.max(until, busy[next++][1]);
    if (b > a && until <= a) {
      gaps.push([a, b]);
      total -= b - a;
    }
  }
  gaps.sort((p, q) => p[1] - p[0] - (q[1] - q[0]));
  let kept = total;
  const first = gaps.findIndex(([a, b]) => {
    if (kept <= 0 || b - a > 2 * kept) return kept > 0;
    kept += b - a;
    return false;
  });
  const long = first < 0 ? [] : gaps.slice(first).slice(-8);
  // A margin on both sides shows where the wait begins and ends.
  const margin = kept * 0.02;
  return long.map(([a, b]) => [a + margin, b - margin]).sort((p, q) => p[0] - q[0]);
}
