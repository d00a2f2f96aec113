// Controls that hold a single value, and the words of forms.

import { h, text } from "./dom.js";

export function sameData(one, other) {
  return JSON.stringify(sorted(one)) === JSON.stringify(sorted(other));
}

function sorted(value) {
  if (Array.isArray(value)) return value.map(sorted);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((name) => [name, sorted(value[name])]),
  );
}

// "failure_criteria_mode" is read as "Failure criteria mode".
export function labelOf(name) {
  const words = name
    .replace(/_+$/, "")
    .replaceAll("_", " ")
    .replace(/\b(id|url|api|ms|mcp|a2a|http|json)\b/gi, (word) => word.toUpperCase());
  return words.charAt(0).toUpperCase() + words.slice(1).replace(/\bIDS\b/i, "IDs");
}

// Descriptions mark code with ` or ``.
export function helpNodes(description) {
  return String(description)
    .split(/``?/)
    .map((part, index) => (index % 2 ? h("code", null, text(part)) : text(part)));
}

export function emptyWord(kind) {
  if (kind.default !== undefined && kind.default !== null) return `Default: ${kind.default}`;
  return kind.nullable ? "Default" : "Choose…";
}

export function isUsual(kind, value) {
  if (value === undefined || value === null || value === "") return true;
  if (sameData(value, kind.default)) return true;
  if (Array.isArray(value)) return !value.length && !kind.default?.length;
  if (typeof value === "object") return Object.values(value).every((item) => isUsual({}, item));
  return false;
}

// A control of one line.
export function line(spec, as) {
  const { id, kind, value, described, required, labelled, label } = spec;
  const usual =
    kind.default !== undefined && kind.default !== null && kind.default !== "" ? String(kind.default) : null;
  const shown =
    value === undefined || value === null || (usual !== null && String(value) === usual && !required)
      ? ""
      : String(value);
  const element = h("input", {
    id,
    type: "text",
    inputmode: as.mode || null,
    value: shown,
    placeholder: usual === null ? (kind.examples?.[0] ?? null) : `Default: ${usual}`,
    "aria-describedby": described,
    "aria-required": required ? "true" : null,
    "aria-label": labelled ? label : null,
    autocomplete: "off",
    spellcheck: "false",
  });
  return { element, value: () => as.value(element.value), wrong: () => as.wrong?.(element.value) };
}

export const textOf = { value: (typed) => (typed === "" ? undefined : typed) };

export function numberOf(type) {
  const read = (typed) => Number(typed.trim().replace(",", "."));
  return {
    mode: type === "integer" ? "numeric" : "decimal",
    value: (typed) => (typed.trim() === "" ? undefined : Number.isFinite(read(typed)) ? read(typed) : typed),
  };
}

export function scalarOf(kinds) {
  const numbers = kinds.some((item) => item.type !== "string");
  return {
    value: (typed) => {
      if (typed.trim() === "") return undefined;
      return numbers && /^-?\d+(\.\d+)?$/.test(typed.trim()) ? Number(typed) : typed;
    },
  };
}

export function area(spec) {
  const { id, value, described, required, labelled, label } = spec;
  const element = h("textarea", {
    id,
    rows: "2",
    "aria-describedby": described,
    "aria-required": required ? "true" : null,
    "aria-label": labelled ? label : null,
    spellcheck: "true",
  });
  element.value = value ?? "";
  return { element, value: () => (element.value === "" ? undefined : element.value) };
}

export function flag(spec) {
  const { id, kind, value, described } = spec;
  if (kind.nullable)
    return oneOf(
      spec,
      [
        { value: true, label: "yes" },
        { value: false, label: "no" },
      ],
      "Default",
    );
  const element = h("input", {
    id,
    type: "checkbox",
    "aria-describedby": described,
    checked: (value ?? kind.default) === true,
  });
  return { element, value: () => (element.checked === (kind.default ?? false) ? undefined : element.checked) };
}

export function oneOf(spec, choices, empty) {
  const { id, kind, value, described, required, labelled, label } = spec;
  const given = value ?? (required ? kind.default : undefined);
  const known = choices.some((item) => sameData(item.value, given));
  const all =
    given === undefined || given === null || known ? choices : [...choices, { value: given, label: String(given) }];
  const element = h(
    "select",
    {
      id,
      "aria-describedby": described,
      "aria-required": required ? "true" : null,
      "aria-label": labelled ? label : null,
    },
    h("option", { value: "" }, empty),
    all.map((item, index) =>
      h(
        "option",
        { value: String(index + 1), selected: given !== undefined && sameData(item.value, given) },
        text(item.label),
      ),
    ),
  );
  if (sameData(given, kind.default) && !required) element.value = "";
  return { element, value: () => (element.value === "" ? undefined : all[Number(element.value) - 1].value) };
}

// Several of a list, in the order in which they are chosen.
export function several(spec, choices) {
  const { id, value, label } = spec;
  const chosen = [...(value ?? [])];
  const all = [
    ...choices,
    ...chosen.filter((one) => !choices.some((item) => item.value === one)).map((one) => ({ value: one, label: one })),
  ];
  const boxes = all.map((item) => {
    const box = h("input", { type: "checkbox", checked: chosen.includes(item.value) });
    box.addEventListener("change", () => {
      if (box.checked) chosen.push(item.value);
      else chosen.splice(chosen.indexOf(item.value), 1);
    });
    return { label: String(item.label), element: h("label.option", null, box, h("span", null, text(item.label))) };
  });
  const list = h(
    "div.options",
    null,
    boxes.map((box) => box.element),
  );
  const search = h("input", {
    type: "search",
    placeholder: "Search",
    "aria-label": `Search ${label.toLowerCase()}`,
    autocomplete: "off",
  });
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase();
    for (const box of boxes) box.element.hidden = !box.label.toLowerCase().includes(words);
  });
  const told = `There are no ${label.toLowerCase()} yet. Create them under Define, then choose them here.`;
  const none = all.length ? null : h("p.none", null, told);
  return {
    element: h("div.list", { id, tabindex: "-1" }, all.length > 12 ? search : null, list, none),
    group: true,
    value: () => (chosen.length ? [...chosen] : undefined),
  };
}

// Whatever else there is, as JSON.
export function data(spec) {
  const { id, kind, value, described, required, label } = spec;
  const element = h("textarea.data", {
    id,
    rows: "3",
    spellcheck: "false",
    "aria-describedby": described,
    "aria-required": required ? "true" : null,
    "aria-label": spec.labelled ? label : null,
  });
  element.value = isUsual(kind, value) ? "" : JSON.stringify(value, null, 2);
  const read = () => {
    const typed = element.value.trim();
    if (!typed) return { value: undefined };
    try {
      return { value: JSON.parse(typed) };
    } catch (error) {
      return plainText(kind) && !/^[[{"]/.test(typed)
        ? { value: element.value }
        : { wrong: `expected JSON: ${error.message}` };
    }
  };
  return { element, value: () => read().value, wrong: () => read().wrong };
}

function plainText(kind) {
  return !kind.type || kind.kinds?.some((item) => item.type === "string");
}
