// What the pages of the service have in common: empty states, questions, notes, and buttons that wait for the service.

import { h, text } from "./dom.js";

/** An empty place that says what to do next. */
export function emptyState(title, told, ...actions) {
  return h("section.emptiness", null, h("h2", null, title), h("p", null, text(told)), h("p.actions", null, actions));
}

export function tools(...items) {
  const found = items.flat().filter(Boolean);
  return found.length ? h("div.tools", null, found) : null;
}

/** Say in a place what has happened; screen readers say it too where the place is a status. */
export function note(place, told, outcome = null) {
  place.className = outcome ? `told o-${outcome}` : "told";
  place.replaceChildren(...text(told));
}

/** Ask before something that cannot be undone. Resolves to whether somebody is sure. */
export function ask(title, told, yes, { danger = true } = {}) {
  return new Promise((resolve) => {
    const cancel = h("button.more", { type: "button", onclick: () => dialog.close() }, "Cancel");
    const sure = h(
      danger ? "button.danger" : "button.primary",
      { type: "button", onclick: () => dialog.close("yes") },
      text(yes),
    );
    const dialog = h(
      "dialog.ask",
      { "aria-labelledby": "ask-title" },
      h("h2", { id: "ask-title" }, text(title)),
      told ? h("p", null, text(told)) : null,
      h("p.actions", null, cancel, sure),
    );
    const before = document.activeElement;
    dialog.addEventListener("close", () => {
      dialog.remove();
      before?.focus?.();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    cancel.focus();
  });
}

/** A button that does something of the service: it says that it is at work, and what went wrong. */
export function action(label, work, { kind = "more", place = null } = {}) {
  const button = h(`button.${kind}`, { type: "button" }, label);
  const told = place || h("span.told", { role: "status" });
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-disabled")) return;
    button.setAttribute("aria-disabled", "true");
    note(told, "");
    try {
      const said = await work();
      if (typeof said === "string") note(told, said, "pass");
    } catch (error) {
      note(told, error.message || String(error), "fail");
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
  return place ? button : h("span.action", null, button, told);
}

const unsaved = new Set(); // of the page that is shown: each says whether something would be lost
let asked = null;

/** Ask before somebody leaves a page with unsaved changes, in whatever way. Returns what stops that. */
export function leaving(dirty) {
  const hear = (event) => dirty() && event.preventDefault();
  addEventListener("beforeunload", hear);
  unsaved.add(dirty);
  return () => {
    removeEventListener("beforeunload", hear);
    unsaved.delete(dirty);
  };
}

/** Null if nothing would be lost, else a promise of whether somebody leaves all the same. */
export function askToLeave() {
  if (![...unsaved].some((dirty) => dirty())) return null;
  asked ??= ask("Leave this page?", "Your changes are not saved.", "Leave without saving").finally(() => {
    asked = null;
  });
  return asked;
}

/** A table of names and values. */
export function pairs(rows) {
  return h(
    "dl.pairs",
    null,
    rows
      .filter(([, value]) => value !== null && value !== undefined && value !== "")
      .map(([name, value]) =>
        h("div", null, h("dt", null, name), h("dd", null, value instanceof Node ? value : text(value))),
      ),
  );
}
