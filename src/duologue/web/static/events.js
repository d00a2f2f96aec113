// Server-sent events that continue where they were cut off: nothing is lost, and nothing is told twice.

import { address, needToken, pause, Problem, say, session } from "./api.js";

const SILENT = 45_000; // the service gives a sign of life every 15 seconds
const HIDDEN = 30_000; // browsers give a host six connections, and a page that nobody sees needs none

// Follow a stream until it is over.
//
//   path      of the stream in the API
//   after     id of the last event that is known
//   event     called with {id, type, data} for each event, in order
//   restart   called if the service does not know that event any more: what is known is void, and it begins anew
//   connected called with true and false when the connection comes and goes
//   signal    ends it
//
// Resolves to "over", or "gone" where what was followed does not exist any more.
export async function follow(path, { after = null, event, restart, connected, signal }) {
  let last = after;
  let attempt = 0;
  while (!signal.aborted) {
    await seen(signal);
    const stop = new AbortController();
    const release = endWith(stop, signal);
    try {
      const response = await open(path, last, stop.signal);
      if (response === "again") {
        last = null;
        restart?.();
        continue;
      }
      if (response === "refused") {
        needToken();
        await again(signal);
        continue;
      }
      if (typeof response === "string") return response;
      attempt = 0;
      connected?.(true);
      await readStream(response, stop, (item) => {
        if (item.id !== null && item.id === last) return;
        if (item.id !== null) last = item.id;
        event(item);
      });
    } catch (error) {
      if (signal.aborted) return "stopped";
      if (error instanceof Problem) throw error;
      if (!stop.signal.aborted) say(true);
    } finally {
      release();
    }
    connected?.(false);
    if (document.visibilityState === "visible") await pause(attempt, signal).catch(() => null);
    attempt += 1;
  }
  return "stopped";
}

async function open(path, last, signal) {
  const headers = { Accept: "text/event-stream" };
  if (last !== null) headers["Last-Event-ID"] = last;
  const response = await fetch(address(path), { headers, signal, cache: "no-store", credentials: "same-origin" });
  if (response.status === 200) {
    say(false);
    return response;
  }
  if (response.status === 204) {
    say(false);
    return "over";
  }
  if (response.status === 404) return "gone";
  if (response.status === 422 && last !== null) return "again";
  if (response.status === 401) return "refused";
  if (response.status >= 500 || response.status === 429) throw new TypeError("the service is away");
  throw new Problem(response.status, await response.json().catch(() => ({})));
}

async function readStream(response, stop, tell) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let silent = setTimeout(() => stop.abort(), SILENT);
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(silent);
      silent = setTimeout(() => stop.abort(), SILENT);
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const item = parsed(block);
        if (item) tell(item);
      }
    }
  } finally {
    clearTimeout(silent);
    reader.cancel().catch(() => null);
  }
}

function parsed(block) {
  let id = null;
  let type = "message";
  const data = [];
  for (const line of block.split(/\r?\n/)) {
    const at = line.indexOf(":");
    if (at <= 0) continue; // a comment is a sign of life
    const value = line.slice(at + 1).replace(/^ /, "");
    const name = line.slice(0, at);
    if (name === "id") id = value;
    else if (name === "event") type = value;
    else if (name === "data") data.push(value);
  }
  return data.length ? { id, type, data: JSON.parse(data.join("\n")) } : null;
}

// Waits until somebody has signed in again.
function again(signal) {
  return new Promise((resolve) => {
    const done = () => {
      session.removeEventListener("again", done);
      signal.removeEventListener("abort", done);
      resolve();
    };
    session.addEventListener("again", done);
    signal.addEventListener("abort", done);
    if (signal.aborted || !session.refused) done();
  });
}

// Waits until somebody sees the page.
function seen(signal) {
  if (document.visibilityState !== "hidden") return Promise.resolve();
  return new Promise((resolve) => {
    const look = () => {
      if (document.visibilityState === "hidden" && !signal.aborted) return;
      document.removeEventListener("visibilitychange", look);
      signal.removeEventListener("abort", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    signal.addEventListener("abort", look);
  });
}

// Ends a connection with the page that needs it, and some time after nobody sees that page any more.
function endWith(stop, signal) {
  let timer = null;
  const abort = () => stop.abort();
  const look = () => {
    clearTimeout(timer);
    if (document.visibilityState === "hidden") timer = setTimeout(abort, HIDDEN);
  };
  signal.addEventListener("abort", abort);
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    clearTimeout(timer);
    signal.removeEventListener("abort", abort);
    document.removeEventListener("visibilitychange", look);
  };
}
