// A conversation in voice: its recording, the figures, what happened, and the transcript that follows the sound.

import { h, text } from "./dom.js";
import { clock, percent } from "./format.js";
import { Player } from "./player.js";
import { happenings, heardAt, remarks } from "./spoken.js";
import { SIGNS } from "./waveform.js";

const OPEN = 8; // happenings up to which the list is open
const WHO = { user: "User", agent: "Agent" };

/**
 * @param {Run} run  `run.voice` is what duologue.reports.html.voice.voice_data makes
 * @param {Element} transcript  the list of messages, which follows the sound
 */
export function voiceSection(run, transcript) {
  if (!run.voice) return null;
  const { voice } = run;
  const happened = happenings(voice);
  const caption = new Caption(voice.segments);
  const follower = new Follower(voice.segments, transcript);
  const player = new Player(voice, happened);
  follower.listen(player);
  player.onMoved((seconds, playing) => {
    caption.show(seconds);
    follower.show(seconds, playing && player.follows);
  });
  const partly = voice.complete ? null : "The run was cut short, so its recording ends before the conversation did.";
  return h(
    "section.heard",
    { "aria-label": "Recording" },
    player.element,
    caption.element,
    partly ? h("p.note", null, partly) : null,
    figures(voice.figures),
    happenedList(happened, player),
    download(voice.recording),
  );
}

function download(recording) {
  const address = recording?.href || recording?.src;
  if (!address) return null;
  const name = (recording.path || "recording.wav").split("/").pop();
  const link = h("a", { href: address, download: name }, "Download the recording");
  return h("p.note", null, link, " (user left, agent right)");
}

// The words that are heard now, with the word that is being said where its time is known.
class Caption {
  constructor(segments) {
    this.segments = segments;
    this.element = h("div.caption", { "aria-hidden": "true" });
    this.shown = null;
    this.words = [];
  }

  show(seconds) {
    const heard = heardAt(this.segments, seconds);
    const key = heard.map((item) => this.segments.indexOf(item)).join();
    if (key !== this.shown) {
      this.shown = key;
      this.words = [];
      const lines = heard.map((item) => this.line(item));
      this.element.replaceChildren(...(lines.length ? lines : [h("p.none", null, "Silence")]));
    }
    for (const [word, start] of this.words) word.classList.toggle("said-now", start <= seconds);
  }

  line(segment) {
    const words = (segment.words || []).map(([said, start]) => [h("span", null, text(said)), start]);
    this.words.push(...words);
    const whole = words.length ? words.flatMap(([word]) => [word, " "]) : text(segment.text || "…");
    const told = remarks(segment).map((word) => h("small", null, ` (${word})`));
    return h(`p.${segment.who}`, { dir: "auto" }, h("b", null, WHO[segment.who]), " ", whole, told);
  }
}

// The message that is heard is marked; a click on a message plays it.
class Follower {
  constructor(segments, transcript) {
    this.segments = segments.filter((item) => item.message);
    this.items = new Map();
    for (const item of transcript.querySelectorAll("li.message")) this.items.set(item.id.slice(2), item);
    this.transcript = transcript;
    this.current = null;
  }

  listen(player) {
    const starts = new Map();
    for (const { message, start } of this.segments) if (!starts.has(message)) starts.set(message, start);
    for (const [message, start] of starts) {
      const item = this.items.get(message);
      if (!item) continue;
      const place = h("button.play-from", { type: "button", "aria-label": `Play from ${clock(start)}` }, clock(start));
      place.addEventListener("click", () => player.play(start));
      item.classList.add("spoken");
      item.querySelector(".head .id")?.before(place);
    }
    if (player.sound) for (const item of this.items.values()) fold(item);
    this.transcript.addEventListener("click", ({ target }) => {
      if (target.closest("a, button, summary, pre, audio, video, input") || !getSelection().isCollapsed) return;
      const start = starts.get(target.closest("li.message")?.id.slice(2));
      if (start !== undefined) player.seek(start);
    });
  }

  show(seconds, follow) {
    const heard = this.segments.findLast((item) => item.start <= seconds && seconds < item.end);
    const item = heard ? this.items.get(heard.message) : null;
    if (!item || item === this.current) return;
    this.current?.classList.remove("playing");
    item.classList.add("playing");
    this.current = item;
    if (follow) reveal(item);
  }
}

// The recording has the sound of a message as well; its file is there for whoever wants it.
function fold(item) {
  for (const figure of item.querySelectorAll("figure.media"))
    if (figure.matches(".audio")) {
      const details = h("details.sound-file", null, h("summary", null, "Sound of this message"));
      figure.replaceWith(details);
      details.append(figure);
    }
}

function reveal(item) {
  const { top, bottom } = item.getBoundingClientRect();
  const covered = document.querySelector(".heard .player")?.getBoundingClientRect().bottom ?? 0;
  if (top >= Math.max(0, covered) && bottom <= innerHeight) return;
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  item.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
}

// The figures of docs/guides/voice.md, as people read them.
function figures(values) {
  const seconds = (value, digits = 2) => (value === null || value === undefined ? null : `${value.toFixed(digits)} s`);
  const some = (value) => (value ? String(value) : null);
  const rows = [
    ["Median latency", seconds(values.response_latency_p50), "From the end of a turn of the user to the answer"],
    ["p95 latency", seconds(values.response_latency_p95), "95% of the answers began within this time"],
    ["Interruptions", some(values.interruptions), "How often the user interrupted the agent"],
    ["Yields after", seconds(values.yield_latency), "From an interruption until the agent is silent, on average"],
    ["Talks over the user", some(values.agent_interruptions), "How often the agent began while the user spoke"],
    ["Overlap", values.overlap >= 0.05 ? seconds(values.overlap, 1) : null, "Time in which both speak"],
    ["Longest silence", values.longest_silence >= 0.05 ? seconds(values.longest_silence, 1) : null, "Nobody speaks"],
    ["Word error rate", rate(values.word_error_rate), "The agent's speech against its own text"],
    ["Agent talk share", rate(values.talk_ratio), "The agent's share of the time in which anybody speaks"],
  ].filter(([, value]) => value !== null);
  return h(
    "dl.voice-figures",
    null,
    rows.map(([name, value, title]) => h("div", { title }, h("dt", null, name), h("dd", null, value))),
  );
}

function rate(value) {
  return value === null || value === undefined ? null : percent(value);
}

function happenedList(happened, player) {
  if (!happened.length) return null;
  const items = happened.map(({ time, kind, told, detail }) => {
    const button = h("button", { type: "button", "aria-label": `Go to ${clock(time)}` }, clock(time));
    button.addEventListener("click", () => player.seek(time));
    return h(
      "li",
      null,
      button,
      h(`span.mark-${kind}`, { "aria-hidden": "true" }, SIGNS[kind]),
      h("span", { dir: "auto" }, text(told), detail ? h("small", null, " ", text(detail)) : null),
    );
  });
  return h(
    "details.happened",
    { open: happened.length <= OPEN },
    h("summary", null, h("b", null, "What happened"), h("small", null, ` ${happened.length}`)),
    h("ol", null, items),
  );
}
