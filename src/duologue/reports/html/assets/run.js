// One run: why it did not pass, the conversation, and beside it what was checked and decided.

const ROLES = { user: "User", assistant: "Agent", tool: "Tool", system: "System" };
const PASSED_SHOWN = 8;
const ENDED = {
  judged: "ended by a judge",
  script_end: "ended with its script",
  max_turns: "ended at the limit of turns",
  agent_done: "ended by the agent",
  user_done: "ended by the user",
  timeout: "ended by the time limit",
  budget: "ended by the budget",
  cancelled: "cancelled",
  error: "ended by an error",
};

function runView(run) {
  const side = [checksBox(run), decisionsBox(run), guardrailsBox(run), trialsBox(run), figuresBox(run)];
  return h(
    "main.run",
    { id: "main", tabindex: "-1" },
    runHead(run),
    findingsBox(run),
    (run.blame || []).map((told) => h("p.note", null, text(told))),
    gradesBox(run),
    h(
      "div.columns",
      null,
      h("section.talk", { "aria-label": "Conversation" }, prompts(run), conversation(run)),
      h("aside", { "aria-label": "Checks and decisions" }, side),
    ),
  );
}

function runHead(run) {
  const facts = [
    ENDED[run.termination] || run.termination,
    plural(run.turns, "turn"),
    duration(run.seconds),
    run.cost ? money(run.cost, run.unpriced) : null,
    run.tokens ? `${count(run.tokens)} tokens` : null,
    ...run.tags,
  ];
  return h(
    "header",
    null,
    h("p.back", null, h("a", { href: "#/runs" }, "← All runs")),
    h("div.headline", null, pill(run.outcome), h("h1", null, text(run.title)), neighbours(run)),
    run.excused
      ? h("p.note", null, "This trial failed. Its test case needs only a share of its trials, and has it.")
      : null,
    run.description ? h("p.lead", { dir: "auto" }, text(run.description)) : null,
    h(
      "p.facts",
      null,
      facts.filter(Boolean).map((fact) => h("span", null, text(fact))),
    ),
  );
}

// The runs before and after this one in the list as it is filtered.
function neighbours(run) {
  const at = list.runs.indexOf(run);
  if (at < 0 || list.runs.length < 2) return null;
  const to = (other, word, sign) =>
    other
      ? h("a", { href: runLink(other), "aria-label": word, title: `${word}: ${other.title}` }, sign)
      : h("span", { "aria-hidden": "true" }, sign);
  const place = h("small", null, `${count(at + 1)} of ${count(list.runs.length)}`);
  const [before, after] = [list.runs[at - 1], list.runs[at + 1]];
  const links = [to(before, "Previous run", "‹"), place, to(after, "Next run", "›")];
  return h("nav.steps", { "aria-label": "Neighbours" }, links);
}

function findingsBox(run) {
  const found = run.findings || [];
  const causes = run.error?.traceback
    ? h("details", null, h("summary", null, "Traceback"), h("pre", { dir: "auto" }, text(run.error.traceback)))
    : run.error?.causes?.length
    ? h("details", null, h("summary", null, "Causes"), h("pre", { dir: "auto" }, text(run.error.causes.join("\n"))))
    : null;
  if (!found.length) return run.reason ? h("p.reason", { dir: "auto" }, text(run.reason)) : null;
  const items = found.map((item) =>
    h(
      "li",
      null,
      h("small", null, item.kind),
      h(
        "div",
        null,
        h("b", { dir: "auto" }, text(item.name)),
        " ",
        cites(run, item.cites),
        item.text ? h("div", { dir: "auto" }, text(brief(item.text, 4000))) : null,
      ),
    ),
  );
  const reason =
    run.reason && !run.error && run.reason !== found[0].text ? h("p", { dir: "auto" }, text(run.reason)) : null;
  return h(
    `section.findings.o-${run.outcome}`,
    { "aria-label": "Why it did not pass" },
    reason,
    h("ul", null, items),
    causes,
  );
}

function prompts(run) {
  return run.prompts.map((number, index) =>
    h(
      "details.prompt",
      null,
      h("summary", null, run.prompts.length > 1 ? `System prompt ${index + 1}` : "System prompt"),
      longText(data.prompts[number]),
    ),
  );
}

function conversation(run) {
  const list = h("ol.messages");
  const media = run.media || [];
  const failures = new Map();
  for (const item of run.checks)
    if (item.status === "fail" || item.status === "error")
      for (const id of item.cites || []) failures.set(id, [...(failures.get(id) || []), item]);
  const names = new Map(run.messages.flatMap((message) => (message.calls || []).map((call) => [call.id, call.name])));
  let turn = -1;
  for (const message of run.messages) {
    if (message.turn !== turn) {
      turn = message.turn;
      list.append(h("li.turn", { "aria-label": `Turn ${turn + 1}` }, `Turn ${turn + 1}`));
    }
    list.append(
      messageItem(
        run,
        message,
        media.filter((item) => item.message === message.id),
        failures.get(message.id),
        names,
      ),
    );
  }
  if (!run.messages.length) list.append(h("li.none", null, "Nothing was said."));
  return list;
}

