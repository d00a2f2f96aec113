// The shape of a recording: how loud the user (left) and the agent (right) are, part by part.

const MOST = 1600; // values for each speaker: more than a wide page has pixels for
const SHORTEST = 0.02; // seconds that one value stands for at least
const BREATH = 12; // milliseconds of work after which the page gets its turn
const HEAD = 65536; // bytes in which a WAV file has to say what it holds

/**
 * @typedef {Object} Peaks  0 to 255 for each part
 * @property {Uint8Array} user
 * @property {Uint8Array} agent
 * @property {number} known  how many of the parts have been read
 */

/** The peaks that a report file has in its data. */
export function givenPeaks({ user, agent }) {
  const [left, right] = [user, agent].map((text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)));
  return { user: left, agent: right, known: left.length };
}

/**
 * Read a WAV file as it comes: a call of an hour is never in memory as a whole, and the page stays responsive.
 * @param {string} address
 * @param {AbortSignal} signal  ends it
 * @param {function(Peaks, number)} heard  called with what is known so far and the share that has been read
 */
export async function readPeaks(address, signal, heard) {
  const answer = await fetch(address, { signal });
  if (!answer.ok) throw new Error(`the server answered with ${answer.status}`);
  const reader = answer.body.getReader();
  let rest = new Uint8Array(0);
  let folded = null;
  let breath = performance.now();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    let bytes = rest.length ? joined(rest, value) : value;
    if (folded === null) {
      const format = wavFormat(bytes);
      if (format === null && bytes.length < HEAD) {
        rest = bytes;
        continue;
      }
      if (format === null) throw new Error("it is not a WAV file in stereo with 16 bits");
      folded = new Folded(format, Number(answer.headers.get("content-length")) || 0);
      bytes = bytes.subarray(format.start);
    }
    const whole = bytes.length - (bytes.length % 4);
    for (let from = 0; from < whole; from += HEAD * 4) {
      folded.add(bytes.subarray(from, Math.min(whole, from + HEAD * 4)));
      if (performance.now() - breath < BREATH) continue;
      heard(folded.peaks, folded.share);
      await new Promise((resolve) => setTimeout(resolve));
      breath = performance.now();
    }
    rest = bytes.slice(whole);
  }
  if (folded === null) throw new Error("it is not a WAV file in stereo with 16 bits");
  folded.end();
  heard(folded.peaks, 1);
}

function joined(first, second) {
  const both = new Uint8Array(first.length + second.length);
  both.set(first);
  both.set(second, first.length);
  return both;
}

/** Where the sound begins, how long it is and its rate; null if the bytes do not say so (yet). */
function wavFormat(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at) => String.fromCharCode(...bytes.subarray(at, at + 4));
  if (bytes.length < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") return null;
  let rate = 0;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    if (name(at) === "data") return rate ? { start: at + 8, size, rate } : null;
    if (name(at) === "fmt " && at + 24 <= bytes.length) {
      const [kind, channels, bits] = [at + 8, at + 10, at + 22].map((place) => view.getUint16(place, true));
      if ((kind !== 1 && kind !== 0xfffe) || channels !== 2 || bits !== 16) return null;
      rate = view.getUint32(at + 12, true);
    }
    at += 8 + size + (size % 2);
  }
  return null;
}

// Samples, folded into peaks.
class Folded {
  constructor({ start, size, rate }, length) {
    const there = length > start ? length - start : size; // a file whose writer was killed says too little
    this.frames = Math.max(1, Math.floor((length ? there : size) / 4));
    this.width = Math.max(Math.round(SHORTEST * rate), Math.ceil(this.frames / MOST));
    const parts = Math.ceil(this.frames / this.width);
    this.peaks = { user: new Uint8Array(parts), agent: new Uint8Array(parts), known: 0 };
    this.read = 0;
    this.left = this.right = this.within = 0;
  }

  get share() {
    return Math.min(1, this.read / this.frames);
  }

  add(bytes) {
    const aligned = bytes.byteOffset % 2 ? bytes.slice() : bytes;
    const samples = new Int16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 2);
    let { left, right, within } = this;
    for (let at = 0; at < samples.length; at += 2) {
      const user = samples[at] < 0 ? -samples[at] : samples[at];
      const agent = samples[at + 1] < 0 ? -samples[at + 1] : samples[at + 1];
      if (user > left) left = user;
      if (agent > right) right = agent;
      if (++within === this.width) {
        this.keep(left, right);
        left = right = within = 0;
      }
    }
    Object.assign(this, { left, right, within });
    this.read += samples.length / 2;
  }

  keep(left, right) {
    const { peaks } = this;
    if (peaks.known >= peaks.user.length) return; // what follows the sound in the file
    peaks.user[peaks.known] = Math.min(255, Math.ceil(left / 128));
    peaks.agent[peaks.known] = Math.min(255, Math.ceil(right / 128));
    peaks.known += 1;
  }

  end() {
    if (this.within) this.keep(this.left, this.right);
  }
}
