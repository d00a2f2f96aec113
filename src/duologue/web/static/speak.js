// Speaking with an agent: a call from this page, its words as they come, and its recording afterwards.
//
// Sound and words go over a WebSocket of the service, which holds the call and stores nothing. The messages are in
// server/pages/voice.py.

import { PAGES, address as apiAddress, readPage } from "./api.js";
import { CallSound, NoSound } from "./call_sound.js";
import { h, longText, text } from "./dom.js";
import { clock, pretty } from "./format.js";
import { action, leaving, note } from "./page_parts.js";
import { voiceSection } from "./voice.js";

const WHO = { user: "You", agent: "Agent" };
const ROLES = { user: "user", agent: "assistant" };
const LATE = { user: [-0.4, -0.8], agent: [0.1, 0.1] }; // seconds that a beginning and an end are told too late
const REFUSED =
  "The service did not take the call. It may be busy with other calls, or it has just stopped; try again in a moment.";
const LOST = "The connection to the service is lost, and the call with it. Call again once the service is back.";

export class Speak {
  /**
   * @param {Object} context
   * @param {{name: string, query: Object}} chosen  the agent, and how the service is told of it
   * @param {function(string[])} save  called with what the user has said
   */
  constructor(context, chosen, save) {
    Object.assign(this, { context, chosen, save });
    this.status = h("p.told", { role: "status" });
    this.list = h("ol.messages", { "aria-label": "Conversation" });
    this.call = h("button.primary", { type: "button", onclick: () => this.toggle() }, "Call");
    this.muted = h("button.more", { type: "button", "aria-pressed": "false", onclick: () => this.mute() }, "Mute");
    this.stop = h("button.more", { type: "button", onclick: () => this.interrupt() }, "Interrupt");
    this.level = h("meter.level", { min: "0", max: "1", "aria-label": "Your microphone" });
    this.time = h("span.quiet", { "aria-label": "Length of the call" });
    this.during = h("span.during", { hidden: true }, this.muted, this.stop, this.level, this.time);
    this.keys = this.keypad();
    this.none = h(
      "p.none",
      null,
      "Call the agent and speak: it hears your microphone, and you hear it. Nothing is stored by the service.",
    );
    this.after = h("div.after");
    this.element = h(
      "section.talk.speak",
      { "aria-label": "Call" },
      h("p.call-bar", null, this.call, this.during),
      this.keys,
      this.status,
      this.none,
      this.list,
      this.after,
    );
    this.reset();
    this.guard = leaving(() => this.state !== "idle" || this.said.length > 0);
  }

  get said() {
    return [...this.lines.values()].filter((line) => line.who === "user" && line.words).map((line) => line.words);
  }

  shown() {
    this.call.focus({ preventScroll: true });
  }

  left() {
    this.gone = true;
    this.guard();
    this.hangUp();
    this.silence();
    this.forget();
  }

  reset() {
    this.state = "idle";
    this.lines = new Map();
    this.segments = [];
    this.events = [];
    this.speaking = { user: null, agent: null };
    this.list.replaceChildren();
    this.forget();
  }

  forget() {
    this.after.replaceChildren();
    this.listening?.remove();
    if (this.file) URL.revokeObjectURL(this.file);
    this.file = null;
  }

  toggle() {
    if (this.state === "idle") return this.begin();
    return this.hangUp();
  }

  async begin() {
    this.reset();
    this.set("calling");
    const round = (this.round = (this.round ?? 0) + 1);
    note(this.status, "Asking for the microphone…");
    try {
      // Before the microphone is asked for: what a browser is told of a refused WebSocket does not say why.
      await readPage("/voice", this.chosen.query);
      const sound = await CallSound.open((piece) => this.send(piece));
      if (this.gone || this.state !== "calling" || round !== this.round) return sound.close();
      this.sound = sound;
      this.connect();
    } catch (error) {
      if (round !== this.round) return;
      if (!(error instanceof NoSound) && error.name !== "SourceError" && !error.status) console.error(error);
      this.over(error.message || String(error), "fail");
    }
  }

