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
  const phrase = small(flat(words.trim()));
  const longest = phrase.split(" ").reduce((one, other) => (other.length > one.length ? other : one));
  for (const [message, said] of texts) {
    if (!small(said).includes(longest)) continue;
    const shown = flat(said);
    const begin = small(shown).indexOf(phrase); // a regular expression would take a minute for words that repeat
    if (begin < 0) continue;
    const [first, end] = [Math.max(0, begin - AROUND), begin + phrase.length];
    const last = Math.min(shown.length, end + AROUND);
    return {
      message,
      before: (first ? "…" : "") + shown.slice(first, begin),
      found: shown.slice(begin, end),
      after: shown.slice(end, last) + (last < shown.length ? "…" : ""),
    };
  }
  return null;
}

/** An excerpt with what was found marked. The words before it are cut, so that it is seen in a narrow list. */
export function hitLine({ before, found, after }) {
  const shown = before.length > 28 ? `…${before.slice(-27)}` : before;
  return h("small.hit", null, text(shown), h("mark", null, text(found)), text(after));
}

function flat(said) {
  return said.replace(/\s+/g, " ");
}

// In small letters, each in the place of its own: of all letters only İ would become two.
function small(said) {
  return said.replaceAll("İ", "i").toLowerCase().replaceAll("ς", "σ");
}
