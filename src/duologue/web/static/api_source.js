// The source of `duologue serve`: the REST API, and what the service says of executions for pages alone.

import { address, all, read, readPage, send } from "./api.js";
import { follow } from "./events.js";

const AGAIN = 3000; // milliseconds
const FLIPS = 30; // conversations of a comparison that are shown side by side

export class ApiSource {
  executions(range, filters) {
    return readPage("/executions", { ...range, ...Object.fromEntries(filters) });
  }

  execution(id) {
    return readPage(`/executions/${id}`);
  }

  matrix(id, range) {
    return readPage(`/executions/${id}/matrix`, range);
  }

  change(id) {
    return readPage(`/executions/${id}/change`);
  }

  figures(id) {
    return readPage(`/executions/${id}/figures`);
  }

  runs(id, range, filters) {
    return readPage(`/executions/${id}/runs`, { ...range, ...Object.fromEntries(filters) });
  }

  async run(id, runId) {
    const run = await readPage(`/runs/${encodeURIComponent(runId)}`);
    const recording = run.voice?.recording;
    const digest = recording?.path?.match(/([0-9a-f]{64})\.wav$/)?.[1]; // an artifact: results call it by its digest
    if (digest && !recording.src) recording.src = this.artifact(runId, digest);
    return run;
  }

  calls(id, runId) {
    return readPage(`/runs/${encodeURIComponent(runId)}/calls`);
  }

  /** Continue a run; the execution that comes of it. */
  async fork(runId, body) {
    return (await send("POST", `/runs/${encodeURIComponent(runId)}/fork`, { body })).data;
  }

  /** Other agents that a run can be continued with: `kind` is the field of a fork that names one. */
  async forkAgents() {
    const [connectors, agents] = await Promise.all([all("/connectors"), all("/agents")]);
    return [
      ...connectors.map(({ id, name }) => ({ kind: "connector_id", id, name: `Connector ${name}` })),
      ...agents.map(({ id, name }) => ({ kind: "agent_id", id, name: `Agent ${name}` })),
    ];
  }

  trials(id, runId) {
    return readPage(`/executions/${id}/runs/${encodeURIComponent(runId)}/trials`);
  }

  trend(suite) {
    return readPage("/trend", { suite });
  }

  compare(first, second, { firstAgent, secondAgent } = {}) {
    return read("/comparisons", { first, second, first_agent: firstAgent, second_agent: secondAgent, flips: FLIPS });
  }

  labels(id) {
    return readPage(`/executions/${id}/labels`);
  }

  // The rater is whose token it is.
  async setLabel(id, { run, criterion, label, note }) {
    const body = { criterion, value: label, note };
    return (await send("POST", `/runs/${encodeURIComponent(run)}/labels`, { body })).data;
  }

  /** The address of an artifact of a run, for players and links. */
  artifact(runId, digest) {
    return address(`/runs/${encodeURIComponent(runId)}/artifacts/${digest}`);
  }

  report(id, format) {
    return address(`/executions/${id}/report`, { format });
  }

  // What happens in the list of executions, in an execution, or in one of its runs. `connected` is not called for what
  // is asked again and again: api.js says of all requests when the service does not answer.
  events(id, { since = null, run = null, labels = false }, tell, connected) {
    const stop = new AbortController();
    if (id === null && run === null) askAgain(async () => tell({ cursor: null, kind: "execution" }), stop.signal);
    else this.follow(id, run, { since, tell, connected, signal: stop.signal });
    if (labels) this.followLabels(id, labels, tell, stop.signal);
    return () => stop.abort(new DOMException("left", "AbortError"));
  }

  async follow(id, run, { since, tell, connected, signal }) {
    let told = since === null;
    let there = true; // that it comes at first is not news
    const path = run ? `/runs/${encodeURIComponent(run)}/events` : `/executions/${id}/events`;
    try {
      const how = await follow(path, {
        after: since,
        signal,
        connected: (now) => {
          if (now !== there) connected(now);
          there = now;
        },
        event: ({ id: cursor, type, data }) => {
          told = true;
          tell({ cursor, kind: run ? "journal" : kindOf(type), type, ...data });
        },
        restart: () => tell({ cursor: null, kind: "hello" }),
      });
      if (how === "gone" || (how === "over" && told)) tell({ cursor: null, kind: "over" });
    } catch (error) {
      console.error(error); // the page is as it was, and says what is wrong when it asks for something
    }
  }

  followLabels(id, known, tell, signal) {
    askAgain(async () => {
      const { state } = await readPage(`/executions/${id}/labels/state`);
      if (known !== state) tell({ cursor: null, kind: "labels" });
      known = state;
    }, signal);
  }
}

// What no stream tells is asked again and again, while somebody sees the page.
async function askAgain(work, signal) {
  while (!signal.aborted) {
    await new Promise((resolve) => setTimeout(resolve, AGAIN));
    if (signal.aborted || document.visibilityState === "hidden") continue;
    await work().catch(() => null); // what went wrong is said by whoever asks for what is shown
  }
}

function kindOf(type) {
  return type.startsWith("run_") ? "run" : "execution";
}
