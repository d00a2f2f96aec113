// Charts, drawn as SVG. Each has a title, and a table with the same numbers stands near it.

import { h, svg, text } from "./dom.js";
import { count, duration, money, plural, shortened } from "./format.js";
import { scrollable } from "./tables.js";

export const WHO = [
  ["agent", "agent"],
  ["user", "simulated user"],
  ["judge", "judge"],
];

function costOf(agent) {
  return WHO.reduce((sum, [who]) => sum + agent.spent[who].cost, 0);
}

function nice(value) {
  if (value <= 0) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((step) => step * size).find((step) => step >= value * 0.999);
}

function axis(most, width, left, height, label) {
  const group = svg("g", { class: "axis", "aria-hidden": "true" });
  const steps = width < 300 ? 2 : 4;
  for (let step = 0; step <= steps; step++) {
    const x = left + (width * step) / steps;
    group.append(svg("line", { x1: x, x2: x, y1: 0, y2: height }));
    const anchor = step === 0 ? "start" : step === steps ? "end" : "middle";
    group.append(svg("text", { x, y: height + 15, "text-anchor": anchor }, label((most * step) / steps)));
  }
  return group;
}

// rows: [{name, draw(scale, y) -> [nodes], value}]
function chart(title, most, rows, label) {
  const [room, width, line] = innerWidth < 640 ? [104, 180, 34] : [190, 350, 34];
  const left = Math.min(room, 16 + 7.5 * Math.max(6, ...rows.map((row) => row.name.length)));
  const height = rows.length * line;
  const picture = svg(
    "svg",
    // As wide as its text needs: letters of a picture that is stretched would grow with it.
    { viewBox: `0 0 ${left + width + 90} ${height + 22}`, width: left + width + 90, role: "img", class: "chart" },
    svg("title", null, title),
  );
  picture.append(axis(most, width, left, height, label));
  rows.forEach((row, index) => {
    const y = index * line + line / 2;
    const name = shortened(row.name, Math.floor((left - 12) / 7.5));
    picture.append(
      svg("text", { x: left - 10, y: y + 4, "text-anchor": "end", class: "name" }, svg("title", null, row.name), name),
    );
    picture.append(...row.draw((value) => left + (width * Math.min(value, most)) / most, y));
    picture.append(svg("text", { x: left + width + 10, y: y + 4, class: "value" }, row.value));
  });
  return picture;
}

function costChart(agents) {
  const most = nice(Math.max(...agents.map(costOf)));
  const rows = agents.map((agent) => ({
    name: agent.name || "recordings",
    value: money(
      costOf(agent),
      WHO.some(([who]) => agent.spent[who].unpriced),
    ),
    draw(scale, y) {
      let from = 0;
      return WHO.filter(([who]) => agent.spent[who].cost > 0).map(([who, word]) => {
        const cost = agent.spent[who].cost;
        const bar = svg("rect", {
          x: scale(from),
          y: y - 8,
          width: Math.max(0.5, scale(from + cost) - scale(from) - 1),
          height: 16,
          class: `who-${who}`,
        });
        bar.append(svg("title", null, `${word}: ${money(cost)}`));
        from += cost;
        return bar;
      });
    },
  }));
  const key = h(
    "p.key",
    null,
    WHO.map(([who, word]) => h("span", null, h(`i.who-${who}`), word)),
  );
  return h(
    "figure",
    null,
    h("figcaption", null, "Cost by agent"),
    chart("Cost by agent in US dollars", most, rows, (value) => money(value)),
    key,
  );
}

