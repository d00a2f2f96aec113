// What a search has found in conversations.

import { h, text } from "./dom.js";

const AROUND = 60; // characters of an excerpt on each side

/**
 * Look for words in a conversation.
 * @param {Array<[?string, string]>} texts  ids of messages, and what they say; null for a text of the run itself
 * @param {string} words  in any case, with any white space between
 * @returns {?Hit}
 */
export function findHit(texts, words) {
  const pattern = new RegExp(words.trim().split(/\s+/).map(escaped).join("\\s+"), "i");
  for (const [message, said] of texts) {
    const found = pattern.exec(said);
    if (!found) continue;
    const [first, end] = [Math.max(0, found.index - AROUND), found.index + found[0].length];
    const last = Math.min(said.length, end + AROUND);
    return {
      message,
      before: (first ? "…" : "") + flat(said.slice(first, found.index)),
      found: flat(found[0]),
      after: flat(said.slice(end, last)) + (last < said.length ? "…" : ""),
    };
  }
  return null;
}

/** An excerpt with what was found marked. The words before it are cut, so that it is seen in a narrow list. */
export function hitLine({ before, found, after }) {
  const shown = before.length > 28 ? `…${before.slice(-27)}` : before;
  return h("small.hit", null, text(shown), h("mark", null, text(found)), text(after));
}

function escaped(word) {
  return word.replace(/[.*+?^${}()|[\]\\/-]/g, "\\$&");
}

function flat(said) {
  return said.replace(/\s+/g, " ");
}
