// The sound of a recording: the user is left, the agent right, and either of them can be silenced.

import { h } from "./dom.js";

/**
 * A player without controls. Where the page may look into the sound, the speakers are separated by Web Audio. A report
 * that was opened as a file may not: there a speaker is silenced while nobody else speaks (`separates` is false).
 */
export class Sound {
  /**
   * @param {string} address
   * @param {{who: string, start: number, end: number}[]} segments
   */
  constructor(address, segments) {
    this.segments = segments;
    this.silenced = { user: false, agent: false };
    this.separates = location.protocol !== "file:" || address.startsWith("data:");
    this.wanted = null; // a place that was asked for before the file was there
    this.element = h("audio", { src: address, preload: "metadata" });
    this.element.addEventListener("loadedmetadata", () => {
      if (this.wanted !== null) this.element.currentTime = this.wanted;
      this.wanted = null;
    });
  }

  get at() {
    return this.wanted ?? this.element.currentTime;
  }

  seek(seconds) {
    if (this.element.readyState > 0) this.element.currentTime = seconds;
    else this.wanted = seconds;
  }

  silence(who, on) {
    this.silenced[who] = on;
    if (this.separates) this.mix();
    this.heard();
  }

  /** Called all the time while it plays. */
  heard() {
    if (this.separates) return;
    const { at } = this;
    const speaking = this.segments.filter((item) => item.start <= at && at < item.end).map((item) => item.who);
    const all = this.silenced.user && this.silenced.agent;
    this.element.muted = all || (speaking.length > 0 && speaking.every((who) => this.silenced[who]));
  }

  // Who is heard in which ear: each in one, or somebody alone in both.
  mix() {
    this.gains ??= this.separated();
    this.context.resume();
    const { user, agent } = this.silenced;
    this.gains.user[0].gain.value = user ? 0 : 1;
    this.gains.user[1].gain.value = !user && agent ? 1 : 0;
    this.gains.agent[0].gain.value = !agent && user ? 1 : 0;
    this.gains.agent[1].gain.value = agent ? 0 : 1;
  }

  separated() {
    this.context = new AudioContext();
    const split = this.context.createChannelSplitter(2);
    const merged = this.context.createChannelMerger(2);
    this.context.createMediaElementSource(this.element).connect(split);
    merged.connect(this.context.destination);
    const gains = (channel) =>
      [0, 1].map((ear) => {
        const gain = this.context.createGain();
        split.connect(gain, channel);
        gain.connect(merged, 0, ear);
        return gain;
      });
    return { user: gains(0), agent: gains(1) };
  }

  close() {
    this.element.pause();
    this.context?.close();
    this.context = this.gains = undefined;
  }
}
