// The report file: one execution, whose data is in the page.

import { Address, executionLinks } from "./address.js";
import { App } from "./app.js";
import { comparison } from "./compare_page.js";
import { EmbeddedSource } from "./embedded_source.js";
import { count } from "./format.js";
import { overview, showFigures } from "./overview.js";
import { runsPage } from "./runs_page.js";
import { can } from "./source.js";
import { restoreTheme } from "./theme.js";

const source = new EmbeddedSource(JSON.parse(document.getElementById("data").textContent));
const execution = source.data;
const address = new Address(null);
const links = executionLinks(address, []);
const context = { source, id: execution.id, execution, address, links, depth: 0 };

function overviewPage() {
  const element = overview(context);
  showFigures(context, element);
  return {
    element,
    view: "overview",
    keys: {
      j: () => firstRun(),
      k: () => firstRun(),
      o: () => address.go(links.overview()),
      "/": () => toSearch(),
    },
    help: [
      ["j k", "go through the runs"],
      ["/", "search in runs"],
    ],
  };
}

async function firstRun() {
  const { runs } = await source.runs(execution.id, { offset: 0, limit: 1 }, new URLSearchParams());
  if (runs.length) address.go(links.run(runs[0].id));
}

async function toSearch() {
  await address.go(links.runs());
  document.getElementById("search").focus();
}

function comparedPage() {
  const to = {
    execution: (place) => (place ? links.overview() : null),
    run: (place, run) => (place ? links.run(run) : null),
  };
  return {
    element: comparison(source.data.comparison, to),
    view: "compare",
    keys: { o: () => address.go(links.overview()) },
    help: [["o", "overview"]],
  };
}

function route(place) {
  const [view, id] = place.path;
  if (view === "compare" && can(source, "compare")) return comparedPage;
  if (view === "run" && source.byId.has(id)) return () => runsPage(context, place);
  if (view === "runs") return () => runsPage(context, place);
  if (view === "run") return () => runsPage(context, { path: ["runs"], query: place.query });
  return overviewPage;
}

restoreTheme();
const app = new App({
  root: document.getElementById("app"),
  address,
  route,
  links: [
    ["overview", links.overview(), "Overview"],
    ["runs", links.runs(), `Runs ${count(execution.runs.length)}`],
    ...(can(source, "compare") ? [["compare", address.href(["compare"]), "Against the baseline"]] : []),
  ],
});
app.start();
