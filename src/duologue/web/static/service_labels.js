// The queue of decisions: somebody says of each whether the judge was right. All of it by keyboard.

import { conversation } from "./conversation.js";
import { h, text } from "./dom.js";
import { count, percent, plural } from "./format.js";
import { table } from "./tables.js";
import { mark } from "./verdicts.js";

const WORDS = { pass: "pass", fail: "fail", unsure: "unsure" };
const OUTCOME = { pass: "pass", fail: "fail", unsure: "undecided" };
const OTHER = { pass: "fail", fail: "pass" };

/**
 * @param {Object} context  see runs_page.js
 * @param {Place} place  the number in its query says which decision is shown
 * @returns {Promise<Page>}
 */
export async function labelPage(context, place) {
  const queue = await context.source.labels(context.id);
  return new LabelPage(context, queue, place.query.get("at"));
}

class LabelPage {
  constructor(context, queue, at) {
    Object.assign(this, { context, queue, decisions: queue.decisions });
    this.view = "label";
    this.title = "Label";
    this.runs = new Map();
    this.at = this.begin(at);
    this.card = h("section.judged-one", { "aria-labelledby": "decision-title" });
    this.talk = h("section.talk", { "aria-label": "Conversation" });
    this.progress = h("p.facts");
    this.side = h("aside", { "aria-label": "Agreement" });
    this.told = h("p.told", { role: "status" });
    this.note = h("input", {
      type: "text",
      id: "note",
      "aria-label": "Note",
      placeholder: "Note  ( n )",
      autocomplete: "off",
    });
    this.note.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      this.note.blur();
      if (this.current.label) this.say(this.current.label.value, false);
    });
    this.element = h(
      "main.page.label",
      { id: "main", tabindex: "-1" },
      h(
        "header.title",
        null,
        h("p.up", null, h("a", { href: context.links.overview() }, "← Overview")),
        h("h1", null, "Is the judge right?"),
        this.progress,
      ),
      this.decisions.length
        ? h("div.columns", null, h("div", null, this.card, this.talk), this.side)
        : h("p.none", null, "No judge has decided anything in this execution, so there is nothing to label."),
    );
    this.keys = {
      a: () => this.agree(),
      d: () => this.disagree(),
      u: () => this.say("unsure"),
      n: () => this.note.focus(),
      j: () => this.go(1),
      k: () => this.go(-1),
      s: () => this.go(1),
      o: () => context.address.go(context.links.overview()),
    };
    this.help = [
      ["a", "agree with the judge"],
      ["d", "disagree"],
      ["u", "unsure"],
      ["n", "write a note"],
      ["j", "next decision"],
      ["k", "previous decision"],
      ["o", "overview"],
    ];
  }

  begin(at) {
    const known = Number(at);
    if (at && Number.isInteger(known) && known >= 1 && known <= this.decisions.length) return known - 1;
    const open = this.decisions.findIndex((item) => !item.label);
    return open < 0 ? 0 : open;
  }

  get current() {
    return this.decisions[this.at];
  }

  shown() {
    if (!this.decisions.length) return;
    this.draw();
    this.drawAgreement();
  }

  go(by) {
    const next = this.at + by;
    if (next < 0 || next >= this.decisions.length) return;
    this.at = next;
    this.draw();
  }

  agree() {
    return this.say(this.current.decision);
  }

  disagree() {
    return this.say(OTHER[this.current.decision] || "unsure");
  }

  async draw() {
    const item = this.current;
    const done = this.decisions.filter((one) => one.label).length;
    this.progress.replaceChildren(
      h("span", null, `Decision ${count(this.at + 1)} of ${count(this.decisions.length)}`),
      h("span", null, `${count(done)} labelled by ${this.queue.rater}`),
      ...(this.queue.others ? [h("span", null, plural(this.queue.others, "other rater"))] : []),
    );
    const button = (key, word, work, on) =>
      h(
        `button.answer${on ? ".chosen" : ""}`,
        { type: "button", onclick: work, "aria-pressed": on ? "true" : "false" },
        word,
        h("kbd", { "aria-hidden": "true" }, key),
      );
    const value = item.label?.value;
    const agrees = value && value === item.decision;
    const focused = this.card.contains(document.activeElement) ? document.activeElement.textContent : null;
    this.note.value = item.label?.note || "";
    this.card.replaceChildren(
      h("p.what", null, item.criterion ? "Criterion" : "The run as a whole"),
      h("h2", { id: "decision-title", dir: "auto" }, text(item.criterion || item.title)),
      h(
        "p.judged",
        null,
        mark(OUTCOME[item.decision]),
        " The judge says ",
        h("b", null, WORDS[item.decision]),
        item.reason ? [": ", h("span", { dir: "auto" }, text(item.reason))] : ".",
      ),
      h(
        "p.answers",
        null,
        button("a", "Agree", () => this.agree(), agrees),
        button("d", "Disagree", () => this.disagree(), value && !agrees && value !== "unsure"),
        button("u", "Unsure", () => this.say("unsure"), value === "unsure"),
      ),
      h(
        "p.inline",
        null,
        this.note,
        h("button.more", { type: "button", onclick: () => this.go(-1), "aria-label": "Previous decision" }, "‹"),
        h("button.more", { type: "button", onclick: () => this.go(1), "aria-label": "Next decision" }, "›"),
      ),
      this.told,
      h("p.note", null, h("a", { href: this.context.links.run(item.run) }, text(item.title))),
    );
    if (focused) [...this.card.querySelectorAll("button")].find((one) => one.textContent === focused)?.focus();
    const run = await this.run(item.run);
    if (this.current !== item) return;
    this.talk.replaceChildren(conversation(this.context.links, run));
    const cited = item.cites.map((id) => document.getElementById(`m:${id}`)).filter(Boolean);
    cited.forEach((message) => message.classList.add("cited"));
  }

  async run(id) {
    if (!this.runs.has(id)) {
      if (this.runs.size > 20) this.runs.delete(this.runs.keys().next().value);
      this.runs.set(id, await this.context.source.run(this.context.id, id));
    }
    return this.runs.get(id);
  }

  async say(value, on = true) {
    const item = this.current;
    this.told.replaceChildren();
    try {
      item.label = await this.context.source.setLabel(this.context.id, {
        run: item.run,
        criterion: item.criterion,
        value,
        note: this.note.value,
      });
    } catch (error) {
      this.told.className = "told o-fail";
      return this.told.replaceChildren(...text(error.message));
    }
    if (on && this.current === item && this.at + 1 < this.decisions.length) this.go(1);
    else this.draw();
    return this.drawAgreement();
  }

  async drawAgreement() {
    if (!this.context.source.agreement) return;
    const { criteria, remarks } = await this.context.source.agreement(this.context.id);
    const share = (found) => (found.rate === null ? "–" : percent(found.rate));
    const rows = criteria.map((item) =>
      h(
        "tr",
        null,
        h("th", { scope: "row", dir: "auto" }, text(item.criterion)),
        h("td.n", null, share(item.agreement)),
        h(
          "td.n",
          null,
          item.kappa?.value === undefined || item.kappa?.value === null ? "–" : item.kappa.value.toFixed(2),
        ),
        h("td.n", null, count(item.compared)),
      ),
    );
    const head = ["", "agreement", "kappa", "labels"].map((word, index) =>
      h(index ? "th.n" : "td", index ? { scope: "col" } : null, word),
    );
    this.side.replaceChildren(
      h("h2", null, "Agreement"),
      rows.length
        ? table("Agreement", head, rows, "table.small")
        : h("p.none", null, "Label a decision to see how well judge and people agree."),
      ...remarks.map((remark) => h("p.note", null, text(remark))),
    );
  }
}
