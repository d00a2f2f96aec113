// The conversation of a run: messages with the tools that they call, pictures and sound, and the checks that failed.

import { h, longText, text } from "./dom.js";
import { brief, bytes, duration, money, pretty, shortened } from "./format.js";
import { mark } from "./verdicts.js";

const ROLES = { __proto__: null, user: "User", assistant: "Agent", tool: "Tool", system: "System" };

const LONGEST_FACT = 2000; // characters

export function prompts(run) {
  return run.prompts.map((prompt, index) =>
    h(
      "details.prompt",
      null,
      h("summary", null, run.prompts.length > 1 ? `System prompt ${index + 1}` : "System prompt"),
      longText(prompt),
    ),
  );
}

// `beside` makes what stands beside the heading of a turn, of its number from 0.
export function conversation(links, run, beside = null) {
  const list = h("ol.messages");
  const media = run.media || [];
  const failures = new Map();
  for (const item of run.checks)
    if (item.status === "fail" || item.status === "error")
      for (const id of item.cites || []) failures.set(id, [...(failures.get(id) || []), item]);
  const names = new Map(run.messages.flatMap((message) => (message.calls || []).map((call) => [call.id, call.name])));
  let turn = -1;
  for (const message of run.messages) {
    if (message.turn !== turn) {
      turn = message.turn;
      list.append(h("li.turn", { "aria-label": `Turn ${turn + 1}` }, `Turn ${turn + 1}`, beside?.(turn)));
    }
    list.append(
      messageItem(
        links,
        run,
        message,
        media.filter((item) => item.message === message.id),
        failures.get(message.id),
        names,
      ),
    );
  }
  if (!run.messages.length) list.append(h("li.none", null, "Nothing was said."));
  return list;
}

function messageItem(links, run, message, media, failed, names) {
  const facts = [
    message.spent && message.spent[4] ? duration(message.spent[4]) : null,
    message.spent && message.spent[3] ? money(message.spent[3]) : null,
    message.model,
  ];
  const who = ROLES[message.role] || message.role;
  const author = message.author && message.author !== who ? h("span.author", null, text(message.author)) : null;
  const tool = message.answers && names.has(message.answers) ? h("code", null, text(names.get(message.answers))) : null;
  const head = h(
    "div.head",
    null,
    h("b", null, text(who)),
    tool || author,
    h(
      "span.facts",
      null,
      facts.filter(Boolean).map((fact) => h("span", null, text(fact))),
    ),
    h("a.id", { href: links.run(run.id, message.id), title: "Link to this message" }, text(message.id)),
  );
  const body = [];
  if (message.role === "tool") body.push(folded(pretty(message.text)));
  else if (message.text) body.push(longText(message.text));
  if (message.cut) body.push(h("p.meta", null, h("span", null, text(message.cut))));
  body.push(
    ...(message.calls || []).map((call) =>
      h("div.call", null, h("code.name", null, text(call.name)), folded(pretty(call.args))),
    ),
  );
  body.push(...media.map(mediaItem));
  const said = ([name, value]) => name === "persona" && value === run.persona; // by the title of the run
  const meta = Object.entries(message.meta || {}).filter((item) => !said(item));
  if (meta.length) {
    const told = (value) => (typeof value === "object" ? JSON.stringify(value) : String(value));
    const known = meta.map(([name, value]) => `${name.replaceAll("_", " ")}: ${told(value)}`);
    body.push(
      h(
        "p.meta",
        null,
        known.map((fact) => h("span", null, text(brief(fact, LONGEST_FACT)))),
      ),
    );
  }
  const notes = (failed || []).map((item) =>
    h(
      "p.failed",
      null,
      mark(item.status),
      h("b", null, text(item.name)),
      item.why ? h("span", { dir: "auto" }, text(brief(item.why, 300))) : null,
    ),
  );
  const role = ROLES[message.role] ? message.role : "other";
  return h(`li.message.${role}`, { id: `m:${message.id}`, tabindex: "-1" }, head, body, notes);
}

// Data of a tool: short ones are open, long ones are folded.
function folded(value) {
  if (value.length < 400) return h("pre", { dir: "auto" }, text(value));
  const start = value.slice(0, 400).replace(/\s+/g, " ").slice(0, 90);
  return h("details", null, h("summary", null, text(start + "…")), longText(value, "pre"));
}

function mediaItem(item) {
  const size = [
    item.mime,
    item.width ? `${item.width} × ${item.height}` : null,
    item.duration ? duration(item.duration) : null,
    item.size ? bytes(item.size) : null,
  ]
    .filter(Boolean)
    .join(", ");
  const name = item.path || item.type;
  const shown = !item.src
    ? null
    : item.type === "image"
      ? h("img", { src: item.src, alt: `picture: ${name}`, loading: "lazy" })
      : h(item.type === "video" ? "video" : "audio", { src: item.src, controls: true, preload: "none" });
  const told = text(shortened(name, 48)); // files are named by their digests
  const link = item.href ? h("a", { href: item.href, rel: "noreferrer", title: name }, told) : h("span", null, told);
  const caption = h("figcaption", null, link, h("small", null, size));
  return h(`figure.media${item.type === "audio" ? ".audio" : ""}`, null, shown, caption);
}
