// The list of runs and its filters. The filters stand in the address, so that a view can be shared and found again.

const PAGE = 300;
const FILTERS = { scenario: "scenario", agent: "agent", persona: "persona", tag: "tag" };
let searched;

function filterLink(filters) {
  return "#/runs?" + new URLSearchParams(filters).toString();
}

function valuesOf(name) {
  const values = data.runs.flatMap((run) => (name === "tag" ? run.tags : [run[name]]));
  return [...new Set(values.filter((value) => value))];
}

// What a search looks through, made when it is first needed.
function haystack(run) {
  searched ??= new Map();
  if (!searched.has(run)) {
    const parts = [
      run.title,
      run.id,
      run.reason,
      run.description,
      ...run.tags,
      ...run.checks.map((item) => item.name),
      ...run.messages.map((message) => message.text.slice(0, 20000)),
    ];
    searched.set(run, parts.join("\n").toLowerCase());
  }
  return searched.get(run);
}

function matching(filters) {
  const outcomes = filters.get("outcome")?.split(",");
  const words = (filters.get("q") || "").toLowerCase().trim();
  return data.runs.filter((run) => {
    if (outcomes && !outcomes.includes(run.outcome)) return false;
    for (const name of Object.keys(FILTERS)) {
      const wanted = filters.get(name);
      if (wanted && !(name === "tag" ? run.tags.includes(wanted) : run[name] === wanted)) return false;
    }
    return !words || haystack(run).includes(words);
  });
}

function listView(filters, chosen, changed) {
  const runs = matching(filters);
  const list = h("ol.runs", { id: "runs", "aria-label": "Runs" });
  const more = h("button.more", { type: "button" }, "Show more");
  let shown = 0;
  const extend = (least = 0) => {
    const until = Math.max(shown + PAGE, least);
    list.append(...runs.slice(shown, until).map((run) => listItem(run, run === chosen)));
    shown = Math.min(until, runs.length);
    more.hidden = shown >= runs.length;
  };
  more.addEventListener("click", () => extend());
  extend(runs.indexOf(chosen) + 1);
  const empty = runs.length ? null : h("p.none", null, "No run matches.");
  return { element: h("nav.list", { "aria-label": "Runs" }, toolbar(filters, runs, changed), empty, list, more), runs };
}

function listItem(run, current) {
  const about = [
    run.agent || "recording",
    run.persona,
    run.region,
    ...run.perturbation,
    run.trials > 1 ? `#${run.trial}` : null,
  ]
    .filter(Boolean)
    .join(" · ");
  return h(
    "li",
    null,
    h(
      `a${current ? ".current" : ""}`,
      { href: runLink(run), "aria-current": current ? "true" : null, "data-run": run.id },
      mark(run.outcome),
      h("span", null, h("b", null, text(run.scenario)), h("small", null, text(about))),
      h("span.time", null, duration(run.seconds)),
    ),
  );
}

function toolbar(filters, runs, changed) {
  const change = (name, value) => {
    const next = new URLSearchParams(filters);
    if (value) next.set(name, value);
    else next.delete(name);
    changed(next);
  };
  const search = h("input", {
    type: "search",
    id: "search",
    placeholder: "Search in runs  ( / )",
    "aria-label": "Search in runs",
    value: filters.get("q") || "",
    autocomplete: "off",
    spellcheck: "false",
  });
  let timer;
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => change("q", search.value.trim()), 180);
  });
  const outcomes = filters.get("outcome")?.split(",") || [];
  const present = OUTCOMES.filter((word) => data.runs.some((run) => run.outcome === word));
  const choices = present.length > 1 || outcomes.length ? present : [];
  const chips = choices.map((word) => {
    const on = outcomes.includes(word);
    const next = on ? outcomes.filter((other) => other !== word) : [...outcomes, word];
    return h(
      `button.chip.o-${word}`,
      { type: "button", "aria-pressed": String(on), onclick: () => change("outcome", next.join(",")) },
      `${MARKS[word]} ${WORDS[word]}`,
    );
  });
  const selects = Object.entries(FILTERS).map(([name, word]) => {
    const values = valuesOf(name);
    if (values.length < 2 && !filters.get(name)) return null;
    const options = values.map((value) =>
      h("option", { value, selected: value === filters.get(name) }, brief(value, 60)),
    );
    return h(
      "select",
      { "aria-label": word, onchange: (event) => change(name, event.target.value) },
      h("option", { value: "" }, `any ${word}`),
      options,
    );
  });
  const active = [...filters.keys()].length > 0;
  const told = h(
    "p.count",
    { "aria-live": "polite" },
    active ? `${count(runs.length)} of ${plural(data.runs.length, "run")}` : plural(data.runs.length, "run"),
    active ? h("button.link", { type: "button", onclick: () => changed(new URLSearchParams()) }, "Clear") : null,
  );
  return h("div.toolbar", null, search, h("div.chips", null, chips), h("div.selects", null, selects), told);
}
