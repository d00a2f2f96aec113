// Bring what is on the page up to what it should be, without taking away what is right already: the focus, the place of
// scrolling, opened details and what is selected stay, so that nothing jumps while a page is live.

const KEPT = new Set(["open", "value", "checked", "style"]); // what readers have changed, and what is seen to apart

/** Make `shown` look like `wanted`, which is used up. */
export function morph(shown, wanted) {
  if (shown.nodeType !== wanted.nodeType || shown.nodeName !== wanted.nodeName || keyOf(shown) !== keyOf(wanted)) {
    shown.replaceWith(wanted);
    return wanted;
  }
  if (shown.whole !== wanted.whole) {
    shown.replaceWith(wanted);
    return wanted;
  }
  if (shown.whole !== undefined) return shown; // a long text, of which somebody may have asked for more
  if (shown.nodeType === Node.TEXT_NODE) {
    if (shown.data !== wanted.data) shown.data = wanted.data;
    return shown;
  }
  attributes(shown, wanted);
  if (shown.dataset?.kept !== undefined) return shown; // what somebody has opened, and nobody else can draw again
  if (!/^(INPUT|TEXTAREA|SELECT|AUDIO|VIDEO)$/.test(shown.nodeName)) children(shown, wanted);
  return shown;
}

function attributes(shown, wanted) {
  // As an attribute, style is against the policy.
  if (shown.style?.cssText !== wanted.style?.cssText) shown.style.cssText = wanted.style.cssText;
  for (const { name, value } of [...wanted.attributes]) {
    if (!KEPT.has(name) && shown.getAttribute(name) !== value) shown.setAttribute(name, value);
  }
  for (const { name } of [...shown.attributes]) {
    if (!KEPT.has(name) && !wanted.hasAttribute(name) && name !== "data-kept") shown.removeAttribute(name);
  }
}

function children(shown, wanted) {
  const keyed = new Map();
  for (const child of shown.childNodes) if (keyOf(child)) keyed.set(keyOf(child), child);
  let at = shown.firstChild;
  for (const next of [...wanted.childNodes]) {
    const known = keyOf(next) ? keyed.get(keyOf(next)) : null;
    if (known && known !== at) shown.insertBefore(known, at);
    const here = known || (at && !keyOf(at) && !keyOf(next) && at.nodeName === next.nodeName ? at : null);
    if (here) {
      const done = morph(here, next);
      at = done.nextSibling;
    } else shown.insertBefore(next, at);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function keyOf(node) {
  return node.nodeType === Node.ELEMENT_NODE ? node.id || node.dataset?.key || "" : "";
}
