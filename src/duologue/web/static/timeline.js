// What happened in a run, in order: model calls with what came back, tools, messages, checks.

import { h, longText, text } from "./dom.js";
import { brief, count, duration, money, plural, pretty } from "./format.js";

const KINDS = { __proto__: null, model: "model", tool: "tool", message: "message", check: "check" };
const SHOWN = 300;

/**
 * A section that asks for the timeline when somebody opens it.
 * @param {function(): Promise<Object[]>} calls
 */
export function timelineSection(calls) {
  const body = h("div");
  const head = h("summary", null, h("b", null, "Model calls and timeline"));
  const details = h("details.timeline-box", { "data-key": "timeline" }, head, body);
  details.addEventListener("toggle", async () => {
    if (!details.open) return;
    try {
      body.replaceChildren(...timeline(await calls()));
      body.dataset.kept = ""; // also when the run is drawn again
    } catch (error) {
      body.replaceChildren(h("p.none", null, text(error.message)));
    }
  });
  return details;
}

function timeline(events) {
  if (!events.length) return [h("p.none", null, "This run has no journal, so it has no timeline.")];
  const models = events.filter((event) => event.kind === "model");
  const told = `${plural(models.length, "model call")}, ${plural(events.length, "event")}`;
  const list = h("ol.timeline", null, events.slice(0, SHOWN).map(item));
  const rest = events.slice(SHOWN);
  const more = h("button.more", { type: "button" }, `Show all ${count(events.length)}`);
  more.addEventListener("click", () => {
    list.append(...rest.map(item));
    more.remove();
  });
  return [h("p.note", null, told), list, ...(rest.length ? [more] : [])];
}

function item(event) {
  const facts = [
    event.seconds ? duration(event.seconds) : null,
    event.kind === "model" ? `${count(event.input)} + ${count(event.output)} tokens` : null,
    event.cost ? money(event.cost) : null,
    event.attempts > 1 ? plural(event.attempts, "attempt") : null,
    event.replayed ? "from the recording" : null,
    event.status || null,
  ].filter(Boolean);
  const name = event.kind === "model" ? `${event.name} · ${event.model}` : event.name;
  const row = h(
    "div.row",
    null,
    h("small", null, duration(event.at)),
    h("small", null, KINDS[event.kind]),
    h("span", null, h("b", null, text(name)), " ", text(brief(event.error || event.text || "", 160))),
    h("small", null, facts.join(" · ")),
  );
  if (event.kind !== "model" && event.kind !== "tool") return h("li", null, row);
  const parts = [
    event.arguments ? ["arguments", pretty(event.arguments)] : null,
    ...(event.calls || []).map((call) => [call.name, pretty(call.args)]),
    event.text ? ["answer", pretty(event.text)] : null,
    event.error ? ["error", event.error] : null,
    event.finish ? ["ended", event.finish] : null,
    event.digest ? ["digest of the request", event.digest] : null,
  ].filter(Boolean);
  const details = h("details", null, h("summary", null, "Details"));
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1)
      details.append(
        ...parts.map(([word, value]) => h("div", null, h("small", null, text(word)), longText(value, "pre"))),
      );
  });
  return h("li", null, row, details);
}
