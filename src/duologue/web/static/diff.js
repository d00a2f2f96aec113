// What differs between two states of something: by field, and line by line where the field is a long text.

import { h, text } from "./dom.js";
import { pretty } from "./format.js";

const MOST = 2000; // lines that are compared

/** @param {{path: string, before: any, after: any}[]} changes */
export function diffTable(changes, name = "after") {
  if (!changes.length) return h("p.none", null, `Nothing differs from ${name}.`);
  return h(
    "dl.differing",
    null,
    changes.map(({ path, before, after }) =>
      h("div", null, h("dt", null, h("code", null, text(path || "all"))), h("dd", null, change(before, after))),
    ),
  );
}

function change(before, after) {
  const one = shown(before);
  const other = shown(after);
  if (one.includes("\n") || other.includes("\n")) return lines(one, other);
  return [
    one ? h("del", { dir: "auto" }, text(one)) : null,
    one && other ? " " : null,
    other ? h("ins", { dir: "auto" }, text(other)) : null,
  ];
}

function shown(value) {
  if (value === null || value === undefined) return "";
  return typeof value === "string" ? value : pretty(value);
}

/** Two texts line by line. */
function lines(one, other) {
  const before = one ? one.split("\n") : [];
  const after = other ? other.split("\n") : [];
  if (before.length > MOST || after.length > MOST) return [h("del", null, text(one)), h("ins", null, text(other))];
  const rows = [];
  for (const [kind, line] of steps(before, after)) {
    const tag = kind === "-" ? "del" : kind === "+" ? "ins" : "span";
    rows.push(h(tag, { dir: "auto" }, text(line), "\n"));
  }
  return h("pre.lines", null, rows);
}

// The longest common subsequence; beginnings and ends that are alike are not looked at.
function steps(before, after) {
  let first = 0;
  while (first < before.length && first < after.length && before[first] === after[first]) first += 1;
  let last = 0;
  while (last < before.length - first && last < after.length - first && before.at(-1 - last) === after.at(-1 - last))
    last += 1;
  const one = before.slice(first, before.length - last);
  const other = after.slice(first, after.length - last);
  const width = other.length + 1;
  const table = new Uint16Array((one.length + 1) * width);
  for (let i = one.length - 1; i >= 0; i -= 1) {
    for (let j = other.length - 1; j >= 0; j -= 1) {
      table[i * width + j] =
        one[i] === other[j]
          ? table[(i + 1) * width + j + 1] + 1
          : Math.max(table[(i + 1) * width + j], table[i * width + j + 1]);
    }
  }
  const found = before.slice(0, first).map((line) => [" ", line]);
  let [i, j] = [0, 0];
  while (i < one.length || j < other.length) {
    if (i < one.length && j < other.length && one[i] === other[j]) {
      found.push([" ", one[i]]);
      i += 1;
      j += 1;
    } else if (j >= other.length || (i < one.length && table[(i + 1) * width + j] >= table[i * width + j + 1])) {
      found.push(["-", one[i]]);
      i += 1;
    } else {
      found.push(["+", other[j]]);
      j += 1;
    }
  }
  return [...found, ...before.slice(before.length - last).map((line) => [" ", line])];
}
