// What segments and events say, worked out for the player: overlaps, silences, what happened, which words are heard.

import { brief, duration } from "./format.js";

const SILENCE = 3; // seconds from which a silence is a long one, as in duologue.voice.metrics
const SPEAKERS = { user: "user", agent: "agent" };
const SEGMENTS_SAY = new Set([
  "user_start_speaking",
  "user_stop_speaking",
  "agent_start_speaking",
  "agent_stop_speaking",
  "user_heard",
]);
const PURPOSES = {
  backchannel: "a sign of listening",
  vocal_tic: "no words for the agent",
  non_directed: "to somebody else",
};

/**
 * @typedef {Object} Segment  see duologue.reports.html.voice
 * @property {("user"|"agent")} who
 * @property {number} start
 * @property {number} end
 * @property {string} [text]
 * @property {string} [message]  the id of the message that this is the sound of
 * @property {Array<[string, number, number]>} [words]
 *
 * @typedef {Object} Happening
 * @property {number} time
 * @property {string} kind  one of interruption, tool, keys, end, broken, other
 * @property {string} told
 * @property {string} [detail]
 */

/** Times in which both speak. */
export function overlaps(segments) {
  const of = (who) => segments.filter((item) => item.who === who);
  const agents = of("agent");
  const found = [];
  for (const user of of("user"))
    for (const agent of agents) {
      const [start, end] = [Math.max(user.start, agent.start), Math.min(user.end, agent.end)];
      if (end - start > 0.02) found.push({ start, end });
    }
  return found;
}

/** Long times between the first and the last sound in which nobody speaks. */
export function silences(segments) {
  const found = [];
  let until = null;
  for (const item of [...segments].sort((one, other) => one.start - other.start)) {
    if (until !== null && item.start - until > SILENCE) found.push({ start: until, end: item.start });
    until = Math.max(until ?? 0, item.end);
  }
  return found;
}

/** @returns {Happening[]} in order of time */
export function happenings({ segments, events }) {
  const found = events.filter((event) => !SEGMENTS_SAY.has(event.type)).map(happening);
  const users = segments.filter((item) => item.who === "user");
  for (const agent of segments.filter((item) => item.who === "agent"))
    if (users.some((user) => user.start < agent.start && agent.start < user.end))
      found.push({ time: agent.start, kind: "interruption", told: "The agent speaks while the user speaks" });
  return found.sort((one, other) => one.time - other.time);
}

function happening({ time, type, name, args, result, metadata = {} }) {
  const who = metadata.by === "user" ? "The user" : "The agent";
  switch (type) {
    case "user_interrupt":
      return { time, kind: "interruption", told: interruption(metadata) };
    case "tool_call":
      return { time, kind: "tool", told: `The agent calls ${name ?? "a tool"}`, detail: json(args) };
    case "tool_result":
      return { time, kind: "other", told: name ? `Result of ${name}` : "Result of a tool", detail: json(result) };
    case "dtmf":
      return { time, kind: "keys", told: `${who} presses ${metadata.keys ?? "keys"}` };
    case "call_ended":
      return { time, kind: "end", told: `${who} hangs up`, detail: metadata.reason };
    case "call_broken":
      return { time, kind: "broken", told: "The connection breaks", detail: metadata.reason };
    case "user_transcript":
      return { time, kind: "other", told: "The agent has understood", detail: metadata.text };
    default: {
      const more = { ...(name ? { name } : {}), ...metadata };
      return { time, kind: "other", told: type.replaceAll("_", " "), detail: json(more) };
    }
  }
}

function interruption({ agent_was_speaking: speaking, yielded_after: after }) {
  if (speaking === false) return "The user cuts in; the agent was not speaking";
  if (after === null || after === undefined) return "The user interrupts; the agent does not stop";
  return `The user interrupts; the agent is silent ${after ? `after ${duration(after)}` : "at once"}`;
}

function json(value) {
  if (value === null || value === undefined) return "";
  const told = typeof value === "string" ? value : JSON.stringify(value);
  return told === "{}" ? "" : brief(told, 300);
}

/** The segments that are heard at a time. */
export function heardAt(segments, seconds) {
  return segments.filter((item) => item.start <= seconds && seconds < item.end);
}

/** What a screen reader says about a time. */
export function speakingAt(segments, seconds) {
  const heard = new Set(heardAt(segments, seconds).map((item) => item.who));
  if (heard.size > 1) return "both speak";
  const [who] = heard;
  return who ? `the ${SPEAKERS[who] || who} speaks` : "silence";
}

/** What is special about a segment, as words. */
export function remarks(segment) {
  return [PURPOSES[segment.purpose], segment.cut ? "cut off" : null].filter(Boolean);
}
