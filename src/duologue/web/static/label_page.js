// The queue of decisions of judges: agree or disagree, by keyboard, with the conversation beside it.

import { conversation } from "./conversation.js";
import { h, text } from "./dom.js";
import { count, plural } from "./format.js";
import { executionTabs } from "./execution_page.js";
import { mark } from "./verdicts.js";

const WORDS = { pass: "met", fail: "not met", unsure: "not decided" };
const STATES = { pass: "pass", fail: "fail", unsure: "undecided" };
const OPPOSITE = { pass: "fail", fail: "pass" };

/** @returns {Promise<Page>} */
export async function labelPage(context) {
  const page = new LabelPage(context, await context.source.labels(context.id));
  await page.draw();
  return page;
}

class LabelPage {
  constructor(context, found) {
    Object.assign(this, context);
    this.context = context;
    this.found = found;
    this.view = "label";
    this.title = `Label ${context.execution.suite}`;
    this.tabs = executionTabs(context);
    this.at = Math.max(
      0,
      found.items.findIndex((item) => item.label === null),
    );
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

  get item() {
    return this.found.items[this.at];
  }

  async draw() {
    const { items } = this.found;
    if (!items.length) return this.element.replaceChildren(nothing(this.links));
    const run = await this.source.run(this.id, this.item.run);
    const cited = new Set(this.item.cites);
    const talk = h("section.talk", { "aria-label": "Conversation" }, conversation(this.links, run));
    for (const id of cited) talk.querySelector(`[id="${CSS.escape(`m:${id}`)}"]`)?.classList.add("cited");
    this.element.replaceChildren(
      h(
        "header.title",
        null,
        h("div", null, h("h1", null, "Is the judge right?"), this.progress()),
        h(
          "p.facts",
          null,
          h("span", null, text(`labels of ${this.found.rater}`)),
          h("span", null, text(this.found.file)),
        ),
      ),
      h("div.columns", null, talk, h("aside", { "aria-label": "Decision" }, this.decision(run), this.agreement())),
    );
    return talk.querySelector(".cited")?.scrollIntoView({ block: "center" });
  }

  progress() {
    const labelled = this.found.items.filter((item) => item.label !== null).length;
    const told = `${count(this.at + 1)} of ${count(this.found.items.length)}, ${count(labelled)} labelled`;
    return h("span.note", { role: "status" }, told);
  }

  decision(run) {
    const { criterion, decision, reason, label, note } = this.item;
    const choice = (value, word, key) =>
      h(
        `button.choice.o-${STATES[value]}`,
        { type: "button", "aria-pressed": String(label === value), onclick: () => this.give(value) },
        word,
        h("kbd", null, key),
      );
    const written = h("textarea", {
      id: "note",
      rows: 2,
      "aria-label": "Note",
      placeholder: "A note, if you like ( n )",
    });
    written.value = note;
    written.addEventListener("change", () => label && this.keep(label, written.value));
    return h(
      "section.decision",
      null,
      h("h2", null, h("a", { href: this.links.run(run.id) }, text(run.title))),
      h("p.criterion", { dir: "auto" }, text(criterion || "The run as a whole passes.")),
      h("p", null, mark(STATES[decision], WORDS[decision]), " The judge: ", h("b", null, WORDS[decision])),
      reason ? h("p.why", { dir: "auto" }, text(reason)) : null,
      h(
        "div.choices",
        null,
        choice("pass", "Met", "p"),
        choice("fail", "Not met", "f"),
        choice("unsure", "Unsure", "u"),
      ),
      written,
      h("p.problem", { role: "alert" }),
      h(
        "p.note",
        null,
        h("kbd", null, "a"),
        " agree  ",
        h("kbd", null, "d"),
        " disagree  ",
        h("kbd", null, "j"),
        " next  ",
        h("kbd", null, "k"),
        " back",
      ),
    );
  }

  // What the labels say of the judge so far.
  agreement() {
    const given = this.found.items.filter(
      (item) => item.label && item.label !== "unsure" && item.decision !== "unsure",
    );
    const agreed = given.filter((item) => item.label === item.decision).length;
    const table = this.found.calibration;
    const rows = (table?.rows || []).map(([name, ...cells]) =>
      h(
        "div",
        null,
        h("b", null, text(name)),
        h(
          "dl.pairs",
          null,
          cells.map((cell, place) => h("div", null, h("dt", null, table.head[place + 1]), h("dd", null, text(cell)))),
        ),
      ),
    );
    return h(
      "section",
      null,
      h("h2", null, "Judge and people"),
      given.length
        ? h("p", null, `You agree with ${count(agreed)} of ${plural(given.length, "decision")}.`)
        : h("p.none", null, "Nothing is labelled yet."),
      rows,
      (table?.remarks || []).map((remark) => h("p.note", null, text(remark))),
    );
  }

  agree() {
    if (this.item) this.give(this.item.decision);
  }

  disagree() {
    if (!this.item) return;
    const other = OPPOSITE[this.item.decision];
    if (other) this.give(other);
    else this.say("The judge has not decided: say what is right with p or f.");
  }

  // What keeps a decision from being kept stands beside it, and what was written stays.
  say(problem) {
    const found = this.element.querySelector(".problem");
    found?.replaceChildren(...text(problem));
  }

  async give(value) {
    if (!this.item) return;
    if (await this.keep(value, document.getElementById("note")?.value ?? "")) await this.move(1);
  }

  async keep(value, note) {
    const { item } = this;
    const { run, criterion } = item;
    try {
      await this.source.setLabel(this.id, { run, criterion, label: value, note, rater: this.found.rater });
    } catch (error) {
      this.say(`This label is not kept. ${error.message}`);
      return false;
    }
    item.label = value;
    item.note = note;
    return true;
  }

  async move(by) {
    const { at } = this;
    try {
      await this.moveTo(by);
    } catch (error) {
      this.at = at;
      this.say(error.message);
    }
  }

  async moveTo(by) {
    const next = Math.max(0, Math.min(this.found.items.length - 1, this.at + by));
    if (next === this.at && by > 0) this.found = { ...(await this.source.labels(this.id)), at: this.at };
    this.at = next;
    await this.draw();
  }
}

function nothing(links) {
  return h(
    "div.empty-state",
    null,
    h("h1", null, "There is nothing to label"),
    h("p", null, "No judge has decided anything in these runs: labels say whether a judge was right."),
    h("p", null, h("a", { href: links.overview() }, "Back to the overview")),
  );
}
