// Writing to an agent: a conversation that somebody has with it in the playground, turn by turn.

import { send } from "./api.js";
import { chatMessage, contentOf } from "./chat_messages.js";
import { h } from "./dom.js";
import { duration } from "./format.js";
import { action, leaving, note } from "./page_parts.js";

const KEPT = ["role", "content", "tool_calls", "tool_call_id", "name"];

export class Talk {
  /**
   * @param {{kind: string, id: string}} chosen  the agent: a connector or a saved agent
   * @param {function(string[])} keep  called with what the user has said
   */
  constructor(chosen, keep) {
    Object.assign(this, { chosen, keep });
    this.messages = [];
    this.thread = null;
    this.list = h("ol.messages", { "aria-label": "Conversation" });
    this.status = h("p.told", { role: "status" });
    this.field = h("textarea", {
      id: "say",
      rows: "2",
      "aria-label": "Your message",
      placeholder: "Write to the agent",
    });
    this.button = h("button.primary", { type: "submit" }, "Send");
    this.after = h(
      "p.actions",
      { hidden: true },
      action("Save as a scenario", () => this.save(), { kind: "button" }),
      action("Start over", () => this.anew()),
    );
    this.none = h("p.none", null, "Say something: the agent answers here.");
    const form = h("form.say", { "aria-label": "Your turn" }, this.field, this.button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.say();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.say();
    });
    this.element = h(
      "section.talk",
      { "aria-label": "Conversation" },
      this.none,
      this.list,
      this.status,
      form,
      this.after,
    );
    this.round = 0;
    this.guard = leaving(() => this.messages.length > 0 || this.field.value.trim() !== "");
  }

  shown() {
    this.field.focus({ preventScroll: true });
  }

  left() {
    this.guard();
    this.gone = true;
  }

  async say() {
    const words = this.field.value.trim();
    if (!words || this.busy) return;
    this.busy = true;
    const { round } = this;
    const stale = () => this.gone || round !== this.round; // nobody waits for this answer any more
    this.button.setAttribute("aria-disabled", "true");
    this.none.hidden = true;
    this.add({ role: "user", content: words });
    this.field.value = "";
    note(this.status, "The agent is answering…");
    try {
      const body = { messages: this.messages.map(sent), ...(this.thread ? { thread_id: this.thread } : {}) };
      const { data } = await send("POST", `/${this.chosen.kind}s/${this.chosen.id}/invoke`, { body });
      if (stale()) return;
      if (!data.success) throw new Error(data.error || "the agent has not answered");
      this.thread = data.thread_id;
      data.messages.forEach((message, index) => this.add(message, index ? null : data.latency_ms));
      note(this.status, "");
    } catch (error) {
      if (stale()) return;
      // What was not answered is not part of the conversation: it can be sent again, with what was written meanwhile.
      this.messages.pop();
      this.list.lastElementChild?.remove();
      this.field.value = [words, this.field.value].filter(Boolean).join("\n");
      note(this.status, error.message, "fail");
    } finally {
      if (!stale()) this.rest();
    }
    this.after.hidden = !this.messages.length;
    this.field.focus();
    this.after.scrollIntoView({ block: "nearest" });
  }

  add(message, latency = null) {
    this.messages.push(message);
    const facts = latency === null ? null : duration(latency / 1000);
    this.list.append(chatMessage(message, { user: "You", facts }));
    this.list.lastElementChild.scrollIntoView({ block: "nearest" });
  }

  rest() {
    this.busy = false;
    this.button.removeAttribute("aria-disabled");
  }

  anew() {
    this.round += 1;
    this.rest();
    note(this.status, "");
    this.messages = [];
    this.thread = null;
    this.list.replaceChildren();
    this.none.hidden = false;
    this.after.hidden = true;
    this.field.focus();
  }

  save() {
    const said = this.messages.filter((message) => message.role === "user").map(contentOf);
    this.guard();
    this.keep(said);
  }
}

function sent(message) {
  const found = Object.fromEntries(
    KEPT.filter((name) => message[name] !== undefined && message[name] !== null).map((name) => [name, message[name]]),
  );
  return typeof found.content === "string" || found.content === undefined
    ? found
    : { ...found, content: contentOf(message) };
}
