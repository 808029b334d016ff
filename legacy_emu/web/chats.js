// The chat windows: what was said, who is typing, and what is being written.

import { byId, icon, make, setAttribute, setChildren, setIcon, setText, short, timeOf } from "./dom.js";
import { describe, stateOf } from "./buddies.js";

const LONG_TEXT = 4000; // characters; the rest is shown when it is asked for
const PAUSE_MS = 5000;
const NEAR_THE_END = 40; // pixels
const GROUP_MS = 10 * 60 * 1000;

const STAGES = {
  sending: "Being sent",
  accepted: "Accepted by the service",
  delivered: "Delivered",
  read: "Read",
  failed: "Not sent",
};

export class Chats {
  #model;
  #windows = new Map(); // key -> ChatWindow
  #place = byId("chats");
  #do;

  /** `actions` has say(chat, text), retry(chat, line), typing(chat, state), menu(key, anchor), closed(key). */
  constructor(model, actions) {
    this.#model = model;
    this.#do = actions;
  }

  get keys() {
    return [...this.#windows.keys()];
  }

  /** Open the chat with `address`, or bring it to the front. */
  open(address) {
    const chat = this.#model.chatWith(address);
    let shown = this.#windows.get(chat.key);
    if (!shown) {
      chat.open = true;
      shown = new ChatWindow(this.#model, chat, this.#do, () => this.close(chat.key));
      this.#windows.set(chat.key, shown);
      this.#place.append(shown.element);
    }
    this.#setCurrent(chat.key);
    byId("no-chat").hidden = true;
    shown.render();
    shown.focus();
    return shown;
  }

  close(key) {
    const shown = this.#windows.get(key);
    if (!shown) return;
    shown.end();
    this.#windows.delete(key);
    shown.element.remove();
    const chat = this.#model.chats.get(key);
    chat.open = false;
    if (!chat.lines.length && !chat.draft) this.#model.chats.delete(key);
    byId("no-chat").hidden = this.#windows.size > 0;
    this.#setCurrent(this.keys.at(-1));
    this.#do.closed(key);
  }

  /** Take all windows away, without a word to anybody. */
  clear() {
    for (const shown of this.#windows.values()) shown.element.remove();
    this.#windows.clear();
    byId("no-chat").hidden = false;
  }

  render(key) {
    this.#windows.get(key)?.render();
  }

  renderLine(key, line) {
    this.#windows.get(key)?.renderLine(line);
  }

  renderAll() {
    for (const shown of this.#windows.values()) shown.render();
  }

  /** Whether the user looks at this chat now. */
  isWatched(key) {
    const shown = this.#windows.get(key);
    return Boolean(shown && document.hasFocus() && shown.element.contains(document.activeElement));
  }

  #setCurrent(key) {
    for (const [each, { element }] of this.#windows) element.classList.toggle("current", each === key);
  }
}

class ChatWindow {
  #model;
  #chat;
  #do;
  #lines = new Map(); // number -> element
  #state = "idle"; // what the other side was told of our typing
  #pause = 0;
  #atEnd = true;
  #parts;

  constructor(model, chat, actions, close) {
    this.#model = model;
    this.#chat = chat;
    this.#do = actions;
    const parts = (this.#parts = this.#make(close));
    this.element = parts.window;
    parts.input.value = chat.draft;
    parts.input.oninput = () => this.#typed();
    parts.input.onkeydown = (event) => this.#key(event);
    parts.form.onsubmit = (event) => {
      event.preventDefault();
      this.#say();
    };
    parts.log.onscroll = () => {
      const { scrollHeight, scrollTop, clientHeight } = parts.log;
      this.#atEnd = scrollHeight - scrollTop - clientHeight < NEAR_THE_END;
      if (this.#atEnd) parts.more.hidden = true;
    };
    parts.more.onclick = () => this.#toEnd();
    this.element.addEventListener("focusin", () => this.#model.read(chat));
    this.element.onkeydown = (event) => {
      if (event.key !== "Escape" || event.defaultPrevented) return;
      event.preventDefault();
      close();
    };
    this.#sizes = new ResizeObserver(() => this.#atEnd && this.#toEnd());
    this.#sizes.observe(parts.log);
  }

  #sizes;

  #make(close) {
    const state = icon("offline");
    const name = make("bdi");
    const says = make("bdi", { class: "says" });
    const elsewhere = make("span", { class: "badge" });
    const title = make("h2", { id: `chat-${this.#chat.key}` }, name);
    const back = make("button", { type: "button", class: "icon-button back", "aria-label": "Back to the list", onclick: close }, icon("back"), elsewhere);
    const menu = make("button", { type: "button", class: "icon-button", "aria-haspopup": "menu" }, icon("more"));
    menu.onclick = () => this.#do.menu(this.#chat.key, menu);
    const shut = make("button", { type: "button", class: "icon-button shut", onclick: close }, icon("close"));
    const header = make("header", { class: "titlebar" }, back, state, make("div", { class: "who" }, title, says), menu, shut);
    const log = make("div", { class: "log", role: "log", tabindex: "0" });
    const more = make("button", { type: "button", class: "newer", text: "New messages", hidden: true });
    const typing = make("p", { class: "typing" });
    const input = make("textarea", { rows: "1", dir: "auto", autocomplete: "off" });
    const send = make("button", { type: "submit", class: "primary", text: "Send" });
    const form = make("form", { class: "composer" }, input, send);
    const window = make("section", { class: "window chat" }, header, make("div", { class: "said" }, log, more), typing, form);
    return { window, state, name, says, elsewhere, title, menu, shut, log, more, typing, input, send, form };
  }

  render() {
    const { name, says, state, menu, shut, log, typing, input, window, elsewhere } = this.#parts;
    const model = this.#model;
    const key = this.#chat.key;
    const shown = short(model.nameOf(key), 200);
    const spoken = short(shown, 60);
    setText(name, shown);
    setAttribute(name, "title", `${shown} (${short(model.contacts.get(key)?.address ?? this.#chat.address)})`);
    setText(says, short(describe(model, key), 300));
    setAttribute(says, "title", short(describe(model, key), 1000));
    setIcon(state, stateOf(model, key));
    setAttribute(window, "aria-label", `Chat with ${spoken}`);
    setAttribute(menu, "aria-label", `More about ${spoken}`);
    setAttribute(shut, "aria-label", `Close the chat with ${spoken}`);
    setAttribute(log, "aria-label", `What ${spoken} and you said`);
    setAttribute(input, "aria-label", `Message to ${spoken}`);
    const elsewhereUnread = model.unread - this.#chat.unread;
    setText(elsewhere, elsewhereUnread ? String(elsewhereUnread) : "");
    window.classList.toggle("unread", this.#chat.unread > 0);
    this.renderTyping(typing, spoken);
    this.renderLines();
  }

  renderTyping(typing, name) {
    const words = { composing: `${name} is typing…`, paused: `${name} has typed something.` };
    setText(typing, Object.hasOwn(words, this.#chat.typing) ? words[this.#chat.typing] : "");
  }

  renderLines() {
    const { log, more } = this.#parts;
    const newest = this.#chat.lines.at(-1)?.number ?? 0;
    const isNew = newest && !this.#lines.has(newest);
    let before = null;
    const elements = this.#chat.lines.map((line) => {
      if (!this.#lines.has(line.number)) this.#lines.set(line.number, this.#makeLine(line, before));
      before = line;
      return this.#lines.get(line.number);
    });
    const numbers = new Set(this.#chat.lines.map((line) => line.number));
    for (const number of this.#lines.keys()) if (!numbers.has(number)) this.#lines.delete(number);
    setChildren(log, elements);
    if (!isNew) return;
    if (this.#atEnd || this.#chat.lines.at(-1).mine) this.#toEnd();
    else more.hidden = false;
  }

  renderLine(line) {
    const element = this.#lines.get(line.number);
    if (element) this.#fillLine(element, line);
  }

  #toEnd() {
    const { log, more } = this.#parts;
    log.scrollTop = log.scrollHeight;
    this.#atEnd = true;
    more.hidden = true;
  }

  // --- a line

  #makeLine(line, before) {
    if (line.kind === "note") {
      return make("p", { class: "note" }, make("bdi", { text: short(line.text, 300) }), " ", timeOf(line.at));
    }
    const element = make("div", { class: `line ${line.mine ? "mine" : "theirs"}` });
    if (!continues(line, before)) {
      const name = line.mine ? this.#model.me.name : this.#model.nameOf(this.#chat.key);
      const by = make("div", { class: "by" }, make("bdi", { text: short(name, 200) }));
      if (line.late) by.append(make("span", { class: "late", text: "sent while you were away" }));
      element.append(by);
    }
    const text = make("div", { class: "text", dir: "auto" });
    const meta = make("div", { class: "meta" }, timeOf(line.at));
    if (line.mine) {
      const mark = make("span", { class: "mark" }, icon("sending"), make("span", { class: "unseen" }));
      meta.append(mark);
    }
    element.append(text, meta);
    this.#fillLine(element, line);
    return element;
  }

  #fillLine(element, line) {
    const text = element.querySelector(".text");
    if (text.dataset.text !== String(line.text.length) || line.edited) this.#fillText(text, line);
    if (!line.mine) return;
    const mark = element.querySelector(".mark");
    const stage = Object.hasOwn(STAGES, line.stage) ? line.stage : "accepted";
    setIcon(mark.firstElementChild, stage === "read" ? "delivered" : stage);
    setText(mark.lastElementChild, STAGES[stage]);
    mark.title = STAGES[stage];
    element.dataset.stage = stage;
    element.querySelector(".failure")?.remove();
    if (stage !== "failed") return;
    const again = make("button", { type: "button", text: line.reason === "lost" ? "Send again" : "Try again" });
    again.onclick = () => this.#do.retry(this.#chat, line);
    const why = line.reason === "lost" ? line.why : `Not sent: ${line.why || line.reason}`;
    element.append(make("p", { class: "failure" }, make("bdi", { text: short(why, 300) }), " ", again));
  }

  #fillText(element, line) {
    element.dataset.text = String(line.text.length);
    element.replaceChildren(line.text.slice(0, LONG_TEXT));
    if (line.text.length > LONG_TEXT) {
      const rest = line.text.slice(LONG_TEXT);
      const label = `… show ${rest.length.toLocaleString()} more characters`;
      const all = make("button", { type: "button", class: "rest", text: label });
      all.onclick = () => {
        element.replaceChildren(line.text);
        this.#parts.log.focus();
      };
      element.append(all);
    }
    if (line.edited) element.append(make("span", { class: "edited", text: "corrected" }));
  }

  // --- writing

  focus() {
    this.#parts.input.focus();
    if (this.#atEnd) this.#toEnd();
  }

  end() {
    this.#tell("idle");
    clearTimeout(this.#pause);
    this.#sizes.disconnect();
  }

  #key(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#say();
  }

  #typed() {
    this.#chat.draft = this.#parts.input.value;
    clearTimeout(this.#pause);
    if (!this.#chat.draft) return this.#tell("idle");
    this.#tell("composing");
    this.#pause = setTimeout(() => this.#tell("paused"), PAUSE_MS);
  }

  #tell(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#do.typing(this.#chat, state);
  }

  #say() {
    const { input } = this.#parts;
    if (!input.value.trim() || !this.#do.say(this.#chat, input.value)) return;
    input.value = "";
    this.#chat.draft = "";
    clearTimeout(this.#pause);
    this.#state = "idle"; // a message says so by itself
  }
}

function continues(line, before) {
  return (
    before?.kind === "said" &&
    before.mine === line.mine &&
    before.late === line.late &&
    line.at - before.at < GROUP_MS
  );
}
