// The queue of decisions of judges: agree or disagree, by keyboard, with the conversation beside it.

import { conversation } from "./conversation.js";
import { h, longText, text } from "./dom.js";
import { executionTabs } from "./execution_page.js";
import { count, percent, plural } from "./format.js";
import { morph } from "./morph.js";
import { table } from "./tables.js";
import { mark } from "./verdicts.js";

const WORDS = { pass: "met", fail: "not met", unsure: "not decided" };
const SAID = { pass: "met", fail: "not met", unsure: "unsure" };
const STATES = { pass: "pass", fail: "fail", unsure: "undecided" };
const OPPOSITE = { pass: "fail", fail: "pass" };
const RATERS = 5;
const HELD = 20; // runs whose conversations are kept

/**
 * @param {Object} context  see runs_page.js
 * @param {Place} place  `at` in its query says which decision is shown, from 1
 * @returns {Promise<Page>}
 */
export async function labelPage(context, { query }) {
  const page = new LabelPage(context, await context.source.labels(context.id), Number(query.get("at")));
  await page.draw();
  return page;
}

class LabelPage {
  constructor(context, found, at) {
    Object.assign(this, context);
    this.context = context;
    this.found = found;
    this.view = "label";
    this.cursor = context.execution.cursor;
    this.title = `Label ${context.execution.suite}`;
    this.tabs = executionTabs(context);
    this.at = this.beginning(at);
    this.runs = new Map();
    this.written = new Map(); // notes that are not kept yet
    this.saving = Promise.resolve();
    this.element = h("main.page.wide.labels", { id: "main", tabindex: "-1" });
    this.keys = {
      a: () => this.agree(),
      d: () => this.disagree(),
      p: () => this.give("pass"),
      f: () => this.give("fail"),
      u: () => this.give("unsure"),
      j: () => this.move(1),
      k: () => this.move(-1),
      s: () => this.move(1),
      b: () => this.move(-1),
      n: () => document.getElementById("note")?.focus(),
      o: () => this.address.go(this.links.overview()),
    };
    this.help = [
      ["a", "agree with the judge"],
      ["d", "disagree"],
      ["p f u", "met, not met, unsure"],
      ["n", "write a note"],
      ["j k", "next and previous decision"],
      ["o", "overview"],
    ];
  }

  beginning(at) {
    if (at >= 1 && at <= this.found.items.length) return Math.floor(at) - 1;
    const open = this.found.items.findIndex((item) => item.label === null);
    return Math.max(0, open);
  }

  get item() {
    return this.found.items[this.at];
  }

  shown() {
    this.reveal();
  }

  /** Others have labelled, or runs have ended: what somebody looks at stays. */
  async refresh() {
    let saving, found;
    do {
      saving = this.saving;
      await saving;
      found = await this.source.labels(this.id);
    } while (saving !== this.saving); // somebody has labelled meanwhile: what was found is older than that
    const key = this.item && keyOf(this.item);
    const place = found.items.findIndex((item) => keyOf(item) === key);
    this.found = found;
    this.at = place >= 0 ? place : Math.max(0, Math.min(this.at, found.items.length - 1));
    return place >= 0 ? this.drawParts() : this.draw();
  }

  /** Draw a decision and its conversation. */
  async draw() {
    if (!this.item) return this.element.replaceChildren(nothing(this.links));
    if (!this.head?.isConnected) this.layOut();
    this.drawParts();
    const { item } = this;
    try {
      const run = await this.run(item.run);
      if (this.item === item || keyOf(this.item) === keyOf(item)) this.drawTalk(run);
    } catch (error) {
      this.talk.replaceChildren(h("p.none", null, text(error.message)));
      this.talking = null;
    }
  }

  layOut() {
    this.head = h("header.title");
    this.talk = h("section.talk", { "aria-label": "Conversation" });
    this.card = h("section.decision");
    this.beside = h("section");
    const aside = h("aside", { "aria-label": "Decision" }, this.card, this.beside);
    this.element.replaceChildren(this.head, h("div.columns", null, this.talk, aside));
  }

  drawParts() {
    if (!this.item) return this.element.replaceChildren(nothing(this.links));
    morph(this.head, this.heading());
    morph(this.card, this.decision());
    morph(this.beside, this.agreement());
    const note = this.card.querySelector("#note");
    const key = keyOf(this.item);
    if (this.noting !== key || document.activeElement !== note) note.value = this.written.get(key) ?? this.item.note;
    this.noting = key;
    return null;
  }

