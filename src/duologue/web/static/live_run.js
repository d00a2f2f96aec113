// A run that is followed while it is under way: what it has so far is drawn again with every event, and nothing jumps.

import { morph } from "./morph.js";

const PAUSE = 300; // milliseconds between two drawings

export class LiveRun {
  /**
   * @param {Object} options
   * @param {Source} options.source
   * @param {Run} options.run
   * @param {function(Run): Promise<Element>} options.draw
   * @param {function(): Element} options.place  what is on the page now
   * @param {function(Run): void} [options.over]  called once it is over
   */
  constructor({ source, run, draw, place, over = () => {} }) {
    Object.assign(this, { source, run, draw, place, over });
    this.stop = null;
    this.busy = false;
    this.due = false;
  }

  begin() {
    if (!this.run.running || this.stop) return;
    this.stop = this.source.events(
      null,
      { run: this.run.id },
      () => this.want(),
      () => this.want(),
    );
  }

  end() {
    this.stop?.();
    this.stop = null;
    this.gone = true;
  }

  async want() {
    this.due = true;
    if (this.busy || this.gone) return;
    this.busy = true;
    try {
      while (this.due && !this.gone) {
        this.due = false;
        await this.redraw();
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    } catch (error) {
      console.warn(error);
    } finally {
      this.busy = false;
    }
  }

  async redraw() {
    const run = await this.source.run(null, this.run.id);
    const view = await this.draw(run);
    if (this.gone) return;
    const ended = this.run.running && !run.running;
    this.run = run;
    morph(this.place(), view);
    if (ended) this.over(run);
  }
}
