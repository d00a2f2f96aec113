// A suite over time: pass rate with its interval, cost and time of each execution.

import { h, svg, text } from "./dom.js";
import { duration, money, percent, plural, when } from "./format.js";
import { SourceError } from "./source.js";
import { table } from "./tables.js";

const [WIDTH, HEIGHT, LEFT, BELOW] = [760, 200, 76, 26];
const LINES = 4;

/** @returns {Promise<Page>} */
export async function trendPage({ source, links, address }, suite) {
  const { rows, total } = await source.trend(suite);
  if (!rows.length) throw new SourceError(`There are no executions of a suite called ${suite} here.`, 404);
  const several = rows.length > 1;
  const element = h(
    "main.page",
    { id: "main", tabindex: "-1" },
    h(
      "header.title",
      null,
      h("div", null, h("h1", null, text(suite))),
      h("p.facts", null, h("span", null, plural(total, "execution")), h("span", null, "the oldest on the left")),
    ),
    several ? null : h("p.none", null, "There is one execution so far. A trend needs a second one."),
    several ? charts(rows, links, address) : null,
    executionsSection(rows, links),
  );
  const list = () => address.go(links.executions({ suite }));
  return { element, view: "trend", title: `Trend of ${suite}`, keys: { o: list }, help: [["o", "all executions"]] };
}

function charts(rows, links, address) {
  const open = (row) => address.go(links.execution(row.id).overview());
  const cost = Math.max(...rows.map((row) => row.cost));
  const seconds = Math.max(...rows.map((row) => row.seconds));
  return h(
    "section.trends",
    null,
    rateChart(rows, open),
    cost > 0
      ? barChart(
          "Cost in US dollars",
          rows,
          (row) => row.cost,
          (value) => money(value),
          open,
        )
      : null,
    seconds > 0
      ? barChart(
          "Time",
          rows,
          (row) => row.seconds,
          (value) => duration(value),
          open,
        )
      : null,
  );
}

function frame(title, label, low, high) {
  const picture = svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "trend" },
    svg("title", null, title),
  );
  const y = (value) => HEIGHT - BELOW - ((value - low) / (high - low || 1)) * (HEIGHT - BELOW - 12);
  const grid = svg("g", { class: "axis", "aria-hidden": "true" });
  for (let step = 0; step <= LINES; step++) {
    const value = low + ((high - low) * step) / LINES;
    grid.append(svg("line", { x1: LEFT, x2: WIDTH, y1: y(value), y2: y(value) }));
    grid.append(svg("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, label(value)));
  }
  picture.append(grid);
  return { picture, y };
}

const x = (place, rows) => LEFT + 14 + (place * (WIDTH - LEFT - 28)) / Math.max(1, rows.length - 1);

function dates(picture, rows) {
  const ends = rows.length > 1 ? [0, rows.length - 1] : [0];
  for (const place of ends) {
    const anchor = place ? "end" : "start";
    const label = when(rows[place].started).slice(0, 10);
    picture.append(
      svg("text", { x: place ? WIDTH : LEFT, y: HEIGHT - 6, "text-anchor": anchor, class: "soft" }, label),
    );
  }
}

function rateChart(rows, open) {
  const known = rows.filter((row) => row.rate.value !== null);
  const low = Math.max(0, Math.floor(Math.min(...known.map((row) => row.rate.low), 1) * 10) / 10 - 0.05);
  const { picture, y } = frame("Pass rate of each execution, with its interval", percent, Math.max(0, low), 1);
  const at = (row) => x(rows.indexOf(row), rows);
  const band = [
    ...known.map((row) => `${at(row)},${y(row.rate.high)}`),
    ...[...known].reverse().map((row) => `${at(row)},${y(row.rate.low)}`),
  ];
  picture.append(svg("polygon", { points: band.join(" "), class: "band" }));
  picture.append(
    svg("polyline", { points: known.map((row) => `${at(row)},${y(row.rate.value)}`).join(" "), class: "line" }),
  );
  for (const row of known) {
    const ends = `${percent(row.rate.low).replace("%", "")}–${percent(row.rate.high)}`;
    const told = `${when(row.started)}: ${percent(row.rate.value)} [${ends}], ${row.name}`;
    const point = svg("circle", { cx: at(row), cy: y(row.rate.value), r: 4, class: "point" }, svg("title", null, told));
    point.addEventListener("click", () => open(row));
    picture.append(point);
  }
  dates(picture, rows);
  return h("figure", null, h("figcaption", null, "Pass rate of decided runs, with 95% intervals"), picture);
}

function barChart(title, rows, value, label, open) {
  const { picture, y } = frame(title, label, 0, Math.max(...rows.map(value)));
  const wide = Math.max(2, Math.min(22, (WIDTH - LEFT - 28) / rows.length - 3));
  rows.forEach((row, place) => {
    const top = y(value(row));
    const bar = svg(
      "rect",
      {
        x: x(place, rows) - wide / 2,
        y: top,
        width: wide,
        height: Math.max(1, HEIGHT - BELOW - top),
        rx: 1,
        class: "who-user",
      },
      svg("title", null, `${when(row.started)}: ${label(value(row))}, ${row.name}`),
    );
    bar.addEventListener("click", () => open(row));
    picture.append(bar);
  });
  dates(picture, rows);
  return h("figure", null, h("figcaption", null, title), picture);
}

function executionsSection(rows, links) {
  const head = ["execution", "when", "pass rate", "interval", "cost", "time", "commit", h("td")];
  const lines = [...rows].reverse().map((row, place) => {
    const before = rows[rows.length - 2 - place];
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, h("a", { href: links.execution(row.id).overview() }, text(row.name))),
      h("td.n", null, when(row.started)),
      h("td.n", null, row.rate.value === null ? "–" : percent(row.rate.value)),
      h(
        "td.n",
        null,
        row.rate.value === null ? "" : `${percent(row.rate.low).replace("%", "")}–${percent(row.rate.high)}`,
      ),
      h("td.n", null, money(row.cost, row.unpriced)),
      h("td.n", null, duration(row.seconds)),
      h("td", null, text(row.commit?.slice(0, 10) ?? "")),
      h("td", null, before ? h("a", { href: links.compare(before.id, row.id) }, "compare") : null),
    );
  });
  return h(
    "section",
    null,
    h("h2", null, "Executions"),
    table("Executions of this suite", head, lines),
  );
}
