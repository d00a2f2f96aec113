// Pass rates of one suite over time, each with its interval.

import { h, svg, text } from "./dom.js";
import { percent, when } from "./format.js";
import { rateText } from "./rates.js";

const MOST = 60;

/** @param {ExecutionRow[]} rows  the oldest first */
export function trendChart(rows, href) {
  const shown = rows.filter((row) => row.rate.value !== null).slice(-MOST);
  if (shown.length < 2) return null;
  const [left, top, width, height] = [44, 10, innerWidth < 640 ? 300 : 820, 120];
  const x = (index) => left + (width * (index + 0.5)) / shown.length;
  const y = (share) => top + height * (1 - share);
  const picture = svg("svg", {
    viewBox: `0 0 ${left + width + 8} ${top + height + 24}`,
    class: "chart over-time",
    role: "group",
    "aria-label": "Pass rate over time",
  });
  const axis = svg("g", { class: "axis", "aria-hidden": "true" });
  for (const share of [0, 0.5, 1]) {
    axis.append(svg("line", { x1: left, x2: left + width, y1: y(share), y2: y(share) }));
    axis.append(svg("text", { x: left - 8, y: y(share) + 4, "text-anchor": "end" }, percent(share)));
  }
  axis.append(svg("text", { x: left, y: top + height + 18 }, when(shown[0].started).slice(0, 10)));
  axis.append(
    svg(
      "text",
      { x: left + width, y: top + height + 18, "text-anchor": "end" },
      when(shown.at(-1).started).slice(0, 10),
    ),
  );
  picture.append(axis);
  picture.append(
    svg("polyline", { class: "line", points: shown.map((row, index) => `${x(index)},${y(row.rate.value)}`).join(" ") }),
  );
  shown.forEach((row, index) => {
    const told = `${row.name}, ${when(row.started)}: ${rateText(row.rate)}`;
    const point = svg("a", { href: href(row), "aria-label": told, class: "point" }, svg("title", null, told));
    point.append(
      svg("line", { class: "interval", x1: x(index), x2: x(index), y1: y(row.rate.low), y2: y(row.rate.high) }),
    );
    point.append(svg("circle", { cx: x(index), cy: y(row.rate.value), r: 4.5 }));
    picture.append(point);
  });
  return h(
    "figure.over-time",
    null,
    h("figcaption", null, "Pass rate of ", h("b", null, text(shown[0].suite)), " over time, with 95 % intervals"),
    picture,
  );
}
