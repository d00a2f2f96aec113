// Requests to the REST API of the service: pages of lists, ETags, problems, and patience while the service is away.

import { SourceError } from "./source.js";

const API = "/api/v1";
export const PAGES = "/api/pages"; // what only pages ask for; see duologue/server/pages
const PAUSES = [300, 600, 1200, 2500, 5000];

// What the service says is wrong. `problems` are the fields that are to blame: {path, message}.
export class Problem extends SourceError {
  constructor(status, body) {
    super(body.detail || body.title || `the service has answered ${status}`, status);
    this.code = body.code || "";
    this.problems = body.problems || [];
    this.requestId = body.request_id || null;
  }
}

// Whether the service answers. Pages listen to it, and say so while it does not.
export const connection = new EventTarget();
connection.lost = false;

export function say(lost) {
  if (connection.lost === lost) return;
  connection.lost = lost;
  connection.dispatchEvent(new Event("change"));
}

// Somebody has to sign in ("needed"; the page decides how), and has done so ("again").
export const session = new EventTarget();
session.project = null;
session.refused = false;
session.ended = false; // somebody has signed out: the page says so, and asks for nothing any more

export function needToken() {
  if (session.ended) return;
  session.refused = true;
  session.dispatchEvent(new Event("needed"));
}

export function signedIn() {
  if (!session.refused) return;
  session.refused = false;
  session.dispatchEvent(new Event("again"));
}

// Waits, and less long if there is a sign that the service is back.
export function pause(attempt, signal) {
  const length = PAUSES[Math.min(attempt, PAUSES.length - 1)];
  return new Promise((resolve, reject) => {
    const done = () => {
      clearTimeout(timer);
      removeEventListener("online", done);
      connection.removeEventListener("change", back);
      signal?.removeEventListener("abort", stop);
      resolve();
    };
    const back = () => connection.lost || done();
    const stop = () => {
      done();
      reject(signal.reason);
    };
    const timer = setTimeout(done, length);
    addEventListener("online", done);
    connection.addEventListener("change", back);
    signal?.addEventListener("abort", stop);
    if (signal?.aborted) stop();
  });
}

export function address(path, query, root = API) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries({ project: session.project, ...query })) {
    for (const item of Array.isArray(value) ? value : [value]) {
      if (item !== null && item !== undefined && item !== "") given.append(name, item);
    }
  }
  const text = given.toString();
  return root + path + (text ? `?${text}` : "");
}

function newKey() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A request. It is sent again while the service is away: what makes something has a key, so that nothing is made twice.
export async function send(method, path, { query, body, etag, signal, raw, root } = {}) {
  const headers = { Accept: raw ? "*/*" : "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (etag) headers["If-Match"] = etag;
  if (method === "POST") headers["Idempotency-Key"] = newKey();
  const options = { method, headers, signal, cache: "no-cache", credentials: "same-origin" };
  if (body !== undefined) options.body = JSON.stringify(body);
  for (let attempt = 0; ; attempt += 1) {
    let response;
    try {
      response = await fetch(address(path, query, root), options);
    } catch (error) {
      if (signal?.aborted) throw error;
      say(true);
      await pause(attempt, signal);
      continue;
    }
    if (response.status === 503 || response.status === 429) {
      say(response.status === 503);
      await pause(attempt + 2, signal);
      continue;
    }
    say(false);
    return answered(response, raw);
  }
}

async function answered(response, raw) {
  if (response.ok) {
    signedIn();
    if (raw) return response;
    const data = response.status === 204 ? null : await response.json();
    return { data, etag: response.headers.get("ETag"), status: response.status };
  }
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) needToken();
  throw new Problem(response.status, body);
}

export async function read(path, query, signal) {
  return (await send("GET", path, { query, signal })).data;
}

export async function readPage(path, query) {
  return (await send("GET", path, { query, root: PAGES })).data;
}

// A page of a list: {data, next}.
export function page(path, query, cursor, signal) {
  return read(path, { limit: 100, ...query, cursor }, signal);
}

// A whole list, page by page, up to so many items.
export async function all(path, query, most = 2000, signal) {
  const found = [];
  let cursor = null;
  do {
    const part = await page(path, { limit: 200, ...query }, cursor, signal);
    found.push(...part.data);
    cursor = part.next;
  } while (cursor && found.length < most);
  return found;
}
