// Addresses of pages. Every page has one; it stands in the path on a server, and behind the # in a report file.

/**
 * @typedef {Object} Place
 * @property {string[]} path  decoded, without empty parts
 * @property {URLSearchParams} query
 */

export class Address {
  /** @param {?string} base  what stands before the path, such as "" or "/ui"; null for a file, where # is used */
  constructor(base) {
    this.base = base;
    this.heard = () => {};
    this.mayLeave = () => null;
  }

  /** @returns {Place} */
  get place() {
    const whole = this.base === null ? location.hash.replace(/^#/, "") : this.within(location);
    const [path, query] = whole.split("?");
    return { path: path.split("/").filter(Boolean).map(fromPart), query: new URLSearchParams(query || "") };
  }

  within({ pathname, search }) {
    return pathname.slice(this.base.length) + search;
  }

  /** The link to a page. query: null for none; an empty one keeps its question mark. */
  href(path, query = null) {
    const asked = query === null ? "" : `?${new URLSearchParams(query)}`;
    const found = `/${path.map(toPart).join("/")}${asked}`;
    return this.base === null ? `#${found}` : this.base + found;
  }

  /** Whether a link leads to a page of ours. */
  isOurs(link) {
    if (this.base === null) return link.startsWith("#/");
    return link.startsWith(`${this.base}/`) && !link.startsWith(`${this.base}/api/`) && !link.startsWith("//");
  }

  get here() {
    return this.base === null ? location.hash || "#/" : location.pathname + location.search;
  }

  /** Open a page, at once: a key or a click that follows already sees it. */
  go(link) {
    const asked = this.mayLeave();
    return asked ? asked.then((sure) => sure && this.open(link)) : this.open(link);
  }

  open(link) {
    if (link !== this.here) {
      this.keepScroll();
      history.pushState(null, "", link);
    }
    this.shown = link;
    return this.heard(false);
  }

  /** Change the address without a new entry in the history. */
  replace(link) {
    history.replaceState(history.state, "", link);
    this.shown = link;
  }

  keepScroll() {
    history.replaceState({ ...history.state, scroll: scrollY }, "");
  }

  /**
   * @param {function(boolean)} heard  called with true when somebody goes back or forward
   * @param {function(): ?Promise<boolean>} [mayLeave]  asked before; null if nothing on the page would be lost
   */
  listen(heard, mayLeave = () => null) {
    Object.assign(this, { heard, mayLeave, shown: this.here });
    history.scrollRestoration = "manual";
    let timer;
    addEventListener("scroll", () => {
      clearTimeout(timer);
      timer = setTimeout(() => this.keepScroll(), 100);
    });
    addEventListener("popstate", async () => {
      clearTimeout(timer);
      const asked = this.mayLeave();
      if (asked && !(await asked)) return history.pushState(null, "", this.shown); // the address has changed already
      this.shown = this.here;
      return heard(true);
    });
    addEventListener("click", (event) => {
      if (event.defaultPrevented || event.button) return;
      if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
      const anchor = event.target.closest?.("a");
      const link = anchor?.getAttribute("href");
      if (!link || anchor.hasAttribute("download") || anchor.hasAttribute("target") || !this.isOurs(link)) return;
      event.preventDefault();
      this.go(link);
    });
  }
}

/**
 * A name as a part of a path. Browsers take `.` and `..` for steps, however they are written, and an empty part is
 * none: such names get a tilde before them, and so do those that look as if they had got one.
 */
export function toPart(name) {
  const whole = String(name);
  return encodeURIComponent(/^~*\.{0,2}$/.test(whole) ? `~${whole}` : whole);
}

/** The name that a part of a path stands for. */
export function fromPart(part) {
  const whole = decoded(part);
  return /^~+\.{0,2}$/.test(whole) ? whole.slice(1) : whole;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The links of a host with many executions. */
export function hostLinks(address) {
  return {
    executions: (filters = null) => address.href([], filters),
    execution: (id) => executionLinks(address, ["executions", id]),
    trend: (suite) => address.href(["suites", suite]),
    /** Either side may be null, and is chosen on the page. */
    compare: (first, second, agents = null) => {
      if (first && second) return address.href(["compare", first, second], agents);
      return address.href(["compare"], { ...(first && { first }), ...(second && { second }) });
    },
  };
}

/** The links of one execution. prefix: where its pages are, such as ["executions", id]; [] in a report. */
export function executionLinks(address, prefix) {
  return {
    overview: () => address.href(prefix),
    runs: (filters = null) => address.href([...prefix, "runs"], filters),
    run: (id, message) => address.href([...prefix, "run", id, ...(message ? [message] : [])]),
    label: () => address.href([...prefix, "label"]),
  };
}