  connect() {
    note(this.status, `Calling ${this.chosen.name}…`);
    const place = new URL(apiAddress("/voice", this.chosen.query, PAGES), location.href);
    place.protocol = place.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(place);
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (socket !== this.socket) return;
      if (data instanceof ArrayBuffer) this.sound?.play(data);
      else this.hear(JSON.parse(data));
    };
    let opened = false;
    socket.onopen = () => (opened = true);
    socket.onclose = () => socket === this.socket && this.over(opened ? LOST : REFUSED, "fail");
    this.socket = socket;
  }

  send(message) {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    if (this.state === "speaking" || typeof message === "string") this.socket.send(message);
    if (this.state !== "speaking") return;
    this.level.value = this.sound.level;
    this.time.textContent = clock(this.sound.recording.seconds);
  }

  order(type, fields = {}) {
    this.send(JSON.stringify({ type, ...fields }));
  }

  hangUp() {
    if (this.state === "idle") return;
    if (this.socket?.readyState === WebSocket.OPEN) {
      this.order("hang_up");
      this.set("ending");
      note(this.status, "Hanging up…");
      this.silence();
    } else this.over("The call was ended before the agent was reached.");
  }

  mute() {
    if (this.state !== "speaking") return;
    const on = this.muted.getAttribute("aria-pressed") !== "true";
    this.muted.setAttribute("aria-pressed", String(on));
    this.sound.mute(on);
  }

  interrupt() {
    if (this.state === "speaking" && !this.stop.hidden) this.order("interrupt");
  }

  keypad() {
    const field = h("input", { id: "keys", size: "12", inputmode: "tel", autocomplete: "off", spellcheck: "false" });
    const form = h(
      "form.inline",
      { "aria-label": "Keys" },
      h("label", { for: "keys" }, "Keys"),
      field,
      h("button.more", { type: "submit" }, "Press"),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (field.value.trim()) this.order("keys", { keys: field.value.trim() });
      field.value = "";
    });
    return h("details.keypad", { hidden: true }, h("summary", null, "Keypad"), form);
  }

  set(state) {
    this.state = state;
    const talking = state === "speaking";
    this.none.hidden = state !== "idle" || this.lines.size > 0;
    this.during.hidden = this.keys.hidden = !talking;
    this.call.textContent = state === "idle" ? (this.lines.size ? "Call again" : "Call") : "Hang up";
    this.call.className = state === "idle" ? "primary" : "danger";
    this.call.toggleAttribute("disabled", state === "ending");
    if (talking) this.muted.setAttribute("aria-pressed", "false");
  }

  // --- what comes ----------------------------------------------------------------------------------------------------

  hear(news) {
    const told = {
      calling: () => (this.stop.hidden = !news.interruption),
      connected: () => this.connected(),
      speaking: () => this.speaks(news),
      words: () => this.line(news, (line) => (news.replaces ? news.text : line.words + news.text)),
      line: () => this.line(news, () => news.text),
      tool_call: () => this.tool(news, { type: "tool_call", name: news.text, args: news.value }),
      tool_result: () => this.tool(news, { type: "tool_result", result: news.value }),
      keys: () => this.happened("dtmf", "agent", { metadata: { by: "agent", keys: news.text } }),
      interrupted: () => this.happened("user_interrupt", "agent", { metadata: news.value }),
      notice: () => note(this.status, news.text, "undecided"),
      over: () => this.ended(news),
    }[news.type];
    told?.();
  }

  connected() {
    this.sound?.record();
    this.set("speaking");
    note(this.status, "You are connected. Speak.");
  }

  ended({ error, reason }) {
    if (error) return this.over(error, "fail");
    if (this.state === "ending") return this.over("You have hung up.");
    return this.over(reason ? `The agent has hung up: ${reason}` : "The agent has hung up.");
  }

  /** The call is over, or there was none. */
  over(told, outcome = null) {
    const { socket } = this;
    this.socket = null;
    socket?.close();
    this.silence();
    if (this.state === "idle" || this.gone) return;
    for (const who of ["user", "agent"]) this.close(who);
    this.set("idle");
    note(this.status, told, outcome);
    if (this.lines.size) this.showAfter();
    if (document.activeElement === document.body) this.call.focus();
  }

  silence() {
    if (this.sound) this.recording = this.sound.recording;
    this.sound?.close();
    this.sound = null;
  }

  now(who, end = 0) {
    const seconds = (this.sound?.recording ?? this.recording)?.seconds ?? 0;
    return Math.max(0, seconds + LATE[who][end]);
  }

  speaks({ who, on }) {
    if (on) this.speaking[who] = this.now(who);
    else this.close(who);
    this.element.classList.toggle(`${who}-speaks`, Boolean(on));
  }

  close(who) {
    const start = this.speaking[who];
    this.speaking[who] = null;
    if (start === null) return;
    this.segments.push({ who, start, end: Math.max(start + 0.1, this.now(who, 1)) });
  }

  line(news, words) {
    const line = this.lines.get(news.line) ?? this.added(news);
    line.words = words(line);
    line.cut = line.cut || Boolean(news.type === "line" && news.on);
    line.complete = line.complete || (news.type === "line" && (news.who === "agent" || news.text !== ""));
    this.draw(line);
    return line;
  }

  added({ line: number, who }) {
    const line = { number, who, words: "", cut: false, complete: false, calls: [], at: this.now(who) };
    line.body = h("div.said");
    line.element = h(
      `li.message.${ROLES[who]}`,
      { id: `m:${number}`, tabindex: "-1" },
      h("div.head", null, h("b", null, WHO[who]), h("span.id")),
      line.body,
    );
    this.lines.set(number, line);
    this.list.append(line.element);
    line.element.scrollIntoView({ block: "nearest" });
    return line;
  }

  draw(line) {
    const unknown = line.who === "user" ? "(not transcribed yet)" : "(no words)";
    line.body.replaceChildren(
      ...[
        line.words ? longText(line.words) : h("p.none", null, unknown),
        line.cut ? h("p.meta", null, h("span", null, "cut off")) : null,
        ...line.calls,
      ].filter(Boolean),
    );
  }

  tool(news, event) {
    this.happened(event.type, "agent", event);
    const line = this.lines.get(news.line) ?? this.added(news);
    const name = news.type === "tool_call" ? h("code.name", null, text(news.text)) : null;
    line.calls.push(h("div.call", null, name, h("pre", { dir: "auto" }, text(pretty(news.value ?? "")))));
    this.draw(line);
  }

  happened(type, who, fields) {
    this.events.push({ time: this.now(who), type, ...fields });
  }

  keep() {
    this.guard();
    this.save(this.said);
  }

  // --- afterwards ----------------------------------------------------------------------------------------------------

  showAfter() {
    const { recording } = this;
    for (const segment of this.segments) {
      const own = [...this.lines.values()].filter((line) => line.who === segment.who && line.at <= segment.end);
      const line = own.at(-1);
      if (line) Object.assign(segment, { message: String(line.number), text: line.words, cut: line.cut });
    }
    this.segments.sort((one, other) => one.start - other.start);
    this.file = URL.createObjectURL(recording.file());
    const voice = {
      segments: this.segments,
      events: this.events,
      figures: { duration: recording.seconds },
      complete: true,
      recording: {
        src: this.file,
        duration: recording.seconds,
        peaks: recording.peaks(),
        path: `call-${this.chosen.name.replace(/[^\p{L}\p{N}-]+/gu, "-")}.wav`,
      },
    };
    const save = this.said.length
      ? action("Save as a scenario", () => this.keep(), { kind: "button" })
      : h("p.quiet", null, "None of your speech was recognized, so there is nothing to save as a scenario.");
    this.listening = voiceSection({ voice }, this.list);
    this.list.before(this.listening);
    this.after.replaceChildren(h("p.actions", null, save));
  }
}
