// The source of `duologue view`: small JSON routes over a folder of results.

import { SourceError } from "./source.js";

const FIRST_PAUSE = 500; // milliseconds until a lost connection is tried again; it doubles
const LONGEST_PAUSE = 4000;
const HIDDEN = 5000; // a browser gives a host six connections: a page that nobody sees leaves its own to others

/** Ask for JSON. Answers that say what is wrong become a SourceError. */
async function ask(address, options = {}) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", ...options });
  } catch {
    throw new SourceError("duologue view is not responding. Start it again on the same port, then try again.");
  }
  const found = await answer.json().catch(() => null);
  if (answer.ok && found !== null) return found;
  throw new SourceError(found?.detail || `The server answered ${answer.status}. Its terminal says why.`, answer.status);
}

/**
 * Listen to events, and come back from the last cursor when the connection was lost.
 * @param {function(?string): string} addressOf  makes the address, given the last cursor
 * @param {function(Object)} heard  called for each event
 * @param {function(boolean)} connected  called when the connection comes or goes
 * @returns {function()}  what ends it
 */
function listen(addressOf, heard, connected) {
  let stream = null;
  let timer = null;
  let cursor = null;
  let pause = FIRST_PAUSE;
  let there = true;
  let over = false;

  const state = (now) => {
    if (now !== there) connected(now);
    there = now;
  };
  const connect = () => {
    stream?.close();
    stream = new EventSource(addressOf(cursor));
    stream.addEventListener("open", () => {
      pause = FIRST_PAUSE;
      state(true);
    });
    stream.addEventListener("message", (event) => {
      if (event.lastEventId === cursor) return;
      cursor = event.lastEventId;
      heard(JSON.parse(event.data));
    });
    stream.addEventListener("error", () => {
      stream.close();
      if (over) return;
      state(false);
      if (document.hidden) return; // it connects when it is seen
      timer = setTimeout(connect, pause);
      pause = Math.min(LONGEST_PAUSE, pause * 2);
    });
  };
  const seen = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => stream.close(), HIDDEN);
    else if (stream.readyState === EventSource.CLOSED) connect();
  };
  document.addEventListener("visibilitychange", seen);
  connect();
  return () => {
    over = true;
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", seen);
    stream.close();
  };
}

export class FolderSource {
  executions({ offset, limit }, filters) {
    return this.get("executions", { offset, limit, ...Object.fromEntries(filters) });
  }

  execution(id) {
    return this.get("execution", { id });
  }

  matrix(id, { offset, limit }) {
    return this.get("matrix", { id, offset, limit });
  }

  change(id) {
    return this.get("change", { id });
  }

  figures(id) {
    return this.get("figures", { id });
  }

  runs(id, { offset, limit, around, further }, filters) {
    return this.get("runs", { id, offset, limit, around, further, filter: filters.toString() });
  }

  run(id, run) {
    return this.get("run", { id, run });
  }

  trials(id, run) {
    return this.get("trials", { id, run });
  }

  calls(id, run) {
    return this.get("calls", { id, run });
  }

  compare(first, second, agents = {}) {
    return this.get("compare", { first, second, ...agents });
  }

  trend(suite) {
    return this.get("trend", { suite });
  }

  labels(id, rater) {
    return this.get("labels", { id, rater });
  }

  setLabel(id, label) {
    return ask(`/api/labels?${new URLSearchParams({ id })}`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(label),
    });
  }

  /** id: of an execution; null for the list of all. */
  events(id, { run, since = null }, heard, connected) {
    const address = (cursor) => `/api/events?${query({ id, run, since: cursor ?? since })}`;
    return listen(address, heard, connected);
  }

  get(name, values) {
    return ask(`/api/${name}?${query(values)}`);
  }
}

function query(values) {
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null);
  return new URLSearchParams(given);
}
