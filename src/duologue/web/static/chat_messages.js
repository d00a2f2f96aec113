// Messages in the format of chat completions, as agents and platforms send them.

import { h, longText, text } from "./dom.js";
import { pretty } from "./format.js";

const ROLES = { __proto__: null, user: "User", assistant: "Agent", tool: "Tool", system: "System" };

/**
 * A message of a conversation, with the tools that it calls.
 * @param {Object} message
 * @param {string} [options.user]  what the user is called
 * @param {?string} [options.facts]  such as how long it took
 */
export function chatMessage(message, { user = ROLES.user, facts = null } = {}) {
  const role = ROLES[message.role] ? message.role : "other";
  const who = role === "user" ? user : ROLES[message.role] || message.role;
  const said = contentOf(message);
  const calls = (message.tool_calls || []).map((call) =>
    h(
      "div.call",
      null,
      h("code.name", null, text(call.function?.name)),
      longText(pretty(call.function?.arguments ?? ""), "pre"),
    ),
  );
  return h(
    `li.message.${role}`,
    null,
    h("div.head", null, h("b", null, text(who)), facts ? h("span.facts", null, h("span", null, facts)) : null),
    said ? longText(said) : null,
    calls,
  );
}

/** What a message says as text; parts that are none are named. */
export function contentOf({ content }) {
  if (typeof content === "string") return content;
  if (Array.isArray(content)) return content.map((part) => part.text || `[${part.type}]`).join("\n");
  return content ? pretty(content) : "";
}
