// Signing in with a token, and choosing a project.

import { toPart } from "./address.js";
import { Problem, session, signedIn } from "./api.js";
import { h, text } from "./dom.js";

const SESSION = "/api/pages/session";
const tabs = new BroadcastChannel("duologue session"); // of this service that the browser has open

/** Call something when somebody has signed out, or in, in another tab. */
export function inOtherTabs({ out, again }) {
  tabs.onmessage = ({ data }) => (data === "out" ? out() : again());
}

/** Who looks at the pages. Waits as long as the service is away: `away` is called while it is. */
export async function currentSession(away) {
  for (let attempt = 0; ; attempt += 1) {
    try {
      const response = await fetch(SESSION, { cache: "no-store", credentials: "same-origin" });
      if (response.ok) {
        if (attempt) away(false);
        return await response.json();
      }
      if (response.status < 500) throw new Problem(response.status, await response.json().catch(() => ({})));
    } catch (error) {
      if (error instanceof Problem) throw error;
    }
    away(true);
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

async function signIn(token) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(SESSION, {
    method: "POST",
    headers,
    body: JSON.stringify({ token }),
    credentials: "same-origin",
  });
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Problem(response.status, body);
  tabs.postMessage("in");
  return body;
}

/** Sign out in all tabs. Resolves to whether that could be done. */
export async function signOut() {
  try {
    const response = await fetch(SESSION, { method: "DELETE", credentials: "same-origin" });
    if (!response.ok) return false;
  } catch {
    return false;
  }
  tabs.postMessage("out");
  return true;
}

/** A form that asks for a token. `done` is called with the session. */
function signInForm(done) {
  const told = h("p.problem", { id: "token-problem", role: "alert" });
  const field = h("input", {
    type: "password",
    id: "token",
    name: "token",
    autocomplete: "current-password",
    "aria-describedby": "token-help token-problem",
    required: true,
    spellcheck: "false",
  });
  const button = h("button.primary", { type: "submit" }, "Sign in");
  const form = h(
    "form.sign-in",
    { novalidate: true, "aria-label": "Sign in" },
    h(
      "div.field",
      null,
      h("label", { for: "token" }, "Token"),
      h(
        "p.help",
        { id: "token-help" },
        "An operator of this service creates one with ",
        h("code", null, "duologue tokens create NAME --scope run"),
        ". It begins with ",
        h("code", null, "duo_"),
        ".",
      ),
      field,
      told,
    ),
    h("p.actions", null, button),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    field.removeAttribute("aria-invalid");
    told.replaceChildren();
    if (!field.value.trim()) {
      told.append("Paste a token.");
      field.setAttribute("aria-invalid", "true");
      return field.focus();
    }
    button.setAttribute("aria-disabled", "true");
    try {
      return done(await signIn(field.value.trim()));
    } catch (error) {
      told.replaceChildren(
        ...text(error instanceof Problem ? error.message : "The service is not responding. Try again in a moment."),
      );
      field.setAttribute("aria-invalid", "true");
      return field.focus();
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
  return form;
}

export function signInPage(done, why = null) {
  return h(
    "main.page.narrow",
    { id: "main", tabindex: "-1" },
    h("h1", null, "Sign in"),
    why ? h("p", { role: "alert" }, why) : null,
    h("p.lead", null, "This service requires a token. It is kept in a cookie that no other site can read."),
    signInForm(done),
  );
}

/** Ask again in the middle of a page, whose content stays. */
export function signInAgain() {
  if (document.querySelector("dialog.sign-in-again")) return;
  const dialog = h(
    "dialog.ask.sign-in-again",
    { "aria-labelledby": "again-title" },
    h("h2", { id: "again-title" }, "Sign in again"),
    h("p", null, "Your token is no longer valid. Everything on this page stays as it is."),
  );
  const again = () => dialog.close();
  dialog.append(
    signInForm(() => {
      dialog.close();
      signedIn();
    }),
  );
  session.addEventListener("again", again); // in another tab
  dialog.addEventListener("close", () => {
    session.removeEventListener("again", again);
    dialog.remove(); // so that it is asked again after Esc
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Projects to choose from. */
export function projectsPage(projects) {
  return h(
    "main.page.narrow",
    { id: "main", tabindex: "-1" },
    h("h1", null, "Projects"),
    h("p.lead", null, "Choose a project."),
    h(
      "ul.items",
      null,
      projects.map(({ name }) => h("li", null, h("a.name", { href: `/p/${toPart(name)}/` }, text(name)))),
    ),
  );
}
