// Which view is shown: the address says so. Keys: / searches, j and k go through the runs, o goes to the overview.

const app = document.getElementById("app");
let filters = new URLSearchParams();
let list = { runs: data.runs };
let current = null;

function route(event) {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  const [view, id, message] = path.split("/").map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
  if (view === "run" && byId.has(id)) return showRun(byId.get(id), message);
  if (view === "runs" || view === "run") {
    if (query !== undefined || view === "runs") filters = new URLSearchParams(query || "");
    return showRuns(null);
  }
  current = null;
  render(overview(), "overview");
  if (!event) scrollTo(0, 0); // where somebody goes back, the browser knows where the page was left
}

function render(content, view) {
  const links = [
    ["overview", "#/", "Overview"],
    ["runs", "#/runs", `Runs ${count(data.runs.length)}`],
  ];
  const bar = h(
    "header.bar",
    null,
    h("a.skip", { href: "#main", onclick: skip }, "Skip to the content"),
    h("b.word", null, "Duologue"),
    h(
      "nav",
      { "aria-label": "Views" },
      links.map(([name, href, word]) => h("a", { href, "aria-current": name === view ? "page" : null }, word)),
    ),
    h(
      "button.theme",
      { type: "button", onclick: turnTheme, title: "Light or dark", "aria-label": "Change between light and dark" },
      "◐",
    ),
  );
  document.body.className = `view-${view}`;
  app.replaceChildren(bar, content);
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function showRuns(run) {
  const place = document.querySelector("nav.list")?.scrollTop || 0;
  const focused = document.activeElement?.id === "search";
  list = listView(filters, run, (next) => {
    filters = next;
    if (current) return showRuns(current);
    history.replaceState(null, "", filterLink(next));
    showRuns(null);
  });
  current = run;
  const empty = h(
    "main.run.empty",
    { id: "main", tabindex: "-1" },
    h(
      "p",
      null,
      "Choose a run from the list. ",
      h("kbd", null, "j"),
      " and ",
      h("kbd", null, "k"),
      " go through them.",
    ),
  );
  render(h(`div.panes${run ? ".chosen" : ""}`, null, list.element, run ? runView(run) : empty), "runs");
  document.querySelector("nav.list").scrollTop = place;
  if (focused) {
    const search = document.getElementById("search");
    search.focus();
    search.setSelectionRange(search.value.length, search.value.length);
  }
}

function showRun(run, message) {
  if (current !== run || !document.querySelector("main.run")) {
    showRuns(run);
    document.querySelector("a.current")?.scrollIntoView({ block: "nearest" });
    if (!message) scrollTo(0, 0);
  }
  document.querySelectorAll(".cited").forEach((item) => item.classList.remove("cited"));
  const target = message && document.getElementById(`m:${message}`);
  if (!target) return;
  target.classList.add("cited");
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
}

function step(by) {
  if (!list.runs.length) return;
  const at = list.runs.indexOf(current);
  const next = list.runs[Math.max(0, Math.min(list.runs.length - 1, at < 0 ? 0 : at + by))];
  go(runLink(next));
}

// At once, so that a key or a click that follows already sees the new view.
function go(link) {
  if (link === location.hash) return;
  history.pushState(null, "", link);
  route();
}

function onClick(event) {
  if (event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return;
  const link = event.target.closest("a")?.getAttribute("href");
  if (!link?.startsWith("#/")) return;
  event.preventDefault();
  if (link === location.hash) route();
  else go(link);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName || "");
  if (typing) {
    if (event.key === "Escape") document.activeElement.blur();
    return;
  }
  const actions = { j: () => step(1), k: () => step(-1), o: () => go("#/"), "/": toSearch };
  if (!(event.key in actions)) return;
  event.preventDefault();
  actions[event.key]();
}

function toSearch() {
  if (!document.getElementById("search")) {
    go("#/runs");
  }
  document.getElementById("search").focus();
}

function turnTheme() {
  const dark =
    document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = dark === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("duologue-theme", next);
  } catch {
    // a page without storage forgets it
  }
}

try {
  const theme = localStorage.getItem("duologue-theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // a page without storage follows the system
}
addEventListener("hashchange", route);
addEventListener("click", onClick);
addEventListener("keydown", onKey);
route();
