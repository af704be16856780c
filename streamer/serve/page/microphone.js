// The microphone as 50 ms frames of 16-bit mono.

const REFUSED = {
  NotAllowedError: "The microphone was refused. Allow it for this page in the browser's address bar, then press Start.",
  NotFoundError: "No microphone was found. Connect one, then press Start.",
  NotReadableError: "The microphone is used by another program. Close that, then press Start.",
};

export class Microphone {
  // Opens it; calls onFrame(ArrayBuffer) until close(). Throws an Error with a text for people.
  static async open(onFrame, onLost) {
    if (!navigator.mediaDevices) {
      throw new Error("The browser gives the microphone only to https pages and to localhost. Open this page there.");
    }
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: { channelCount: 1 } });
    } catch (error) {
      throw new Error(REFUSED[error.name] ?? `The microphone cannot be opened: ${error.message}`);
    }
    const microphone = new Microphone(stream);
    try {
      await microphone.connect(onFrame);
    } catch (error) {
      microphone.close();
      throw error;
    }
    stream.getTracks()[0].addEventListener("ended", onLost);
    return microphone;
  }

  constructor(stream) {
    this.stream = stream;
  }

  async connect(onFrame) {
    this.context = new AudioContext({ sampleRate: 16000 });
    let source;
    try {
      source = this.context.createMediaStreamSource(this.stream);
    } catch {
      // Firefox does not resample a microphone; the server does.
      await this.context.close();
      this.context = new AudioContext();
      source = this.context.createMediaStreamSource(this.stream);
    }
    this.rate = this.context.sampleRate;
    await this.context.audioWorklet.addModule("worklet.js");
    const frames = new AudioWorkletNode(this.context, "frames", {
      numberOfOutputs: 0, channelCount: 1, channelCountMode: "explicit",
    });
    frames.port.onmessage = (event) => onFrame(event.data);
    source.connect(frames);
    await this.context.resume();
  }

  close() {
    for (const track of this.stream.getTracks()) track.stop();
    if (this.context && this.context.state !== "closed") this.context.close();
  }
}
