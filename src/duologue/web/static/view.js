// `duologue view`: the pages over a folder of results.

import { Address, hostLinks } from "./address.js";
import { App } from "./app.js";
import { comparePage } from "./compare_page.js";
import { h, text } from "./dom.js";
import { executionPage, executionTabs } from "./execution_page.js";
import { executionsPage } from "./executions_page.js";
import { FolderSource } from "./folder_source.js";
import { labelPage } from "./label_page.js";
import { LivePages } from "./live.js";
import { runsPage } from "./runs_page.js";
import { restoreTheme } from "./theme.js";
import { trendPage } from "./trend_page.js";

const source = new FolderSource();
const address = new Address("");
const links = hostLinks(address);
const host = { source, address, links, noExecutions };

function noExecutions({ folder }) {
  return h(
    "div.empty-state",
    null,
    h("h2", null, "There are no results here yet"),
    h("p", null, "Run a suite, and its execution appears on this page while it runs:"),
    h("pre", null, text(`duologue run suite.yaml --out ${folder}/first`)),
    h(
      "p.note",
      null,
      "There is no suite yet? ",
      h("code", null, "duologue init"),
      " writes one that runs without a key.",
    ),
  );
}

/** What pages of one execution need; see runs_page.js. */
async function contextOf(id) {
  const execution = await source.execution(id);
  return { ...host, id, execution, links: links.execution(id), host: links, depth: 2 };
}

function route({ path, query }) {
  const place = { path, query };
  const [first, id, view] = path;
  if (!path.length) return () => live.list(executionsPage(host, place));
  if (first === "suites") return () => trendPage(host, id);
  if (first === "compare") return () => comparePage(host, place);
  if (first === "executions" && !view) return async () => live.execution(executionPage(await contextOf(id)));
  if (first === "executions" && view === "label")
    return async () => live.labels(await labelPage(await contextOf(id), place));
  if (first === "executions" && (view === "runs" || view === "run")) {
    return async () => {
      const context = await contextOf(id);
      Object.assign(context, { title: context.execution.suite, tabs: executionTabs(context) });
      return live.runs(await runsPage({ ...context, runShown: (run) => live.runShown(run) }, place), context);
    };
  }
  return () => Promise.reject(Object.assign(new Error("There is no such page."), { name: "SourceError", status: 404 }));
}

restoreTheme();
const app = new App({ root: document.getElementById("app"), address, route, home: links.executions() });
const live = new LivePages(
  app,
  source,
  "The connection to duologue view is lost. This page continues when it is back.",
);
app.start();