function messageItem(run, message, media, failed, names) {
  const facts = [
    message.spent && message.spent[4] ? duration(message.spent[4]) : null,
    message.spent && message.spent[3] ? money(message.spent[3]) : null,
    message.model,
  ];
  const who = ROLES[message.role] || message.role;
  const author = message.author && message.author !== who ? h("span.author", null, text(message.author)) : null;
  const tool = message.answers && names.has(message.answers) ? h("code", null, text(names.get(message.answers))) : null;
  const head = h(
    "div.head",
    null,
    h("b", null, text(who)),
    tool || author,
    h(
      "span.facts",
      null,
      facts.filter(Boolean).map((fact) => h("span", null, text(fact))),
    ),
    h("a.id", { href: runLink(run, message.id), title: "Link to this message" }, text(message.id)),
  );
  const body = [];
  if (message.role === "tool") body.push(folded(pretty(message.text)));
  else if (message.text) body.push(longText(message.text));
  if (message.cut) body.push(h("p.meta", null, h("span", null, text(message.cut))));
  body.push(
    ...(message.calls || []).map((call) =>
      h("div.call", null, h("code.name", null, text(call.name)), folded(pretty(call.args))),
    ),
  );
  body.push(...media.map(mediaItem));
  if (message.meta)
    body.push(
      h(
        "p.meta",
        null,
        Object.entries(message.meta).map(([name, value]) =>
          h(
            "span",
            null,
            text(`${name.replaceAll("_", " ")}: ${typeof value === "object" ? JSON.stringify(value) : value}`),
          ),
        ),
      ),
    );
  const notes = (failed || []).map((item) =>
    h(
      "p.failed",
      null,
      mark(item.status),
      h("b", null, text(item.name)),
      item.why ? h("span", { dir: "auto" }, text(brief(item.why, 300))) : null,
    ),
  );
  const role = ROLES[message.role] ? message.role : "other";
  return h(`li.message.${role}`, { id: `m:${message.id}`, tabindex: "-1" }, head, body, notes);
}

// Data of a tool: short ones are open, long ones are folded.
function folded(value) {
  if (value.length < 400) return h("pre", { dir: "auto" }, text(value));
  const start = value.replace(/\s+/g, " ").slice(0, 90);
  return h("details", null, h("summary", null, text(start + "…")), longText(value, "pre"));
}

function mediaItem(item) {
  const size = [
    item.mime,
    item.width ? `${item.width} × ${item.height}` : null,
    item.duration ? duration(item.duration) : null,
    item.size ? bytes(item.size) : null,
  ]
    .filter(Boolean)
    .join(", ");
  const name = item.path || item.type;
  const shown = !item.src
    ? null
    : item.type === "image"
      ? h("img", { src: item.src, alt: `picture: ${name}`, loading: "lazy" })
      : h(item.type === "video" ? "video" : "audio", { src: item.src, controls: true, preload: "none" });
  const link = item.href ? h("a", { href: item.href, rel: "noreferrer" }, text(name)) : h("span", null, text(name));
  return h("figure.media", null, shown, h("figcaption", null, link, h("small", null, size)));
}

function checksBox(run) {
  if (!run.checks.length) return null;
  const order = { fail: 0, error: 1, pass: 2, skipped: 3 };
  const sorted = [...run.checks].sort((one, other) => order[one.status] - order[other.status]);
  const open = sorted.filter((item) => item.status === "fail" || item.status === "error");
  const rest = sorted.slice(open.length);
  const passed = rest.filter((item) => item.status === "pass").length;
  const skipped = rest.length > passed ? `, ${count(rest.length - passed)} skipped` : "";
  const items = (list) =>
    h(
      "ul.checks",
      null,
      list.map((item) => checkItem(run, item)),
    );
  const folds = rest.length > PASSED_SHOWN || open.length > 0;
  const others = !rest.length
    ? null
    : folds
      ? h(
          "details",
          null,
          h(
            "summary",
            null,
            `${count(passed)} passed${skipped}`,
          ),
          items(rest),
        )
      : items(rest);
  return h(
    "section",
    null,
    h("h2", null, "Checks", h("small", null, `${passed} of ${run.checks.length}${skipped}`)),
    open.length ? items(open) : null,
    others,
  );
}

function checkItem(run, item) {
  const place = item.whole ? "conversation" : `turn ${item.turn + 1}`;
  const plain = item.score === undefined || item.score === (item.status === "pass" ? 1 : 0);
  const score = plain ? null : `score ${Number(item.score).toFixed(2)}`;
  const kind = item.kind && !item.name.startsWith(item.kind) ? item.kind : null;
  const details = item.details
    ? h(
        "details",
        null,
        h("summary", null, "Details"),
        h("pre", { dir: "auto" }, text(brief(pretty(item.details), 4000))),
      )
    : null;
  return h(
    "li",
    null,
    mark(item.status),
    h(
      "div",
      null,
      h("b", null, text(item.name)),
      " ",
      cites(run, item.cites),
      h("small", null, text([place, score, kind].filter(Boolean).join(" · "))),
      item.why ? h("div.why", { dir: "auto" }, text(brief(item.why, 2000))) : null,
      details,
    ),
  );
}

