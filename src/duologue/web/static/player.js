// The player of a recording: both tracks, what happened on them, and controls for mouse, keyboard and screen reader.

import { h, text } from "./dom.js";
import { clock, percent } from "./format.js";
import { givenPeaks, readPeaks } from "./peaks.js";
import { Sound } from "./sound.js";
import { speakingAt } from "./spoken.js";
import { Waveform } from "./waveform.js";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 2, 3];
const STEP = 5; // seconds of an arrow key
const LEAP = 30; // of a page key
const SPEAKERS = { user: "User", agent: "Agent" };

export class Player {
  /**
   * @param {Object} voice  of a run
   * @param {Happening[]} happened  see spoken.js
   */
  constructor(voice, happened) {
    const { recording } = voice;
    this.voice = voice;
    this.moved = () => {};
    const ends = voice.segments.map((item) => item.end);
    this.length = Math.max(recording?.duration || 0, voice.figures.duration || 0, ...ends, 0.1);
    this.wave = new Waveform(voice, this.length, happened);
    this.address = recording?.src || recording?.href || null;
    this.sound = this.address ? new Sound(this.address, voice.segments) : null;
    this.status = h("p.said-of-sound", { role: "status", hidden: true });
    this.element = h("div.player", null, this.controls(), this.tracks(), this.status, this.sound?.element);
    if (!this.sound) this.say(missing(recording));
    else this.listen(this.sound.element);
    this.startWhenSeen();
    this.show(0);
  }

  /** @param {function(number, boolean)} moved  called with the time and whether it plays, often */
  onMoved(moved) {
    this.moved = moved;
    moved(this.at, this.playing);
  }

  get playing() {
    return Boolean(this.sound) && !this.sound.element.paused;
  }

  controls() {
    const disabled = !this.sound;
    this.button = h("button.play", { type: "button", disabled, onclick: () => this.toggle() });
    this.time = h("span.now", null, "0:00");
    this.speed = h(
      "select",
      { "aria-label": "Speed", disabled },
      SPEEDS.map((rate) => h("option", { value: rate, selected: rate === 1 }, `${rate}×`)),
    );
    this.speed.addEventListener("change", () => (this.sound.element.playbackRate = Number(this.speed.value)));
    this.follow = h("button.switch", { type: "button", "aria-pressed": "true", disabled }, "Follow the transcript");
    this.follow.addEventListener("click", () => pressed(this.follow, !this.follows));
    if (matchMedia("(max-width: 800px)").matches) pressed(this.follow, false); // the player would scroll away
    return h(
      "div.controls",
      null,
      this.button,
      h("span.time", null, this.time, " / ", clock(this.length)),
      this.speed,
      this.follow,
    );
  }

  get follows() {
    return this.follow.getAttribute("aria-pressed") === "true";
  }

  tracks() {
    const mutes = Object.entries(SPEAKERS).map(([who, word]) => {
      const button = h(
        `button.mute.${who}`,
        { type: "button", "aria-pressed": "false", "aria-label": `Mute ${word.toLowerCase()}`, disabled: !this.sound },
        h("b", null, word),
        h("small", { "aria-hidden": "true" }, "heard"),
      );
      button.addEventListener("click", () => this.mute(who, button));
      return button;
    });
    this.slider = h(
      "div.wave",
      {
        role: "slider",
        tabindex: "0",
        "aria-label": "Position in the recording",
        "aria-valuemin": "0",
        "aria-valuemax": this.length.toFixed(1),
        "aria-keyshortcuts": "Space ArrowLeft ArrowRight Home End",
      },
      this.wave.element,
    );
    this.slider.addEventListener("keydown", (event) => this.onKey(event));
    this.slider.addEventListener("pointerdown", (event) => this.onPointer(event));
    this.slider.addEventListener("pointermove", (event) => {
      if (this.slider.hasPointerCapture(event.pointerId)) this.seek(this.timeAt(event));
    });
    this.wave.marks.addEventListener("click", ({ target }) => {
      if (target.dataset.time) this.seek(Number(target.dataset.time));
    });
    return h("div.tracks", null, this.wave.marks, h("div.mutes", null, mutes), this.slider, this.wave.ticks);
  }

  listen(audio) {
    audio.addEventListener("play", () => this.onPlay());
    audio.addEventListener("pause", () => this.show());
    audio.addEventListener("ended", () => this.show());
    audio.addEventListener("seeked", () => this.show());
    audio.addEventListener("timeupdate", () => this.show());
    audio.addEventListener("error", () => {
      this.button.disabled = this.follow.disabled = this.speed.disabled = true;
      this.element.querySelectorAll(".mute").forEach((button) => (button.disabled = true));
      this.say(missing(this.voice.recording));
    });
  }

