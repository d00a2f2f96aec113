// A connector: try whether its agent answers, with what is in the form, saved or not.

import { send } from "./api.js";
import { h, text } from "./dom.js";
import { pairs } from "./page_parts.js";

export function connectorTools({ address }, item) {
  return [h("a.button", { href: address.href(["playground"], { connector: item.id }) }, "Talk to it")];
}

/** The test: the service asks the agent something, as a run would. */
export function connectorTest(context, item, page) {
  const result = h("div.result", { role: "status" });
  const button = h("button.button", { type: "button" }, "Test connection");
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    const value = page.read();
    if (value === null) return;
    if (page.dirty && Object.values(value.headers || {}).includes("***"))
      return result.replaceChildren(
        h(
          "p.told.o-undecided",
          null,
          "Save your changes first: the test needs the saved credentials.",
        ),
      );
    button.setAttribute("aria-disabled", "true");
    result.replaceChildren(h("p.none", null, "Asking the agent…"));
    try {
      // What is saved has credentials that the form does not show; what is not is sent as it stands.
      const { data } = page.dirty
        ? await send("POST", "/connectors/probe", { body: value })
        : await send("POST", `/connectors/${item.id}/test`);
      result.replaceChildren(told(data));
    } catch (error) {
      result.replaceChildren(h("p.o-fail.told", null, text(error.message)));
      if (error.problems?.length) page.show(error.problems, error.message);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
  const section = h(
    "section",
    null,
    h("h2", null, "Connection"),
    h("p", null, "Send the agent a message to see whether it can be reached."),
    h("p", null, button),
    result,
  );
  return { after: [section] };
}

function told({ success, latency_ms: latency, response, error }) {
  const head = success
    ? h("p.o-pass.told", null, h("b", null, "The agent answers."), ` It took ${latency} ms.`)
    : h("p.o-fail.told", null, h("b", null, "The agent cannot be reached."), ` It took ${latency} ms.`);
  return h(
    "div",
    null,
    head,
    pairs([
      ["error", error],
      ["answer", response],
    ]),
  );
}