function latencyChart(agents) {
  const measured = agents.filter(isSlow);
  const most = nice(Math.max(...measured.map((agent) => agent.latency.longest)));
  const rows = measured.map((agent) => ({
    name: agent.name || "recordings",
    value: duration(agent.latency.p50),
    draw(scale, y) {
      const { p10, p50, p90, longest, count: answers } = agent.latency;
      const parts = [`half within ${duration(p50)}`, `nine of ten within ${duration(p90)}`];
      const told = `${plural(answers, "answer")}: ${parts.join(", ")}, the longest ${duration(longest)}`;
      const line = svg("g", { class: "spread" }, svg("title", null, told));
      line.append(svg("line", { x1: scale(p10), x2: scale(longest), y1: y, y2: y }));
      line.append(
        svg("rect", { x: scale(p10), y: y - 6, width: Math.max(2, scale(p90) - scale(p10)), height: 12, rx: 2 }),
      );
      line.append(svg("line", { x1: scale(p50), x2: scale(p50), y1: y - 9, y2: y + 9, class: "middle" }));
      line.append(svg("circle", { cx: scale(longest), cy: y, r: 2.5 }));
      return [line];
    },
  }));
  const key = h(
    "p.key",
    null,
    "Line: from the 10th percentile to the longest. Bar: to the 90th. Mark and figure: the median.",
  );
  return h(
    "figure",
    null,
    h("figcaption", null, "Time to answer"),
    chart("Time to answer by agent in seconds", most, rows, duration),
    key,
  );
}

// Answers from a file take no time worth a picture.
function isSlow(agent) {
  return agent.latency && agent.latency.longest >= 0.001;
}

// agents: what Source.figures gives.
export function costSection(agents) {
  const shown = [];
  if (agents.some((agent) => costOf(agent) > 0)) shown.push(costChart(agents));
  if (agents.some(isSlow)) shown.push(latencyChart(agents));
  if (!shown.length) return null;
  return h("section", null, h("h2", null, "Cost and latency"), h("div.charts", null, shown), costTable(agents));
}

function costTable(agents) {
  const total = { calls: 0, input_tokens: 0, output_tokens: 0, cost: 0, unpriced: 0 };
  const add = (part) => Object.keys(total).forEach((name) => (total[name] += part[name]));
  agents.forEach((agent) => WHO.forEach(([who]) => add(agent.spent[who])));
  const row = (name, who, part) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, text(name)),
      h("td", null, who),
      h("td.n", null, count(part.calls)),
      h("td.n", null, count(part.input_tokens)),
      h("td.n", null, count(part.output_tokens)),
      h("td.n", null, money(part.cost, part.unpriced)),
    );
  const rows = agents.flatMap((agent) =>
    WHO.filter(([who]) => agent.spent[who].calls).map(([who, word], index) =>
      row(index ? "" : agent.name || "recordings", word, agent.spent[who]),
    ),
  );
  const head = ["agent", "asked by", "calls", "tokens read", "tokens written", "cost"].map((word, index) =>
    h(index > 1 ? "th.n" : "th", { scope: "col" }, word),
  );
  const note = total.unpriced
    ? h("p.note", null, `+: excludes ${plural(total.unpriced, "call")} without a known price.`)
    : null;
  return h(
    "details",
    null,
    h("summary", null, "All figures"),
    scrollable(
      "All figures",
      h(
        "table",
        null,
        h("thead", null, h("tr", null, head)),
        h("tbody", null, rows),
        h("tfoot", null, row("total", "", total)),
      ),
    ),
    note,
  );
}

// Bars for the answers of one run, so that a slow one is seen at once.
export function answerBars(links, run) {
  const times = run.messages.filter((message) => message.role === "assistant" && message.spent && message.spent[4] > 0);
  if (times.length < 2) return null;
  const longest = Math.max(...times.map((message) => message.spent[4]));
  const wide = Math.max(4, Math.min(22, Math.floor(280 / times.length)));
  const picture = svg("svg", {
    viewBox: `0 0 ${wide * times.length} 40`,
    width: wide * times.length,
    height: 40,
    role: "group",
    "aria-label": `Time to each of ${times.length} answers`,
    class: "bars",
  });
  picture.append(svg("title", null, `Time to each of ${times.length} answers, the longest ${duration(longest)}`));
  times.forEach((message, index) => {
    const height = Math.max(2, (message.spent[4] / longest) * 38);
    const bar = svg("rect", { x: index * wide, y: 40 - height, width: wide - 2, height, rx: 1 });
    bar.append(svg("title", null, `${message.id}: ${duration(message.spent[4])}`));
    picture.append(svg("a", { href: links.run(run.id, message.id) }, bar));
  });
  return h("div", null, picture, h("p.note", null, `Time to answer, up to ${duration(longest)}`));
}
