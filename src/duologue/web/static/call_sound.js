// The sound of a call: the microphone, the loudspeaker, and a recording of both that stays in this page.

const RATE = 24000;
const PROCESSOR = "/static/call_worklet.js";
const PARTS = 1600; // of the waveform of a recording

/** Why there is no sound, in words. */
export class NoSound extends Error {}

const REFUSED = {
  NotAllowedError:
    "The browser does not let this page use the microphone. Allow it beside the address of the page, then call again.",
  NotFoundError: "There is no microphone. Connect one, then call again.",
  NotReadableError: "The microphone cannot be used; another program may have it. Close that, then call again.",
};

export class CallSound {
  /**
   * Open the microphone. Raises NoSound.
   * @param {function(ArrayBuffer)} heard  called with 40 ms of the microphone: PCM16, mono, 24 kHz
   */
  static async open(heard) {
    if (!isSecureContext || !navigator.mediaDevices)
      throw new NoSound(
        "Browsers give the microphone to secure pages only. Open this service by https, or on its own machine as " +
          "localhost.",
      );
    const audio = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio });
    } catch (error) {
      throw new NoSound(REFUSED[error.name] || `The microphone cannot be used: ${error.message || error.name}`);
    }
    const sound = new CallSound(stream, heard);
    try {
      await sound.begin();
    } catch (error) {
      sound.close();
      throw new NoSound(`The sound of this machine cannot be used: ${error.message || error.name}`);
    }
    return sound;
  }

  constructor(stream, heard) {
    Object.assign(this, { stream, heard });
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.recording = new Recording();
    this.level = 0;
  }

  /** Record from now on. */
  record() {
    this.recording = new Recording();
  }

  async begin() {
    await this.context.audioWorklet.addModule(PROCESSOR);
    this.node = new AudioWorkletNode(this.context, "duologue-call", { outputChannelCount: [2] });
    this.node.port.onmessage = ({ data }) => this.take(data);
    this.context.createMediaStreamSource(this.stream).connect(this.node);
    this.node.connect(this.context.destination);
    await this.context.resume();
  }

  take({ user, agent }) {
    this.level = loudest(new Int16Array(user));
    this.recording.add(new Int16Array(user), new Int16Array(agent));
    this.heard(user);
  }

  /** Play sound of the agent: PCM16, mono, 24 kHz. */
  play(sound) {
    this.node?.port.postMessage(sound, [sound]);
  }

  mute(on) {
    for (const track of this.stream.getAudioTracks()) track.enabled = !on;
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    if (this.node) this.node.port.onmessage = null;
    this.context.close().catch(() => null);
  }
}

function loudest(samples) {
  let most = 0;
  for (const sample of samples) if (Math.abs(sample) > most) most = Math.abs(sample);
  return most / 32768;
}

// The user left and the agent right, as a recording of a run has them.
class Recording {
  constructor() {
    this.pieces = [];
    this.samples = 0;
  }

  get seconds() {
    return this.samples / RATE;
  }

  add(user, agent) {
    const both = new Int16Array(user.length * 2);
    for (let at = 0; at < user.length; at += 1) {
      both[2 * at] = user[at];
      both[2 * at + 1] = agent[at];
    }
    this.pieces.push(both);
    this.samples += user.length;
  }

  /** As a file. */
  file() {
    const size = this.samples * 4;
    const head = new DataView(new ArrayBuffer(44));
    const name = (at, letters) =>
      [...letters].forEach((letter, index) => head.setUint8(at + index, letter.charCodeAt(0)));
    name(0, "RIFF");
    head.setUint32(4, 36 + size, true);
    name(8, "WAVEfmt ");
    head.setUint32(16, 16, true);
    head.setUint16(20, 1, true);
    head.setUint16(22, 2, true);
    head.setUint32(24, RATE, true);
    head.setUint32(28, RATE * 4, true);
    head.setUint16(32, 4, true);
    head.setUint16(34, 16, true);
    name(36, "data");
    head.setUint32(40, size, true);
    return new Blob([head, ...this.pieces], { type: "audio/wav" });
  }

  /** How loud both are, as the data of a report has it. */
  peaks() {
    const width = Math.max(1, Math.ceil(this.pieces.length / PARTS));
    const user = [];
    const agent = [];
    for (let from = 0; from < this.pieces.length; from += width) {
      let [left, right] = [0, 0];
      for (const piece of this.pieces.slice(from, from + width))
        for (let at = 0; at < piece.length; at += 2) {
          left = Math.max(left, Math.abs(piece[at]));
          right = Math.max(right, Math.abs(piece[at + 1]));
        }
      user.push(Math.min(255, Math.ceil(left / 128)));
      agent.push(Math.min(255, Math.ceil(right / 128)));
    }
    const encoded = (values) => btoa(String.fromCharCode(...values));
    return { user: encoded(user), agent: encoded(agent) };
  }
}
