// Keeps a page as things are: asks again when something has changed, and says when the connection is lost.

import { SourceError } from "./source.js";

const PAUSE = 300; // milliseconds between two drawings, at least
const SHARE = 3; // times as long as a drawing takes, the page waits until the next one
const LONGEST = 5000;

export class LivePages {
  /**
   * @param {App} app
   * @param {Source} source
   * @param {?string} lost  what is said while the connection is lost; null where the host says it for all of its pages
   */
  constructor(app, source, lost) {
    Object.assign(this, { app, source, lost });
    this.stopRun = null;
  }

  /** Follow the list of executions. */
  async list(made) {
    const page = await made;
    return this.follow(page, null, {}, () => page.refresh());
  }

  /** Follow an execution. */
  execution(page) {
    return this.follow(page, page.id, {}, async () => {
      const execution = await this.source.execution(page.id);
      await page.refresh(execution);
      return execution;
    });
  }

  /** Follow what judges decide and others say of it. */
  labels(page) {
    const options = {
      get labels() {
        return page.found.state || true; // what the page knows once it is shown
      },
    };
    return this.follow(page, page.id, options, async () => {
      await page.refresh();
      return page.found;
    });
  }

  /** Follow the list of runs, and the run beside it while it is under way. */
  runs(page, context) {
    this.context = context;
    this.page = page;
    this.follow(page, context.id, {}, async () => {
      const execution = await this.source.execution(context.id);
      context.execution = execution;
      await page.list.refresh(execution);
      // A run that was cut off may be resumed.
      if (page.run && (page.run.running || page.run.outcome === "cancelled")) await this.again(page.run);
      return execution;
    });
    const { shown } = page;
    page.shown = () => {
      shown.call(page);
      this.runShown(page.run);
    };
    return page;
  }

  /** The page of runs shows another run: one that is not over is followed by itself. */
  runShown(run) {
    if (this.followed === run?.id && run?.running) return;
    this.stopRun?.();
    this.stopRun = null;
    this.followed = null;
    if (!run?.running || !this.context) return;
    this.followed = run.id;
    const again = oneAtATime(() => this.again(run));
    this.stopRun = this.source.events(this.context.id, { run: run.id }, again, () => {});
  }

  async again({ id }) {
    if (this.page?.run?.id !== id) return;
    const run = await this.source.run(this.context.id, id);
    if (this.page.run?.id === id) await this.page.redraw(run);
  }

  follow(page, id, options, refresh) {
    let removed = false;
    let gone = false; // the page was left: an answer that comes after that is for nobody
    let later = null;
    // A server that has much to do answers with what it knew a moment ago, and says when it will know more.
    const askLater = (found) => {
      clearTimeout(later);
      if (found?.again && !gone) later = setTimeout(again, 1000 * found.again);
    };
    const asked = async () => {
      if (gone) return;
      askLater(await refresh());
      if (removed) this.app.say(null); // something else has taken their place
      removed = false;
    };
    const again = oneAtATime(asked, (error) => {
      if (gone || !(error instanceof SourceError && error.status === 404)) return;
      removed = true;
      this.app.say("These results have been removed.", "error");
    });
    let stop = null;
    const { shown, left } = page;
    page.again = again;
    page.shown = () => {
      shown?.call(page);
      gone = false;
      askLater(page.found);
      // From what the page knows already, so that it is not drawn twice.
      stop = this.source.events(id, { ...options, since: page.cursor }, again, (there) =>
        this.connection(there, again),
      );
    };
    page.left = () => {
      gone = true;
      left?.call(page);
      stop?.();
      clearTimeout(later);
      this.stopRun?.();
      this.stopRun = null;
      this.followed = null;
      if (removed || this.lost) this.app.say(null);
    };
    return page;
  }

  connection(there, again) {
    if (this.lost) this.app.say(there ? null : this.lost);
    if (there) again();
  }
}

/** Calls a function again and again, never twice at once, and once more if it was asked for meanwhile. */
export function oneAtATime(work, failed = () => {}) {
  let running = false;
  let wanted = false;
  return async () => {
    wanted = true;
    if (running) return;
    running = true;
    while (wanted) {
      wanted = false;
      const began = performance.now();
      try {
        await work();
      } catch (error) {
        failed(error);
      }
      const pause = Math.min(LONGEST, Math.max(PAUSE, SHARE * (performance.now() - began)));
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
    running = false;
  };
}
