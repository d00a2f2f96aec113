// Light or dark: as the system has it, until somebody says otherwise.

import { h } from "./dom.js";

const KEY = "duologue-theme";

/** Take what was chosen before. Call it before anything is drawn. */
export function restoreTheme() {
  try {
    const theme = localStorage.getItem(KEY);
    if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
  } catch {
    // a page without storage follows the system
  }
}

export function themeButton() {
  return h(
    "button.theme",
    { type: "button", onclick: turnTheme, title: "Light or dark", "aria-label": "Change between light and dark" },
    "◐",
  );
}

function turnTheme() {
  const now =
    document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  const next = now === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem(KEY, next);
  } catch {
    // a page without storage forgets it
  }
}