function decisionItem(run, item) {
  return h(
    "li",
    null,
    mark(item.status, { pass: "met", fail: "not met", undecided: "not decided" }[item.status]),
    h(
      "div",
      null,
      h("b", { dir: "auto" }, text(item.criterion)),
      " ",
      cites(run, item.cites),
      item.why ? h("div.why", { dir: "auto" }, text(item.why)) : null,
    ),
  );
}

function decisionsBox(run) {
  if (!run.decisions?.length && !run.judgements?.length) return null;
  const items = (run.decisions || []).map((item) => decisionItem(run, item));
  const words = (run.judgements || []).map((item) => [
    h(
      "p.why",
      { dir: "auto" },
      h("b", null, text(item.judge)),
      text(` turn ${item.turn + 1}, ${item.kind}${item.advisory ? ", advisory" : ""}: `),
      text(`${WORDS[item.verdict] || item.verdict}. `),
      text(item.reasoning),
    ),
    item.decisions?.length ? h("ul.checks", null, item.decisions.map((decided) => decisionItem(run, decided))) : null,
  ]);
  return h("section", null, h("h2", null, "Judge"), h("ul.checks", null, items), words);
}

function guardrailsBox(run) {
  if (!run.guardrails?.length && !run.workflow) return null;
  const items = (run.guardrails || []).map((item) =>
    h(
      "li",
      null,
      mark(item.passed ? "pass" : item.expected ? "skipped" : "fail"),
      h(
        "div",
        null,
        h("b", null, text(item.type)),
        h(
          "small",
          null,
          text(`turn ${item.turn + 1} · ${item.direction}${item.expected && !item.passed ? " · expected" : ""}`),
        ),
        item.explanation ? h("div.why", { dir: "auto" }, text(item.explanation)) : null,
      ),
    ),
  );
  const steps = run.workflow
    ? run.workflow.transitions.map((step) =>
        h(
          "li",
          null,
          h(
            "div",
            null,
            text(`${step.from} → ${step.to}`),
            h("small", null, text(`${step.event ?? ""} · turn ${(step.turn ?? 0) + 1}`)),
          ),
        ),
      )
    : [];
  const flow = run.workflow
    ? [
        h(
          "h2",
          null,
          "Workflow",
          h("small", null, text(run.workflow.state + (run.workflow.complete ? ", complete" : ""))),
        ),
        h("ul.checks", null, steps),
      ]
    : [];
  return h("section", null, items.length ? [h("h2", null, "Guardrails"), h("ul.checks", null, items)] : null, flow);
}

function trialsBox(run) {
  if (run.trials < 2) return null;
  const group = data.groups[run.group];
  const dots = group.runs
    .map((id) => byId.get(id))
    .map((other) =>
      h(
        `a.dot.o-${other.outcome}${other === run ? ".here" : ""}`,
        {
          href: runLink(other),
          "aria-label": `trial ${other.trial}: ${WORDS[other.outcome]}`,
          "aria-current": other === run ? "true" : null,
        },
        MARKS[other.outcome],
      ),
    );
  return h(
    "section",
    null,
    h("h2", null, "Trials", h("small", null, `pass rate ${percent(group.pass_rate)}`)),
    h("div.dots", null, dots),
  );
}

function figuresBox(run) {
  const rows = WHO.filter(([who]) => run.spent[who]).map(([who, word]) => {
    const [calls, read, written, cost, seconds, unpriced] = run.spent[who];
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, word),
      h("td.n", null, count(calls)),
      h("td.n", null, count(read + written)),
      h("td.n", null, money(cost, unpriced)),
      h("td.n", null, duration(seconds)),
    );
  });
  const head = h(
    "tr",
    null,
    ["", "calls", "tokens", "cost", "time"].map((word, index) => h(index ? "th.n" : "td", null, word)),
  );
  const tools = (run.tools || []).map((item) =>
    h(
      "li",
      null,
      mark(item.error ? "error" : "pass"),
      h(
        "div",
        null,
        h("b", null, text(item.name)),
        h("small", null, `turn ${item.turn + 1} · ${duration(item.seconds)}`),
        item.error ? h("div.why", { dir: "auto" }, text(item.error)) : null,
      ),
    ),
  );
  const pairs = [
    ["run", run.id],
    ["seed", run.seed],
    ["started", run.started ? when(run.started) : null],
    ["journal", run.journal],
    ["recording", run.recording],
    ...(run.recorded || []),
  ].filter(([, value]) => value);
  return h(
    "section",
    null,
    tools.length ? [h("h2", null, "Tools"), h("ul.checks", null, tools)] : null,
    h("h2", null, "Figures"),
    rows.length ? h("table.small", null, h("thead", null, head), h("tbody", null, rows)) : null,
    answerBars(run),
    h(
      "dl.pairs",
      null,
      pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, text(value)))),
    ),
  );
}