  drawTalk(run) {
    if (this.talking !== run) this.talk.replaceChildren(conversation(this.links, run));
    this.talking = run;
    const cited = new Set(this.item.cites.map((id) => `m:${id}`));
    for (const message of this.talk.querySelectorAll("[id^='m:']"))
      message.classList.toggle("cited", cited.has(message.id));
    this.reveal();
  }

  reveal() {
    if (this.element.isConnected) this.talk?.querySelector(".cited")?.scrollIntoView({ block: "center" });
  }

  async run(id) {
    const held = this.runs.get(id) ?? (await this.source.run(this.id, id));
    this.runs.delete(id);
    this.runs.set(id, held); // the newest is the last
    if (this.runs.size > HELD) this.runs.delete(this.runs.keys().next().value);
    return held;
  }

  heading() {
    const { raters, file } = this.found;
    const others = raters.slice(0, RATERS).map((other) => `${other.rater} ${count(other.labels)}`);
    const more = raters.length > RATERS ? ", …" : "";
    return h(
      "header.title",
      null,
      h("p.up", null, h("a", { href: this.links.overview() }, "← Overview")),
      h("h1", null, "Is the judge right?"),
      h(
        "p.facts",
        null,
        others.length ? h("span", null, text(`labels by others: ${others.join(", ")}${more}`)) : null,
        file ? h("span", null, text(file)) : null,
      ),
    );
  }

  progress() {
    const { items, rater } = this.found;
    const labelled = items.filter((item) => item.label !== null).length;
    const place = `Decision ${count(this.at + 1)} of ${count(items.length)}`;
    return h("span.note", { role: "status" }, `${place}, ${count(labelled)} labelled by ${rater}`);
  }

  decision() {
    const { run, title, criterion, decision, reason, label } = this.item;
    const choice = (value, word, key, work, on) =>
      h(
        `button.choice.o-${STATES[value] || "none"}`,
        { type: "button", "data-key": key, "aria-pressed": String(Boolean(on)), onclick: work },
        word,
        h("kbd", { "aria-hidden": "true" }, key),
      );
    const differs = label && label !== "unsure" && label !== decision;
    const note = h("textarea", {
      id: "note",
      rows: 2,
      "data-item": keyOf(this.item),
      "aria-label": "Note",
      placeholder: "Note (optional) ( n )",
      oninput: (event) => this.written.set(event.target.dataset.item, event.target.value),
      onchange: (event) => this.noted(event.target),
      onkeydown: (event) => leaveOnEnter(event),
    });
    return h(
      "section.decision",
      null,
      h("h2", null, h("a", { href: this.links.run(run) }, text(title))),
      h("p.criterion", { dir: "auto" }, text(criterion || "The run as a whole passes.")),
      h("p", null, mark(STATES[decision], WORDS[decision]), " The judge: ", h("b", null, WORDS[decision])),
      reason ? longText(reason, "div.why") : null,
      h(
        "div.choices",
        { "data-key": "choices" },
        choice("", "Agree", "a", () => this.agree(), label && label === decision),
        choice("", "Disagree", "d", () => this.disagree(), differs),
        choice("unsure", "Unsure", "u", () => this.give("unsure"), label === "unsure"),
        choice("pass", "Met", "p", () => this.give("pass"), label === "pass"),
        choice("fail", "Not met", "f", () => this.give("fail"), label === "fail"),
      ),
      this.others(),
      note,
      h("p.problem", { role: "alert", "data-key": "problem" }, text(this.problem || "")),
      h(
        "p.actions",
        { "data-key": "steps" },
        h("button.more", { type: "button", onclick: () => this.move(-1), "aria-label": "Previous decision" }, "‹"),
        h("button.more", { type: "button", onclick: () => this.move(1), "aria-label": "Next decision" }, "›"),
        this.progress(),
      ),
    );
  }

  // What others say is seen once somebody has said it themselves: it would lead them.
  others() {
    const { others, label } = this.item;
    if (!others.length) return null;
    const key = { "data-key": "others" };
    if (label === null) {
      const who = `Labelled by ${plural(others.length, "other")} too.`;
      return h("p.note", key, `${who} What they say is shown once you have labelled it.`);
    }
    const rows = others.map((other) => {
      const told = `${SAID[other.label]}${other.note ? `: ${other.note}` : ""}`;
      return h("div", null, h("dt", null, text(other.rater)), h("dd", { dir: "auto" }, text(told)));
    });
    return h("dl.pairs.others", key, rows);
  }

