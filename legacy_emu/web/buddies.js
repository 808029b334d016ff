// The buddy list: a tree of groups and buddies, in one flat column of rows.

import { byId, icon, make, setAttribute, setChildren, setIcon, setText, short } from "./dom.js";
import { SHOWS } from "./model.js";

const TYPING_AHEAD_MS = 700;

/** What stands for a contact: a word of SHOWS, "asked" or "blocked". */
export function stateOf(model, key) {
  const contact = model.contacts.get(key);
  if (contact?.blocked) return "blocked";
  if (contact?.asked && !contact.sees) return "asked";
  return model.lookOf(key).show;
}

/** What is said of a contact beside his name. */
export function describe(model, key) {
  const contact = model.contacts.get(key);
  const look = model.lookOf(key);
  if (!contact) return "Not on your list";
  if (contact.blocked) return "Blocked";
  if (contact.sees) {
    const idle = look.idleSince
      ? ` · idle since ${look.idleSince.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}`
      : "";
    return (look.text ? `${SHOWS[look.show]}: ${look.text}` : SHOWS[look.show]) + idle;
  }
  if (contact.asked) return "Has not answered yet";
  return "Does not show you when they are here";
}

export class BuddyList {
  #model;
  #tree = byId("tree");
  #rows = new Map(); // id -> element
  #order = []; // the shown rows: {id, group?, key?, groupId}
  #folded = new Set();
  #current = "";
  #typed = { text: "", at: 0 };
  #do;

  /** `actions` has open(key), edit(key), remove(key) and menu(key, anchor). */
  constructor(model, actions) {
    this.#model = model;
    this.#do = actions;
    this.#tree.onkeydown = (event) => this.#key(event);
    this.#tree.onclick = (event) => this.#click(event);
    this.#tree.oncontextmenu = (event) => this.#context(event);
    this.#tree.addEventListener("focusin", (event) => this.#focused(event));
  }

