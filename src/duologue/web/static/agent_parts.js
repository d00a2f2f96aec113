// An agent: its versions, what differs between them, publish, roll back, and whether a runtime reaches it.

import { all, read, send } from "./api.js";
import { diffTable } from "./diff.js";
import { h, text } from "./dom.js";
import { when } from "./format.js";
import { action, note } from "./page_parts.js";

export function agentTools({ address }, item) {
  return [h("a.button", { href: address.href(["define", "evals", "new"], { agent_id: item.id }) }, "New eval")];
}

export function agentParts(context, item, page) {
  return { after: [versionsSection(context, item, page), runtimesSection(item)] };
}

function versionsSection(context, item, page) {
  const list = h("ol.items.versions", { "aria-label": "Versions" });
  const difference = h("div.difference", { "aria-live": "polite" });
  const remark = h("input", {
    type: "text",
    id: "version-note",
    autocomplete: "off",
    placeholder: "What is new in this version",
  });
  const publish = action(
    "Publish a version",
    async () => {
      if (page.dirty) throw new Error("Save the draft before you publish it.");
      const { data } = await send("POST", `/agents/${item.id}/publish`, { body: { note: remark.value } });
      remark.value = "";
      await Promise.all([fill(), page.reread()]);
      return `Version ${data.version} is published.`;
    },
    { kind: "button" },
  );
  const fill = async () => {
    const versions = (await all(`/agents/${item.id}/versions`)).sort((one, other) => other.version - one.version);
    list.replaceChildren(...versions.map((version, index) => row(version, versions[index + 1])));
    if (!versions.length)
      list.replaceChildren(h("li.none", null, "No version has been published yet. Until then evals use the draft."));
  };
  const row = (version, before) =>
    h(
      "li",
      null,
      h(
        "div",
        null,
        h("b", null, `Version ${version.version}`),
        version.note ? h("p", { dir: "auto" }, text(version.note)) : null,
      ),
      h("p.facts", null, h("span", null, when(version.published_at))),
      h(
        "div.tools",
        null,
        before
          ? action(`Compare with version ${before.version}`, () => show(before.version, version.version))
          : null,
        action("Compare with the draft", () => show(version.version, null)),
        action("Restore as draft", async () => {
          await send("POST", `/agents/${item.id}/rollback`, { body: { version: version.version } });
          await context.app.show(false);
        }),
      ),
    );
  const show = async (before, after) => {
    const { data } = await read(`/agents/${item.id}/diff`, { before, after });
    const title = after === null ? `Version ${before} and the draft` : `Versions ${before} and ${after}`;
    difference.replaceChildren(
      h("h3", null, title),
      diffTable(data, after === null ? "the draft" : `version ${after}`),
    );
  };
  fill().catch((error) => list.replaceChildren(h("li.none", null, text(error.message))));
  return h(
    "section",
    null,
    h("h2", null, "Versions"),
    h("p.inline", null, h("label.quiet", { for: "version-note" }, "Note"), remark, publish),
    list,
    difference,
  );
}

function runtimesSection(item) {
  const place = h("div", null);
  read(`/agents/${item.id}/runtimes`).then(
    ({ data }) => {
      const result = h("p.told", { role: "status" });
      const rows = data.map((runtime) =>
        h(
          "li",
          null,
          h(
            "div",
            null,
            h("b", null, text(runtime.label)),
            runtime.is_default ? h("small", null, " default") : null,
            h("p", null, text(runtime.description)),
          ),
          h(
            "div.tools",
            null,
            action(
              "Test",
              async () => {
                note(result, "Asking the agent…");
                const wanted = item.agent.runtime?.kind === runtime.kind ? item.agent.runtime : { kind: runtime.kind };
                const { data: found } = await send("POST", "/evals/test-runtime", {
                  body: { agent_id: item.id, mode: runtime.mode || "text", runtime: wanted },
                });
                note(result, found.message, found.ok ? "pass" : "fail");
              },
              { place: result },
            ),
          ),
        ),
      );
      place.replaceChildren(h("ul.items", { "aria-label": "Runtimes" }, rows), result);
    },
    (error) => place.replaceChildren(h("p.none", null, text(error.message))),
  );
  return h("section", null, h("h2", null, "Runtimes"), place);
}
