// `duologue view`: the pages over a folder of results.

import { Address, hostLinks } from "./address.js";
import { App } from "./app.js";
import { h, text } from "./dom.js";
import { FolderSource } from "./folder_source.js";
import { LivePages } from "./live.js";
import { resultsPage } from "./results_pages.js";
import { restoreTheme } from "./theme.js";

const source = new FolderSource();
const address = new Address("");
const links = hostLinks(address);
const host = { source, address, links, noExecutions };

function noExecutions({ folder }) {
  return h(
    "div.empty-state",
    null,
    h("h2", null, "No results yet"),
    h("p", null, "Run a suite, and its execution appears on this page while it runs:"),
    h("pre", null, text(`duologue run suite.yaml --out ${forShell(folder)}/first`)),
    h(
      "p.note",
      null,
      "No suite yet? ",
      h("code", null, "duologue init"),
      " writes one that runs without a key.",
    ),
  );
}

function forShell(path) {
  return path.replace(/[^\w./~-]/g, "\\$&");
}

restoreTheme();
const app = new App({
  root: document.getElementById("app"),
  address,
  route: (place) => resultsPage(host, place),
  home: links.executions(),
});
host.live = new LivePages(
  app,
  source,
  "duologue view is not responding. This page reconnects by itself once it is back.",
);
app.start();
