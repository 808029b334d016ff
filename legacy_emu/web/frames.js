// The last frames as they went over the wire, for those who write clients.

import { byId, make } from "./dom.js";

const MAX_FRAMES = 200;
const MAX_SHOWN = 20_000; // characters of one frame

const clock = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false,
});

export class Frames {
  #drawer = byId("frames");
  #list = byId("frames-list");
  #toggle = byId("frames-toggle");
  #pause = byId("frames-pause");
  #waiting = []; // not shown yet: the drawer is shut, or paused
  #due = false;

  constructor() {
    this.#toggle.onclick = () => this.#show(this.#drawer.hidden);
    byId("frames-close").onclick = () => this.#show(false);
    byId("frames-clear").onclick = () => {
      this.#waiting = [];
      this.#list.replaceChildren();
      this.#render();
    };
    this.#pause.onclick = () => {
      const paused = this.#pause.getAttribute("aria-pressed") === "true";
      this.#pause.setAttribute("aria-pressed", String(!paused));
      this.#render();
    };
    this.#drawer.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      this.#show(false);
    };
    this.#render();
  }

  /** Note a frame: `direction` is "in" or "out", `text` what went. */
  add(direction, text) {
    this.#waiting.push({ direction, text, at: new Date() });
    if (this.#waiting.length > MAX_FRAMES) this.#waiting.shift();
    if (this.#due) return;
    this.#due = true;
    setTimeout(() => {
      this.#due = false;
      this.#render();
    }, 50);
  }

  get #paused() {
    return this.#pause.getAttribute("aria-pressed") === "true";
  }

  #show(shown) {
    this.#drawer.hidden = !shown;
    document.body.toggleAttribute("data-frames", shown);
    this.#toggle.setAttribute("aria-expanded", String(shown));
    this.#render();
    (shown ? this.#pause : this.#toggle).focus();
  }

  #render() {
    const held = this.#paused && this.#waiting.length ? `${this.#waiting.length} held back` : "";
    byId("frames-held").textContent = held;
    if (this.#drawer.hidden || this.#paused) return;
    const list = this.#list;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    list.append(...this.#waiting.splice(0).map(makeFrame));
    while (list.children.length > MAX_FRAMES) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
  }
}

function makeFrame({ direction, text, at }) {
  const type = typeOf(text);
  const summary = make(
    "summary",
    {},
    make("span", { class: "way", "aria-hidden": "true", text: direction === "in" ? "←" : "→" }),
    make("span", { class: "unseen", text: direction === "in" ? "received" : "sent" }),
    make("time", { datetime: at.toISOString(), text: clock.format(at) }),
    make("b", { text: type }),
    make("code", { text: text.slice(0, 300) }),
  );
  const details = make("details", { class: direction }, summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(make("pre", { text: spread(text) }));
  });
  return details;
}

function typeOf(text) {
  try {
    return String(JSON.parse(text).type).slice(0, 40);
  } catch {
    return "?";
  }
}

function spread(text) {
  let shown = text;
  try {
    shown = JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    // Shown as it came.
  }
  return shown.length > MAX_SHOWN
    ? `${shown.slice(0, MAX_SHOWN)}\n… ${shown.length - MAX_SHOWN} more characters`
    : shown;
}
