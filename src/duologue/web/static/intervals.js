// A share with its interval, as text and as a small bar that is as wide as what is not known.

import { h } from "./dom.js";
import { percent } from "./format.js";

/** @param {Rate} rate */
export function rateBar(rate) {
  if (rate.value === null) return h("span.none", null, "none decided");
  const known = rate.decided > 0 && rate.low !== null;
  const range = known ? `${percent(rate.low).replace("%", "")}–${percent(rate.high)}` : "";
  const told = `${percent(rate.value)}, ${Math.round((rate.confidence || 0.95) * 100)}% interval ${range}`;
  const bar = h("span.interval", { role: "img", "aria-label": known ? told : percent(rate.value) });
  if (known) {
    const span = h("i.span");
    span.style.left = `${100 * rate.low}%`;
    span.style.width = `${Math.max(1, 100 * (rate.high - rate.low))}%`;
    bar.append(span);
  }
  const point = h("i.point");
  point.style.left = `${100 * rate.value}%`;
  bar.append(point);
  return [h("b", null, percent(rate.value)), h("small", null, range), bar];
}
