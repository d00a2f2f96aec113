// Production calls: what agents of platforms said to real users, judged by hand and turned into test cases.

import { all, page, read, send } from "./api.js";
import { chatMessage } from "./chat_messages.js";
import { schemaForm } from "./form.js";
import { h, longText, text } from "./dom.js";
import { duration, plural, pretty, since, when } from "./format.js";
import { action, ask, emptyState, note } from "./page_parts.js";
import { formSchema, move } from "./resource_pages.js";

const LABELS = { good: "pass", bad: "fail" };
const FILTERS = [
  ["", "All"],
  ["unseen", "Not reviewed"],
  ["good", "Good"],
  ["bad", "Bad"],
];

export async function callsPage(context, place) {
  const { address } = context;
  const show = place.query.get("show") || "";
  const query = show === "unseen" ? { seen: false } : { label: show || null };
  const [sources, first] = await Promise.all([all("/call-sources"), page("/calls", query)]);
  const list = h("ul.items", { "aria-label": "Calls" });
  const more = action("Show more", async () => add(await page("/calls", query, next)));
  let next = null;
  const add = ({ data, next: following }) => {
    list.append(...data.map((call) => callItem(address, call)));
    next = following;
    more.hidden = !next;
  };
  add(first);
  const chips = FILTERS.map(([value, word]) =>
    h(
      "a",
      { href: address.href(["calls"], value ? { show: value } : null), "aria-current": value === show ? "true" : null },
      word,
    ),
  );
  const none = sources.length ? h("p.none", null, show ? "No calls match." : "No calls fetched yet.") : null;
  const empty = emptyState(
    "No calls yet",
    "Fetch what your agents on Retell, Vapi or ElevenLabs said to real users: name an agent below, then fetch.",
  );
  return {
    element: h(
      "main.page.resource",
      { id: "main", tabindex: "-1" },
      h(
        "header.title",
        null,
        h("h1", null, "Calls"),
        h("p.lead", null, "What agents said to real users. Label them, and make test cases of those that went wrong."),
      ),
      sources.length || first.data.length
        ? [h("nav.tabs", { "aria-label": "Which calls" }, chips), first.data.length ? list : none, more]
        : empty,
      await sourcesSection(context, sources),
    ),
    view: "calls",
    title: "Calls",
    keys: { j: () => move(1), k: () => move(-1) },
    help: [
      ["j", "next call"],
      ["k", "previous call"],
    ],
  };
}

function callItem(address, call) {
  return h(
    "li",
    null,
    h(
      "div",
      null,
      h("a.name", { href: address.href(["calls", call.id]) }, text(when(call.started_at))),
      call.seen_at ? null : h("small", null, " new"),
    ),
    h(
      "p.facts",
      null,
      h("span", null, call.platform),
      call.seconds === null ? null : h("span", null, duration(call.seconds)),
      call.label ? h(`span.told.o-${LABELS[call.label]}`, null, call.label) : null,
    ),
  );
}

async function sourcesSection({ app }, sources) {
  const rows = sources.map((source) =>
    h(
      "li",
      null,
      h("div", null, h("b", null, text(source.platform_agent_id)), " ", h("small", null, source.platform)),
      h("p.facts", null, h("span", null, source.synced_at ? `fetched ${since(source.synced_at)}` : "never fetched")),
      h(
        "div.tools",
        null,
        action("Fetch calls", async () => {
          const { data } = await send("POST", `/call-sources/${source.id}/pull`, { body: {} });
          await app.show(false);
          return `${plural(data.new, "new call")}.${data.more ? " There are more." : ""}`;
        }),
        action("Delete", async () => {
          if (!(await ask(`Delete the source “${source.platform_agent_id}”?`, "Its calls stay.", "Delete source")))
            return;
          await send("DELETE", `/call-sources/${source.id}`);
          await app.show(false);
        }),
      ),
    ),
  );
  const agents = await all("/agents");
  const choices = { agent_id: agents.map((agent) => ({ value: agent.id, label: agent.name })) };
  const slot = h("div");
  let form = null;
  const box = h("details.fold", null, h("summary", null, "Add a call source"), slot);
  const fill = async () => {
    if (form) return;
    form = schemaForm(await formSchema("call-sources"), {
      layout: { main: ["platform", "platform_agent_id", "api_key", "agent_id"] },
      choices,
    });
    const element = h(
      "form",
      { novalidate: true, autocomplete: "off", "aria-label": "New call source" },
      form.element,
      h("div.form-tools", null, h("button.primary", { type: "submit" }, "Save")),
    );
    element.addEventListener("submit", async (event) => {
      event.preventDefault();
      try {
        await send("POST", "/call-sources", { body: form.value() });
        await app.show(false);
      } catch (error) {
        form.show(error.problems || [], error.message);
      }
    });
    slot.replaceChildren(element);
  };
  box.addEventListener("toggle", () => box.open && fill());
  if (!sources.length) box.open = true;
  return h(
    "section",
    null,
    h("h2", null, "Call sources"),
    h("ul.items", { "aria-label": "Call sources" }, rows),
    box,
  );
}

export async function callPage({ address, app }, place) {
  const id = place.path[1];
  const call = await read(`/calls/${id}`);
  if (!call.seen_at) send("PATCH", `/calls/${id}`, { body: { seen: true } }).catch(() => null);
  const told = h("span.told", { role: "status" });
  const label = (value) =>
    action(
      value === "good" ? "Good" : "Bad",
      async () => {
        await send("PATCH", `/calls/${id}`, { body: { label: call.label === value ? null : value } });
        await app.show(false);
      },
      { kind: call.label === value ? "button.chosen" : "button", place: told },
    );
  const makeCase = (write) => async () => {
    note(told, write ? "Generating a test case…" : "");
    const { data } = await send("POST", `/calls/${id}/test-case`, { body: { write } });
    const made = data.scenarios.find((scenario) => scenario.id);
    if (made) address.go(address.href(["define", "scenarios", made.id]));
    else note(told, data.problems.join(" ") || "No test case was created.", "fail");
  };
  return {
    element: h(
      "main.page.resource",
      { id: "main", tabindex: "-1" },
      h("p.up", null, h("a", { href: address.href(["calls"]) }, "← Calls")),
      h(
        "header.title",
        null,
        h("h1", null, `Call of ${when(call.started_at)}`),
        h(
          "p.facts",
          null,
          h("span", null, call.platform),
          call.seconds === null ? null : h("span", null, duration(call.seconds)),
          h("span", null, text(call.platform_call_id)),
        ),
      ),
      h(
        "p.actions",
        null,
        label("good"),
        label("bad"),
        action("Create a test case from the user's messages", makeCase(false), { place: told }),
        action("Generate a test case with a model", makeCase(true), { place: told }),
        told,
      ),
      call.problem ? h("p.note", null, text(call.problem)) : null,
      h("ol.messages", { "aria-label": "Conversation" }, call.messages.map((message) => chatMessage(message))),
      h(
        "details.fold",
        null,
        h("summary", null, "Data from the platform"),
        longText(pretty(JSON.stringify(call.data)), "pre"),
      ),
    ),
    view: "calls",
    title: "Call",
    keys: { o: () => address.go(address.href(["calls"])) },
    help: [["o", "all calls"]],
  };
}
