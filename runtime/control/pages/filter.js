// The box for a filter: what was typed, what is wrong with it and where, what there is.

import { access, ask } from "./api.js";
import { h, put } from "./dom.js";

const AROUND = 24;
let count = 0;

export class Filter {
  /** `changed` is told a filter when it was entered; `fields` are those there always are. */
  constructor(text, { fields, examples, changed, signal }) {
    this.signal = signal;
    this.changed = changed;
    const id = `filter-box-${(count += 1)}`;
    this.wrong = h("p", { class: "trouble", id: `${id}-wrong`, role: "alert", hidden: true });
    this.input = h("input", {
      type: "search", id, class: "code", autocomplete: "off", spellcheck: "false", autocapitalize: "off",
      placeholder: examples[0], "aria-describedby": `${id}-wrong`, onchange: () => this.enter(),
      // The cross in the box clears it without a change event.
      oninput: () => { if (!this.input.value) this.enter(); },
    });
    this.input.value = text;
    this.entered = text;
    this.declared = h("div");
    const help = h("details", { class: "help", ontoggle: () => help.open && this.learn() },
      h("summary", {}, "What can be written"),
      h("p", {}, "Compare fields with ", codes(["=", "!=", "<", "<=", ">", ">="]), ", ", codes(["IN ('a', 'b')", "BETWEEN 1 AND 5", "STARTS_WITH 'a'", "IS NULL", "IS NOT NULL"]),
        "; join with ", codes(["AND", "OR"]), " and parentheses. Texts and moments stand in quotes: ", codes(["'2026-01-31T12:00:00Z'"]), "."),
      h("p", {}, "Fields: ", codes(fields), "."), this.declared,
      h("p", {}, "Examples: ", examples.map((example, at) => [at ? ", " : "", h("button", { type: "button", class: "quiet code", onclick: () => { this.input.value = example; this.enter(); } }, example)])));
    this.element = h("form", { class: "filter", role: "search", "aria-label": "What is shown", onsubmit: (event) => { event.preventDefault(); this.enter(); } },
      h("label", { for: id }, "Filter"),
      h("div", { class: "entry" }, this.input, h("button", { type: "submit" }, "Apply")),
      this.wrong, help);
  }

  enter() {
    const text = this.input.value.trim();
    if (text === this.entered) return;
    this.entered = text;
    this.changed(text);
  }

  /** Tell what is wrong if `error` is about the filter, and answer whether it is. */
  refused(error) {
    const text = error?.message ?? "";
    const at = /^the filter is wrong at character (\d+)/.exec(text);
    if (at && text + this.entered === this.told) return true;
    this.told = text + this.entered;
    this.wrong.hidden = !at;
    this.input.setAttribute("aria-invalid", String(Boolean(at)));
    if (!at) return false;
    const place = Number(at[1]) - 1;
    const letters = Array.from(this.entered);
    const [before, after] = [letters.slice(Math.max(0, place - AROUND), place).join(""), letters.slice(place + 1, place + 1 + AROUND).join("")];
    put(this.wrong, sentence(error.message), h("code", { class: "place" },
      place > AROUND && "…", before, h("mark", {}, letters[place] ?? " "), after, place + 1 + AROUND < letters.length && "…"));
    return true;
  }

  async learn() {
    if (this.learnt) return;
    this.learnt = true;
    try {
      const { keys } = await ask("search_attributes/list", { workspace: access.workspace }, { signal: this.signal });
      const names = Object.keys(keys);
      put(this.declared, h("p", {}, names.length ? ["Search attributes: ", names.map((name, at) => [at ? ", " : "", h("code", {}, written(name)), ` (${KINDS[keys[name]] ?? keys[name]})`]), "."] : "No search attribute is declared in this workspace."));
    } catch {
      this.learnt = false;
    }
  }
}

const KINDS = { TEXT: "words", KEYWORD: "text", INT: "integer", FLOAT: "number", BOOL: "true or false", DATETIME: "moment", KEYWORD_LIST: "texts" };

/** A name as it is written in a filter. */
function written(name) {
  return /^[\p{L}_][\p{L}\p{N}_-]*$/u.test(name) ? name : `\`${name}\``;
}

function codes(texts) {
  return texts.map((text, at) => [at ? ", " : "", h("code", {}, text)]);
}

function sentence(text) {
  return `${text[0].toUpperCase()}${text.slice(1)}.`;
}
