// Runs beside the page, where sound is made: takes the microphone's sound to 24 kHz, and plays the agent's.
//
// The page is sent 40 ms at a time, of the microphone and of what was played meanwhile, so that both belong together.
// It sends the agent's sound, PCM16 at 24 kHz, as it comes.

const RATE = 24000;
const PIECE = 960; // samples of a message
const AHEAD = 1920; // samples that have to be there before they are played: so much may the network be late
const MOST = 10 * RATE; // samples that wait at most

// Sound at the rate of the device becomes sound at 24 kHz: the mean of the samples that belong to each of the new ones.
class Narrowed {
  constructor() {
    this.samples = new Int16Array(PIECE);
    this.length = this.sum = this.count = this.phase = 0;
  }

  add(sample) {
    this.sum += sample;
    this.count += 1;
    this.phase += RATE / sampleRate;
    while (this.phase >= 1 && this.length < PIECE) {
      this.phase -= 1;
      const mean = this.sum / this.count;
      this.samples[this.length++] = Math.max(-32768, Math.min(32767, Math.round(mean * 32767)));
      if (this.phase < 1) this.sum = this.count = 0;
    }
  }

  take() {
    const taken = this.samples;
    this.samples = new Int16Array(PIECE);
    this.length = 0;
    return taken;
  }
}

class CallProcessor extends AudioWorkletProcessor {
  constructor() {
    super();
    this.pieces = [];
    this.waiting = 0; // samples
    this.place = 0; // in the first piece, between two samples
    this.playing = false;
    this.microphone = new Narrowed();
    this.played = new Narrowed();
    this.port.onmessage = ({ data }) => this.hear(new Int16Array(data));
  }

  hear(samples) {
    if (this.waiting > MOST) return;
    this.pieces.push(samples);
    this.waiting += samples.length;
  }

  // The next sample of the agent at the rate of the device.
  next() {
    if (!this.playing && this.waiting < AHEAD) return 0;
    const [first, second] = this.pieces;
    if (!first) {
      this.playing = false;
      return 0;
    }
    this.playing = true;
    const at = Math.floor(this.place);
    const from = first[at];
    const to = at + 1 < first.length ? first[at + 1] : second ? second[0] : from;
    const sample = (from + (to - from) * (this.place - at)) / 32768;
    this.place += RATE / sampleRate;
    if (this.place >= first.length) {
      this.place -= first.length;
      this.waiting -= first.length;
      this.pieces.shift();
    }
    return sample;
  }

  process([input], [output]) {
    const heard = input[0];
    const [left, ...others] = output;
    for (let at = 0; at < left.length; at += 1) {
      const sample = this.next();
      left[at] = sample;
      this.microphone.add(heard ? heard[at] : 0);
      this.played.add(sample);
      if (this.microphone.length === PIECE) this.tell();
    }
    for (const channel of others) channel.set(left);
    return true;
  }

  tell() {
    const user = this.microphone.take().buffer;
    const agent = this.played.take().buffer;
    this.port.postMessage({ user, agent }, [user, agent]);
  }
}

registerProcessor("duologue-call", CallProcessor);
