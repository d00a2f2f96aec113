// A conversation in voice: what was heard.

import { mediaItem } from "./conversation.js";
import { h, text } from "./dom.js";

/** @param {Run} run  `run.voice` is what duologue.reports.html.voice.voice_data makes */
export function voiceSection(run) {
  if (!run.voice) return null;
  const { line, recording } = run.voice;
  return h(
    "section.heard",
    { "aria-label": "Recording" },
    h("p.facts", null, text(line)),
    recording ? mediaItem({ ...recording, type: "audio" }) : h("p.none", null, "There is no recording."),
  );
}
