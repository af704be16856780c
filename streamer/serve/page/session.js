// A session of the native protocol at /v1/stream; a dropped connection is taken up again.

const RESUME = 9000; // ms; the server keeps a dropped session for 10 s
const KEEP = 15; // seconds of sound kept for sending again

export class Session {
  // on: ready(), message(object), problem(text), dropped(), done()
  constructor(rate, on) {
    this.rate = rate;
    this.on = on;
    this.seq = 0;
    this.sent = 0; // bytes ever handed to send()
    this.kept = [];
    this.keptBytes = 0;
    this.live = false;
    this.ending = false;
    this.over = false;
    this.open();
  }

  get seconds() {
    return this.sent / 2 / this.rate;
  }

  open() {
    const url = new URL("v1/stream", location.href);
    url.protocol = location.protocol === "https:" ? "wss:" : "ws:";
    url.search = tokenQuery();
    this.socket = new WebSocket(url);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => {
      const start = { type: "start", version: 1, format: "s16le", rate: this.rate };
      if (this.id) start.resume = { session: this.id, seq: this.seq };
      this.socket.send(JSON.stringify(start));
    };
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onclose = (event) => this.closed(event);
  }

  send(frame) {
    if (this.over || this.ending) return;
    this.kept.push(frame);
    this.sent += frame.byteLength;
    this.keptBytes += frame.byteLength;
    while (this.keptBytes > KEEP * 2 * this.rate) this.keptBytes -= this.kept.shift().byteLength;
    if (this.live) this.socket.send(frame);
  }

  end() {
    this.ending = true;
    if (this.live) this.socket.send('{"type":"end"}');
  }

  receive(message) {
    if (message.seq) this.seq = message.seq;
    if (message.type === "ready") {
      this.id = message.session;
      this.live = true;
      this.droppedAt = undefined;
      this.catchUp(message.received);
      this.on.ready();
    } else if (message.type === "error" && message.code === "serve.no-session") {
      this.fail("The connection was lost for too long. Press Start to go on.");
    } else if (message.type === "error") {
      this.fail([message.message, message.hint].filter(Boolean).join(" "));
    } else if (message.type === "done") {
      this.over = true;
      this.on.done();
    } else {
      this.on.message(message);
    }
  }

  catchUp(received) {
    let at = this.sent - this.keptBytes;
    for (const frame of this.kept) {
      const skip = Math.max(0, received - at);
      at += frame.byteLength;
      if (skip < frame.byteLength) this.socket.send(skip ? frame.slice(skip) : frame);
    }
    if (this.ending) this.socket.send('{"type":"end"}');
  }

  closed(event) {
    this.live = false;
    if (this.over) return;
    if (event.code === 1001) return this.fail("The server is shutting down.");
    if (event.code !== 1006) return this.fail(event.reason || `The server closed the session (${event.code}).`);
    if (!this.id) return this.explain();
    this.droppedAt ??= performance.now();
    if (performance.now() - this.droppedAt > RESUME) return this.fail("The connection was lost. Press Start to go on.");
    this.on.dropped();
    setTimeout(() => this.open(), 500);
  }

  // A browser does not say why a websocket was refused: ask by HTTP.
  async explain() {
    try {
      const state = await fetch(`graph.json${tokenQuery()}`);
      if (state.status === 401) return this.fail("This server needs a key. Add ?token=KEY to the address of this page.");
      const ready = await fetch("ready");
      if (ready.status === 503) return this.fail("The server is full. Try again in a moment.");
      this.fail("The server refused the connection. It may not allow this page's address (--origin).");
    } catch {
      this.fail("The server cannot be reached. Check that it runs, then press Start.");
    }
  }

  fail(text) {
    if (this.over) return;
    this.over = true;
    this.socket.close();
    this.on.problem(text);
  }
}

export function tokenQuery() {
  const token = new URLSearchParams(location.search).get("token");
  return token ? `?token=${encodeURIComponent(token)}` : "";
}
