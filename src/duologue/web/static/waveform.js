// Both tracks of a recording as two waveforms on one axis of time, with what happened on it.

import { h, svg, visible } from "./dom.js";
import { clock, duration } from "./format.js";
import { overlaps, silences } from "./spoken.js";

const WIDE = 1000; // the whole recording, in units of the drawing
const LANE = 50;
const MIDDLE = { user: LANE / 2, agent: LANE * 1.5 };
const STEPS = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const MARKS_WIDE = 10; // ticks on a wide page; every second of them on a narrow one
const QUIET = 0.05; // share of the width from which a silence says how long it is
const QUIET_NARROW = 0.15; // on a narrow page
let drawings = 0;

export const SIGNS = { interruption: "↯", tool: "ƒ", keys: "#", end: "■", broken: "✗", other: "·" };

export class Waveform {
  /**
   * @param {Object} voice
   * @param {number} length  seconds
   * @param {Happening[]} happened  see spoken.js
   */
  constructor(voice, length, happened) {
    this.length = length;
    this.paths = { user: [], agent: [] };
    this.played = svg("rect", { x: 0, y: 0, width: 0, height: 2 * LANE });
    this.head = h("span.playhead");
    const clip = `played-${++drawings}`;
    const waves = (name) =>
      svg("g", { class: name }, ["user", "agent"].map((who) => this.wave(who)));
    const played = waves("played");
    played.setAttribute("clip-path", `url(#${clip})`);
    this.drawing = svg(
      "svg",
      { viewBox: `0 0 ${WIDE} ${2 * LANE}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("clipPath", { id: clip }, this.played),
      silences(voice.segments).map((item) => this.box("silence", item, 0, 2 * LANE)),
      voice.segments.map((item) => this.box(`segment ${item.who}`, item, item.who === "user" ? 0 : LANE, LANE)),
      overlaps(voice.segments).map((item) => this.box("overlap", item, 0, 2 * LANE)),
      svg("line", { class: "between", x1: 0, x2: WIDE, y1: LANE, y2: LANE }),
      waves("ahead"),
      played,
    );
    this.marks = h(
      "div.marks",
      { "aria-hidden": "true" },
      happened.filter((item) => item.kind !== "other").map((item) => this.mark(item)),
    );
    this.ticks = h("div.ticks", { "aria-hidden": "true" }, this.times());
    this.quiet = silences(voice.segments).flatMap((item) => this.quietLabel(item));
    this.element = h("div.drawing", null, this.drawing, this.quiet, this.head);
    this.moved(0);
  }

  /** The share of a time, 0 to 1. */
  share(seconds) {
    return this.length ? Math.min(1, Math.max(0, seconds / this.length)) : 0;
  }

  at(element, seconds) {
    element.style.left = `${this.share(seconds) * 100}%`;
    return element;
  }

  box(name, { start, end }, y, height) {
    const x = this.share(start) * WIDE;
    return svg("rect", { class: name, x, y, width: Math.max(0.5, this.share(end) * WIDE - x), height });
  }

  quietLabel({ start, end }) {
    const share = this.share(end - start);
    if (share < QUIET) return [];
    const label = h(share < QUIET_NARROW ? "span.quiet.short" : "span.quiet", null, duration(end - start));
    return [this.at(label, (start + end) / 2)];
  }

  wave(who) {
    const path = svg("path", { class: who });
    this.paths[who].push(path);
    return path;
  }

  mark({ time, kind, told }) {
    const title = visible(`${clock(time)} ${told}`);
    return this.at(h(`span.mark-${kind}`, { title, "data-time": time }, SIGNS[kind]), time);
  }

  times() {
    const step = STEPS.find((seconds) => this.length / seconds <= MARKS_WIDE) ?? 3600;
    const found = [];
    for (let time = 0, number = 0; time < this.length * 0.97; time += step, number++)
      found.push(this.at(h(number % 2 ? "span.odd" : "span", null, clock(time)), time));
    return found;
  }

  /** Draw as much of the sound as is known. */
  draw({ user, agent, known }) {
    const loudest = Math.max(24, ...user.subarray(0, known), ...agent.subarray(0, known));
    for (const [who, values] of Object.entries({ user, agent })) {
      const shape = outline(values, known, loudest, MIDDLE[who]);
      for (const path of this.paths[who]) path.setAttribute("d", shape);
    }
  }

  moved(seconds) {
    this.played.setAttribute("width", this.share(seconds) * WIDE);
    this.at(this.head, seconds);
  }
}

// One line along the upper edge and back along the lower one. Soft sounds are raised, so that they can be seen.
function outline(values, known, loudest, middle) {
  const above = [];
  const below = [];
  for (let index = 0; index < known; index++) {
    const x = ((index / values.length) * WIDE).toFixed(1);
    const half = Math.max(0.4, (values[index] / loudest) ** 0.7 * (LANE / 2 - 4));
    above.push(`${x} ${(middle - half).toFixed(1)}`);
    below.push(`${x} ${(middle + half).toFixed(1)}`);
  }
  return known ? `M${above.join("L")}L${below.reverse().join("L")}Z` : "";
}
