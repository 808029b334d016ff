// The WebSocket: signing on, staying signed on, commands and their answers. It knows the frames'
// outside (type, ref, id); what they mean is in model.js. docs/emulator.md has the table of frames.

const CONNECT_SECONDS = 10;
const PING_SECONDS = 30;
const PONG_SECONDS = 10;
const LAST_WORD_SECONDS = 2;
const FIRST_DELAY_SECONDS = 1;
const LONGEST_DELAY_SECONDS = 30;
const STEADY_SECONDS = 20; // who stayed so long begins again with the first delay
const MAX_FRAME_BYTES = 256 * 1024;

// These do not go away by trying again.
const FINAL = new Set(["wrong_credentials", "unknown_account", "suspended", "forbidden", "elsewhere"]);

/** A command that was not carried out; `reason` as in the frame, or "lost", or "too_long". */
export class Failed extends Error {
  constructor(reason, text) {
    super(text);
    this.reason = reason;
  }
}

/**
 * One account's connection, over and over again until it is signed off.
 *
 * `told` has `frame(frame)`, `tap(direction, text)` and `state(state, about)`:
 * connecting, on, waiting (about.until, about.text), over (about.reason, about.text).
 */
export class Connection {
  #url;
  #told;
  #account = "";
  #password = "";
  #socket = null;
  #answers = new Map();
  #number = 0;
  #attempts = 0;
  #onSince = 0;
  #wasOn = false;
  #state = "over";
  #timers = { connect: 0, ping: 0, pong: 0, retry: 0, end: 0 };

  constructor(url, told) {
    this.#url = url;
    this.#told = told;
  }

  get isOn() {
    return this.#state === "on";
  }

  signOn(account, password) {
    this.#account = account;
    this.#password = password;
    this.#wasOn = false;
    this.#attempts = 0;
    this.#open();
  }

  /** Leave; the state is over at once when there is nobody to tell. */
  signOff() {
    if (!this.isOn) return this.#end({});
    this.#enter("leaving", {});
    this.#send({ type: "sign_off" });
    this.#timers.end = setTimeout(() => this.#end({}), LAST_WORD_SECONDS * 1000);
  }

  /** Do not wait for the next attempt any longer. */
  tryNow() {
    if (this.#state === "waiting") this.#open();
  }

  /** Send a frame without an answer; says whether it went. */
  send(type, fields = {}) {
    return this.isOn && this.#send({ type, ...fields });
  }

  /** Send a command and wait for its `done`; throws `Failed`. */
  command(type, fields = {}) {
    return new Promise((resolve, reject) => {
      const ref = this.newRef();
      if (!this.isOn) return reject(new Failed("lost", "You are not connected."));
      if (!this.#send({ type, ref, ...fields })) {
        return reject(new Failed("too_long", "This is longer than a frame may be."));
      }
      this.#answers.set(ref, { resolve, reject });
    });
  }

  newRef() {
    this.#number += 1;
    return `page-${this.#number}`;
  }

  // --- the socket

  #open() {
    this.#forget();
    this.#enter("connecting", { again: this.#wasOn });
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#timers.connect = setTimeout(() => this.#lost(), CONNECT_SECONDS * 1000);
    socket.onopen = () =>
      this.#send({
        type: "sign_on",
        account: this.#account,
        password: this.#password,
        client: "page",
      });
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = () => this.#lost();
  }

  /** Have nothing more to do with the socket there was. */
  #forget() {
    for (const timer of Object.values(this.#timers)) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close();
    }
    for (const { reject } of this.#answers.values()) {
      reject(new Failed("lost", "The connection was lost before the service answered."));
    }
    this.#answers.clear();
  }

  #send(frame) {
    const text = JSON.stringify(frame);
    if (new TextEncoder().encode(text).length > MAX_FRAME_BYTES) return false;
    if (this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(text);
    const shown = "password" in frame ? JSON.stringify({ ...frame, password: "•••" }) : text;
    this.#told.tap("out", shown);
    return true;
  }

  #receive(text) {
    this.#told.tap("in", String(text));
    clearTimeout(this.#timers.pong);
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return this.#lost();
    }
    if (typeof frame?.type !== "string") return this.#lost();
    switch (frame.type) {
      case "signed_on":
        this.#signedOn();
        break;
      case "refused":
      case "signed_off":
        return this.#ended(frame);
      case "done":
        this.#answered(frame)?.resolve(frame);
        break;
      case "failed":
        this.#answered(frame)?.reject(new Failed(frame.reason, frame.text || "The service refused."));
        break;
    }
    this.#told.frame(frame);
  }

  #answered(frame) {
    const waiting = this.#answers.get(frame.ref);
    this.#answers.delete(frame.ref);
    return waiting;
  }

  // --- where it stands

  #enter(state, about) {
    this.#state = state;
    this.#told.state(state, about);
  }

  #signedOn() {
    clearTimeout(this.#timers.connect);
    this.#wasOn = true;
    this.#onSince = performance.now();
    this.#timers.ping = setInterval(() => {
      this.#send({ type: "ping", id: this.newRef() });
      clearTimeout(this.#timers.pong);
      this.#timers.pong = setTimeout(() => this.#lost(), PONG_SECONDS * 1000);
    }, PING_SECONDS * 1000);
    this.#enter("on", {});
  }

  /** The service said a last word. */
  #ended({ reason = null, text = "", retry_after: after = null }) {
    if (this.#state === "leaving") return this.#end({});
    if (FINAL.has(reason) || !this.#wasOn) {
      return this.#end({ reason: reason ?? "ended", text, after, wasOn: this.#wasOn });
    }
    this.#lost(text, after);
  }

  #lost(text = "", after = null) {
    if (this.#state === "leaving") return this.#end({});
    if (!this.#wasOn) return this.#end({ reason: "away", text });
    if (this.#onSince && performance.now() - this.#onSince > STEADY_SECONDS * 1000) this.#attempts = 0;
    this.#onSince = 0;
    this.#forget();
    const growing = Math.min(FIRST_DELAY_SECONDS * 2 ** this.#attempts, LONGEST_DELAY_SECONDS);
    const seconds = after ?? growing * (0.75 + Math.random() / 2);
    this.#attempts += 1;
    this.#timers.retry = setTimeout(() => this.#open(), Math.min(seconds, 86_400) * 1000);
    this.#enter("waiting", { until: Date.now() + seconds * 1000, text });
  }

  #end(about) {
    this.#forget();
    this.#password = "";
    this.#enter("over", about);
  }
}
