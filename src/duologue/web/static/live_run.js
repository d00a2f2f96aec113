// A run that is followed while it is under way: what it has so far is drawn again with every event, and nothing jumps.

import { oneAtATime } from "./live.js";
import { morph } from "./morph.js";

export class LiveRun {
  /**
   * @param {Object} options
   * @param {Source} options.source
   * @param {Run} options.run
   * @param {function(Run): Promise<Element>} options.draw
   * @param {function(): Element} options.place  what is on the page now
   */
  constructor({ source, run, draw, place }) {
    Object.assign(this, { source, run, draw, place });
    this.stop = null;
  }

  begin() {
    if (!this.run.running || this.stop) return;
    const again = oneAtATime(() => this.redraw());
    this.stop = this.source.events(null, { run: this.run.id }, again, again);
  }

  end() {
    this.stop?.();
    this.stop = null;
    this.gone = true;
  }

  async redraw() {
    if (this.gone) return;
    const run = await this.source.run(null, this.run.id);
    const view = await this.draw(run);
    if (this.gone) return;
    this.run = run;
    morph(this.place(), view);
  }
}
