// The pages of `duologue serve`.

import { Address, fromPart, hostLinks, toPart } from "./address.js";
import { connection, session, signedIn } from "./api.js";
import { ApiSource } from "./api_source.js";
import { App } from "./app.js";
import { callPage, callsPage } from "./calls_pages.js";
import { definePage, importPage } from "./define_pages.js";
import { h, text } from "./dom.js";
import { LivePages } from "./live.js";
import { executionTools } from "./execution_tools.js";
import { askToLeave, emptyState } from "./page_parts.js";
import { playgroundPage, playgroundRunPage } from "./playground_pages.js";
import { itemPage, listPage } from "./resource_pages.js";
import { RESOURCES } from "./resources.js";
import { resultsPage } from "./results_pages.js";
import { settingsPage } from "./settings_pages.js";
import { currentSession, inOtherTabs, projectsPage, signInAgain, signInPage, signOut } from "./sign_in.js";
import { restoreTheme, themeButton } from "./theme.js";

const root = document.getElementById("app");

function plain(element, title) {
  document.title = `${title} · Duologue`;
  root.replaceChildren(
    h("header.bar", null, h("b.word", null, "Duologue"), h("nav", { "aria-label": "Views" }), themeButton()),
    h("div.stage", null, element),
  );
}

async function begin() {
  const away = (lost) =>
    lost &&
    plain(
      h(
        "main.page.narrow",
        { id: "main" },
        h("h1", null, "The service is not responding"),
        h("p", { role: "status" }, "This page reconnects by itself once it is back."),
      ),
      "No answer",
    );
  const who = await currentSession(away);
  if (!who.signed_in) {
    inOtherTabs({ out: () => null, again: begin });
    return plain(signInPage(begin), "Sign in");
  }
  const name = projectOf(location.pathname);
  if (name === null) {
    if (who.projects.length > 1) return plain(projectsPage(who.projects), "Projects");
    history.replaceState(null, "", `/p/${toPart(who.projects[0].name)}/`);
  }
  return open(who, name ?? who.projects[0].name);
}

function projectOf(path) {
  const found = /^\/p\/([^/]+)/.exec(path);
  return found && fromPart(found[1]);
}

function open(who, project) {
  session.project = project;
  const address = new Address(`/p/${toPart(project)}`);
  const context = { address, links: hostLinks(address), source: new ApiSource(), session: who, project };
  Object.assign(context, { executionTools, noExecutions: () => noExecutions(address) });
  const app = new App({
    root,
    address,
    route: (place) => route(context, place),
    mayLeave: askToLeave,
    home: address.href([]),
    links: [
      ["executions", address.href([]), "Executions"],
      ["playground", address.href(["playground"]), "Playground"],
      ["define", address.href(["define"]), "Define"],
      ["calls", address.href(["calls"]), "Calls"],
      ["settings", address.href(["settings"]), "Settings"],
    ],
    tools: () => [
      projectMenu(who, project),
      who.token_required ? h("button.link.sign-out", { type: "button", onclick: leave }, "Sign out") : null,
    ],
  });
  const leave = async () => {
    const told = "The service is not responding: you are still signed in. Try again in a moment.";
    if (!(await signOut())) return app.say(told);
    signedOut(app, "You have signed out."); // so that nothing is left here when somebody goes back to this page
    location.assign("/");
  };
  // A browser that goes back shows a page as it was left, whoever has signed out meanwhile.
  addEventListener("pageshow", ({ persisted }) => persisted && who.token_required && location.reload());
  inOtherTabs({ out: () => signedOut(app), again: () => (session.ended ? location.reload() : signedIn()) });
  context.app = app;
  context.live = new LivePages(app, context.source, null);
  const hear = () =>
    app.say(
      connection.lost ? "The service is not responding. This page reconnects by itself once it is back." : null,
    );
  connection.addEventListener("change", hear);
  session.addEventListener("needed", signInAgain);
  session.addEventListener("again", () => app.page?.view === "failed" && app.show(false));
  return app.start();
}

// Somebody has signed out: what this page shows is for nobody who comes after them.
function signedOut(app, told = "You have signed out in another tab.") {
  session.ended = true;
  app.close();
  document.querySelectorAll("dialog").forEach((dialog) => dialog.remove());
  document.body.className = "";
  plain(signInPage(() => location.reload(), told), "Signed out");
}

function noExecutions(address) {
  const define = h("a.button.primary", { href: address.href(["define"]) }, "Define what to run");
  const suite = h("a.button", { href: address.href(["define", "import"]) }, "Import a suite file");
  return emptyState(
    "No executions yet",
    "An execution is one launch of an eval: scenarios run against your agent, and their results.",
    define,
    suite,
  );
}

function projectMenu({ projects }, project) {
  if (projects.length < 2) return null;
  const menu = h(
    "select.project",
    { "aria-label": "Project" },
    projects.map(({ name }) => h("option", { value: name, selected: name === project }, text(name))),
  );
  menu.addEventListener("change", () => location.assign(`/p/${toPart(menu.value)}/`));
  return menu;
}

function route(context, place) {
  const [view, name, id] = place.path;
  const within = (make) => () => make(context, place);
  const results = resultsPage(context, place);
  if (results) return results;
  if (view === "playground") return name ? within(playgroundRunPage) : within(playgroundPage);
  if (view === "calls") return name ? within(callPage) : within(callsPage);
  if (view === "settings") return within(settingsPage);
  if (view === "define" && name === undefined) return within(definePage);
  if (view === "define" && name === "import") return within(importPage);
  if (view === "define" && RESOURCES.has(name)) {
    const resource = RESOURCES.get(name);
    return id ? itemPage(context, resource, id, place.query) : listPage(context, resource);
  }
  return null;
}

restoreTheme();
begin();