  // The waveform is made when the player is seen for the first time.
  startWhenSeen() {
    const { recording } = this.voice;
    const seen = new IntersectionObserver((entries) => {
      if (!entries.some((entry) => entry.isIntersecting)) return;
      seen.disconnect();
      if (recording?.peaks) this.wave.draw(givenPeaks(recording.peaks));
      else if (this.address && location.protocol !== "file:") this.readWave();
    });
    seen.observe(this.element);
  }

  async readWave() {
    const stop = new AbortController();
    try {
      await readPeaks(this.address, stop.signal, (peaks, share) => {
        if (!this.element.isConnected) return stop.abort();
        this.wave.draw(peaks);
        return this.say(share < 1 ? `Drawing the waveform: ${percent(share)}` : "");
      });
    } catch (error) {
      if (this.element.isConnected && !this.button.disabled)
        this.say(`The waveform cannot be drawn: ${error.message}. The coloured parts show who speaks.`);
    }
  }

  say(message) {
    this.status.replaceChildren(...(message ? text(message) : []));
    this.status.hidden = !message;
  }

  mute(who, button) {
    const on = button.getAttribute("aria-pressed") !== "true";
    pressed(button, on);
    button.querySelector("small").textContent = on ? "muted" : "heard";
    this.element.classList.toggle(`without-${who}`, on);
    this.sound.silence(who, on);
    const partly = !this.sound.separates && Object.values(this.sound.silenced).some(Boolean);
    this.say(partly ? "In a report that was opened as a file, both are heard where both speak." : "");
  }

  async toggle() {
    if (!this.sound || this.button.disabled) return;
    if (this.playing) this.sound.element.pause();
    else await this.play();
  }

  async play(from = null) {
    if (!this.sound) return;
    if (from !== null) this.seek(from);
    else if (this.sound.at >= this.length - 0.05) this.seek(0);
    try {
      await this.sound.element.play();
    } catch (error) {
      if (error.name !== "AbortError" && !this.button.disabled) this.say(`It cannot be played: ${error.message}`);
    }
  }

  seek(seconds) {
    const at = Math.min(this.length, Math.max(0, seconds));
    this.sound?.seek(at);
    this.show(at);
  }

  onPlay() {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const frame = () => {
      if (!this.element.isConnected) return this.sound.close();
      this.show();
      return this.playing && !calm ? requestAnimationFrame(frame) : null;
    };
    frame();
  }

  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const at = this.at;
    const keys = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seek(at - STEP),
      ArrowDown: () => this.seek(at - STEP),
      ArrowRight: () => this.seek(at + STEP),
      ArrowUp: () => this.seek(at + STEP),
      PageUp: () => this.seek(at + LEAP),
      PageDown: () => this.seek(at - LEAP),
      Home: () => this.seek(0),
      End: () => this.seek(this.length),
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }

  onPointer(event) {
    if (event.button) return;
    this.slider.setPointerCapture(event.pointerId);
    this.seek(this.timeAt(event));
  }

  timeAt({ clientX }) {
    const { left, width } = this.slider.getBoundingClientRect();
    return ((clientX - left) / width) * this.length;
  }

  /** Show a time, or the one that is heard. */
  show(seconds = this.sound?.at ?? 0) {
    this.at = seconds;
    this.sound?.heard();
    this.wave.moved(seconds);
    const now = clock(seconds);
    if (this.time.textContent !== now) this.time.textContent = now;
    const word = `${now} of ${clock(this.length)}, ${speakingAt(this.voice.segments, seconds)}`;
    if (this.slider.getAttribute("aria-valuetext") !== word) {
      this.slider.setAttribute("aria-valuenow", seconds.toFixed(1));
      this.slider.setAttribute("aria-valuetext", word);
    }
    const label = this.playing ? "Pause" : "Play";
    if (this.button.getAttribute("aria-label") !== label) {
      this.button.setAttribute("aria-label", label);
      this.button.replaceChildren(h(`span.${label.toLowerCase()}-sign`, { "aria-hidden": "true" }));
    }
    this.moved(seconds, this.playing);
  }
}

function pressed(button, on) {
  button.setAttribute("aria-pressed", String(on));
}

function missing(recording) {
  if (!recording) return "There is no recording. The coloured parts show who speaks.";
  const file = recording.path ? `The recording ${recording.path}` : "The recording";
  const place = location.protocol === "file:" ? " It belongs beside this report; keep both in one folder." : "";
  return `${file} is missing or cannot be played.${place}`;
}