  render() {
    this.#order = this.#entries();
    const ids = new Set(this.#order.map((entry) => entry.id));
    for (const id of this.#rows.keys()) if (!ids.has(id)) this.#rows.delete(id);
    if (!ids.has(this.#current)) this.#current = this.#nearest();
    const had = this.#tree.contains(document.activeElement);
    setChildren(this.#tree, this.#order.map((entry) => this.#row(entry)));
    if (had && !this.#tree.contains(document.activeElement)) this.focus();
    byId("no-buddies").hidden = this.#order.length > 0;
    this.#tree.hidden = this.#order.length === 0;
  }

  /** Put the focus where it was last, or on this contact. */
  focus(key = "") {
    const entry = key && this.#order.find((each) => each.key === key);
    if (entry) this.#current = entry.id;
    if (this.#rows.has(this.#current)) this.#setCurrent(this.#current, true);
    else byId("add-buddy").focus();
  }

  // --- what is shown

  #entries() {
    const sections = new Map();
    const into = (id, title, key) => {
      if (!sections.has(id)) sections.set(id, { id, title, keys: [] });
      sections.get(id).keys.push(key);
    };
    for (const contact of this.#model.contacts.values()) {
      if (!this.#model.isListed(contact)) continue;
      for (const group of new Set(contact.groups)) into(`g ${group}`, group, contact.key);
      if (!contact.groups.length) into("buddies", "Buddies", contact.key);
    }
    for (const chat of this.#model.chats.values()) {
      const contact = this.#model.contacts.get(chat.key);
      if (!contact || !this.#model.isListed(contact)) into("others", "Not on your list", chat.key);
    }
    const last = (section) => (section.id === "others" ? 1 : 0);
    const sorted = [...sections.values()].sort(
      (one, other) => last(one) - last(other) || one.title.localeCompare(other.title),
    );
    return sorted.flatMap((section) => this.#section(section));
  }

  #section({ id, title, keys }) {
    const here = (key) => (this.#model.lookOf(key).show === "offline" ? 1 : 0);
    const names = new Map(keys.map((key) => [key, this.#model.nameOf(key)]));
    keys.sort((one, other) => here(one) - here(other) || names.get(one).localeCompare(names.get(other)));
    const folded = this.#folded.has(id);
    const online = keys.filter((key) => !here(key)).length;
    const unread = keys.reduce((sum, key) => sum + (this.#model.chats.get(key)?.unread ?? 0), 0);
    const head = { id, group: title, online, count: keys.length, folded, unread: folded ? unread : 0 };
    const members = keys.map((key, at) => ({ id: `${id} ${key}`, key, groupId: id, at, count: keys.length }));
    return folded ? [head] : [head, ...members];
  }

  #row(entry) {
    let row = this.#rows.get(entry.id);
    if (!row) {
      row = entry.key === undefined ? makeGroup() : makeBuddy();
      this.#rows.set(entry.id, row);
      row.dataset.id = entry.id;
    }
    if (entry.key === undefined) this.#fillGroup(row, entry);
    else this.#fillBuddy(row, entry);
    row.tabIndex = entry.id === this.#current ? 0 : -1;
    return row;
  }

  #fillGroup(row, entry) {
    const [, name, count, badge] = row.children;
    setText(name, short(entry.group, 200));
    setText(count, `${entry.online}/${entry.count}`);
    setBadge(badge, entry.unread);
    setAttribute(row, "aria-expanded", String(!entry.folded));
    setAttribute(row, "aria-label", `${short(entry.group)}, ${entry.online} of ${entry.count} here`);
    setAttribute(row, "title", short(entry.group, 300));
  }

  #fillBuddy(row, entry) {
    const model = this.#model;
    const [image, name, text, badge] = row.children;
    const state = stateOf(model, entry.key);
    const look = model.lookOf(entry.key);
    const chat = model.chats.get(entry.key);
    const said = describe(model, entry.key);
    setIcon(image, state);
    setText(name, short(model.nameOf(entry.key), 200));
    const besides = state === "asked" ? "has not answered yet" : look.text;
    setText(text, chat?.typing === "composing" ? "is typing…" : short(besides, 300));
    setBadge(badge, chat?.unread ?? 0);
    row.dataset.state = state;
    setAttribute(row, "aria-setsize", String(entry.count));
    setAttribute(row, "aria-posinset", String(entry.at + 1));
    setAttribute(row, "aria-selected", String(Boolean(chat?.open)));
    const unread = chat?.unread ? `, ${chat.unread} unread` : "";
    setAttribute(row, "aria-label", `${short(model.nameOf(entry.key))}, ${short(said, 120)}${unread}`);
    const address = model.contacts.get(entry.key)?.address ?? chat?.address ?? entry.key;
    setAttribute(row, "title", `${short(model.nameOf(entry.key), 200)} (${short(address)})\n${short(said, 400)}`);
  }

  // --- keys and clicks

  #entryOf(element) {
    const id = element.closest("[role=treeitem]")?.dataset.id;
    return this.#order.find((entry) => entry.id === id);
  }

  #nearest() {
    return (this.#order.find((entry) => entry.key !== undefined) ?? this.#order[0])?.id ?? "";
  }

  #setCurrent(id, focus = false) {
    const before = this.#rows.get(this.#current);
    if (before) before.tabIndex = -1;
    this.#current = id;
    const row = this.#rows.get(id);
    row.tabIndex = 0;
    if (focus) row.focus();
  }

  #focused(event) {
    const entry = this.#entryOf(event.target);
    if (entry && entry.id !== this.#current) this.#setCurrent(entry.id);
  }

  #click(event) {
    const entry = this.#entryOf(event.target);
    if (!entry) return;
    this.#setCurrent(entry.id);
    this.#activate(entry);
  }

  #activate(entry) {
    if (entry.key === undefined) this.#fold(entry, !entry.folded);
    else this.#do.open(entry.key);
  }

  #context(event) {
    const entry = this.#entryOf(event.target);
    if (entry?.key === undefined) return;
    event.preventDefault();
    this.#do.menu(entry.key, this.#rows.get(entry.id));
  }

  #fold(entry, folded) {
    if (folded) this.#folded.add(entry.id);
    else this.#folded.delete(entry.id);
    this.render();
  }

  #key(event) {
    const entry = this.#entryOf(event.target);
    if (!entry || event.ctrlKey || event.altKey || event.metaKey) return;
    const at = this.#order.indexOf(entry);
    const keys = {
      ArrowDown: () => this.#move(at + 1),
      ArrowUp: () => this.#move(at - 1),
      Home: () => this.#move(0),
      End: () => this.#move(this.#order.length - 1),
      ArrowRight: () => this.#right(entry, at),
      ArrowLeft: () => this.#left(entry),
      Enter: () => this.#activate(entry),
      " ": () => this.#activate(entry),
      F2: () => entry.key !== undefined && this.#do.edit(entry.key),
      Delete: () => entry.key !== undefined && this.#do.remove(entry.key),
      ContextMenu: () => entry.key !== undefined && this.#do.menu(entry.key, event.target),
    };
    const name = event.key === "F10" && event.shiftKey ? "ContextMenu" : event.key;
    const typing = event.key === " " && performance.now() - this.#typed.at < TYPING_AHEAD_MS;
    if (Object.hasOwn(keys, name) && !typing) keys[name]();
    else if ([...event.key].length === 1) this.#typeAhead(event.key, at);
    else return;
    event.preventDefault();
  }

  #move(at) {
    const entry = this.#order[Math.max(0, Math.min(at, this.#order.length - 1))];
    this.#setCurrent(entry.id, true);
  }

  #right(entry, at) {
    if (entry.folded) this.#fold(entry, false);
    else if (entry.key === undefined) this.#move(at + 1);
  }

  #left(entry) {
    if (entry.key !== undefined) this.#setCurrent(entry.groupId, true);
    else if (!entry.folded) this.#fold(entry, true);
  }

  #typeAhead(letter, at) {
    const now = performance.now();
    const fresh = now - this.#typed.at > TYPING_AHEAD_MS;
    this.#typed = { text: (fresh ? "" : this.#typed.text) + letter.toLowerCase(), at: now };
    const from = fresh ? at + 1 : at;
    const round = [...this.#order.slice(from), ...this.#order.slice(0, from)];
    const found = round.find((entry) => {
      const name = entry.group ?? this.#model.nameOf(entry.key);
      return name.toLowerCase().startsWith(this.#typed.text);
    });
    if (found) this.#setCurrent(found.id, true);
  }
}

function makeGroup() {
  return make(
    "div",
    { class: "group", role: "treeitem", "aria-level": "1" },
    icon("open"), make("bdi"), make("span", { class: "count" }), make("span", { class: "badge" }),
  );
}

function makeBuddy() {
  return make(
    "div",
    { class: "buddy", role: "treeitem", "aria-level": "2" },
    icon("offline"),
    make("bdi", { class: "name" }),
    make("bdi", { class: "says" }),
    make("span", { class: "badge" }),
  );
}

function setBadge(badge, count) {
  setText(badge, count > 99 ? "99+" : count ? String(count) : "");
}