  // What the labels say of the judge so far.
  agreement() {
    const { items, agreement, calibration } = this.found;
    const given = items.filter((item) => item.label && item.label !== "unsure" && item.decision !== "unsure");
    const agreed = given.filter((item) => item.label === item.decision).length;
    return h(
      "section",
      null,
      h("h2", null, "Judge and people"),
      given.length
        ? h("p", null, `You agree with ${count(agreed)} of ${plural(given.length, "decision")}.`)
        : h("p.none", null, "Label a decision to see how well judge and people agree."),
      agreement?.criteria.length ? agreementTable(agreement.criteria) : null,
      (agreement?.remarks || []).map((remark) => h("p.note", null, text(remark))),
      correctedRates(calibration),
    );
  }

  agree() {
    if (this.item) this.give(this.item.decision);
  }

  disagree() {
    if (!this.item) return;
    const other = OPPOSITE[this.item.decision];
    if (other) this.give(other);
    else this.say("The judge did not decide. Choose Met (p) or Not met (f).");
  }

  // What keeps a decision from being kept stands beside it, and what was written stays.
  say(problem) {
    this.problem = problem;
    this.card?.querySelector(".problem")?.replaceChildren(...text(problem));
  }

  async give(value) {
    if (!this.item) return;
    const key = keyOf(this.item);
    const kept = await this.keep(this.item, value, this.card.querySelector("#note").value);
    if (kept && this.item && keyOf(this.item) === key) await this.move(1);
  }

  // A note is kept with the label that it belongs to; until there is one, it waits.
  noted(field) {
    const item = this.found.items.find((one) => keyOf(one) === field.dataset.item);
    if (item?.label && field.value !== item.note) this.keep(item, item.label, field.value);
  }

  // One after the other: the last word counts.
  keep(item, value, note) {
    const { run, criterion } = item;
    const work = async () => {
      try {
        await this.source.setLabel(this.id, { run, criterion, label: value, note, rater: this.found.rater });
      } catch (error) {
        this.say(`This label was not saved. ${error.message}`);
        return false;
      }
      this.written.delete(keyOf(item));
      Object.assign(item, { label: value, note });
      this.say("");
      this.drawParts();
      return true;
    };
    this.saving = this.saving.then(work);
    const { saving } = this;
    saving.then((kept) => kept && this.again?.());
    return saving;
  }

  async move(by) {
    const next = Math.max(0, Math.min(this.found.items.length - 1, this.at + by));
    if (next === this.at) return;
    this.at = next;
    this.say("");
    await this.draw();
  }
}

function keyOf({ run, criterion }) {
  return `${run}\n${criterion}`;
}

function leaveOnEnter(event) {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  event.target.blur();
}

function agreementTable(criteria) {
  const share = ({ rate }) => (rate === null ? "–" : percent(rate));
  const rows = criteria.map((item) =>
    h(
      "tr",
      null,
      h("th", { scope: "row", dir: "auto" }, text(item.criterion)),
      h("td.n", null, share(item.agreement)),
      h("td.n", null, item.kappa ? item.kappa.kappa.toFixed(2) : "–"),
      h("td.n", null, count(item.compared)),
    ),
  );
  const head = ["", "agreement", "kappa", "labels"].map((word, index) =>
    h(index ? "th.n" : "td", index ? { scope: "col" } : null, word),
  );
  return table("Agreement", head, rows, "table.small");
}

// Rates of the judge, corrected for its errors: too wide for a table beside the conversation.
function correctedRates(found) {
  if (!found?.rows.length) return null;
  const item = ([name, ...cells]) => {
    const pairs = cells.map((cell, place) =>
      h("div", null, h("dt", null, found.head[place + 1]), h("dd", null, text(cell))),
    );
    return h("div", null, h("b", { dir: "auto" }, text(name)), h("dl.pairs", null, pairs));
  };
  return h("details", { "data-key": "rates" }, h("summary", null, "Corrected rates"), found.rows.map(item));
}

function nothing(links) {
  return h(
    "div.empty-state",
    null,
    h("h1", null, "Nothing to label"),
    h("p", null, "These runs have no decisions by a judge. Labels say whether a judge was right."),
    h("p", null, h("a", { href: links.overview() }, "Back to the overview")),
  );
}
