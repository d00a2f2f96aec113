// The pages of results of a host with many executions: which address shows which of them. Pages follow what happens.

import { comparePage } from "./compare_page.js";
import { executionPage, executionTabs } from "./execution_page.js";
import { executionsPage } from "./executions_page.js";
import { labelPage } from "./label_page.js";
import { runsPage } from "./runs_page.js";
import { trendPage } from "./trend_page.js";

/**
 * @param {Object} host
 * @param {Source} host.source
 * @param {Address} host.address
 * @param {Object} host.links  see hostLinks
 * @param {LivePages} host.live
 * @param {function(Object): Element} host.noExecutions  see executions_page.js
 * @param {function(Object): Element[]} [host.executionTools]  see execution_page.js
 * @param {Place} place
 * @returns {?function(): (Page|Promise<Page>)}  null where another page is at this address, or none
 */
export function resultsPage(host, place) {
  const [first, id, view] = place.path;
  const { live } = host;
  if (first === undefined) return () => live.list(executionsPage(host, place));
  if (first === "compare") return () => comparePage(host, place);
  if (first === "suites" && id) return () => trendPage(host, id);
  if (first !== "executions" || !id) return null;
  if (!view) return async () => live.execution(executionPage(await contextOf(host, id)));
  if (view === "label") return async () => live.labels(await labelPage(await contextOf(host, id), place));
  if (view === "runs" || view === "run") return async () => runsOf(await contextOf(host, id), place, live);
  return null;
}

/** What pages of one execution need; see runs_page.js. */
async function contextOf(host, id) {
  const execution = await host.source.execution(id);
  return { ...host, id, execution, links: host.links.execution(id), host: host.links, depth: 2 };
}

async function runsOf(context, place, live) {
  const { execution } = context;
  Object.assign(context, { title: `Runs of ${execution.suite}`, tabs: executionTabs(context) });
  return live.runs(await runsPage({ ...context, runShown: (run) => live.runShown(run) }, place), context);
}
