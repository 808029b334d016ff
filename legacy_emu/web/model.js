// What the page knows: contacts, presence, chats. Frames come in, `changed` goes out; no element of
// the page is touched here.

const MAX_LINES = 1000; // of a chat; older ones are forgotten
const MAX_SEEN = 5000; // ids of values, to know a repeated one by
const MAX_NEWS = 30;

const SPACES = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/g;

// Where folding case is not "upper case and then lower case".
const FOLDED = /[\u0131\u13a0-\u13fd\uab70-\uabbf]/;

/** The one spelling of a screen name: case and spaces do not count. */
export function canonical(name) {
  let folded = "";
  for (const character of name.replace(SPACES, "")) {
    folded += FOLDED.test(character) ? foldAlone(character) : fold(character);
  }
  return folded;
}

function fold(character) {
  const upper = character.toLowerCase().toUpperCase();
  return [...upper].map((each) => each.toLowerCase()).join("");
}

function foldAlone(character) {
  // Dotless i is a letter of its own; Cherokee is folded to upper case.
  return character === "\u0131" ? character : character.toUpperCase();
}

const OFFLINE = { show: "offline", text: "", idleSince: null };

export const SHOWS = {
  online: "Online",
  chat: "Free to chat",
  away: "Away",
  xa: "Not available",
  dnd: "Do not disturb",
  invisible: "Invisible",
  offline: "Offline",
};

/** A text of the service, whatever it is. */
const textOf = (value) => (typeof value === "string" ? value : "");
const momentOf = (value) => {
  const moment = new Date(textOf(value));
  return value && !Number.isNaN(moment.getTime()) ? moment : null;
};

const objectsOf = (value) =>
  Array.isArray(value) ? value.filter((each) => typeof each === "object" && each !== null) : [];

/** One conversation. A line is `{number, kind: "said" | "note", mine, text, at, late, stage…}`. */
class Chat {
  lines = [];
  unread = 0;
  typing = "idle";
  draft = "";
  open = false;

  constructor(key, address) {
    this.key = key;
    this.address = address;
  }
}

export class Model {
  me = null; // {address, name, key, capabilities}
  look = { show: "online", text: "" };
  contacts = new Map(); // key -> contact
  chats = new Map(); // key -> Chat
  requests = new Map(); // key -> {id, name, reason}
  news = []; // {number, text}, for the user to read and put away

  #looks = new Map();
  #seen = new Set();
  #listing = false;
  #numbers = 0;
  #changed;
  #send;
  #said;

  /** `changed(topic, key, line)`, `send(type, fields)` and `said(chat, line)` are called back. */
  constructor({ changed, send, said }) {
    this.#changed = changed;
    this.#send = send;
    this.#said = said;
  }

  // --- asking

  can(capability) {
    return this.me?.capabilities.has(capability) ?? false;
  }

  lookOf(key) {
    return this.#looks.get(key) ?? OFFLINE;
  }

  nameOf(key) {
    return this.contacts.get(key)?.name || this.contacts.get(key)?.address || this.chats.get(key)?.address || key;
  }

  /** Whether this contact is on the list, and not only somebody who asks. */
  isListed(contact) {
    return contact.sees || contact.asked || contact.seenBy || contact.blocked || !contact.asking;
  }

  /** The keys of those who ask to see the user: as the list has them, and as they asked since. */
  asking() {
    const listed = [...this.contacts.values()].filter((contact) => contact.asking);
    return new Set([...listed.map((contact) => contact.key), ...this.requests.keys()]);
  }

  addressOf(key) {
    return (this.contacts.get(key) ?? this.requests.get(key) ?? this.chats.get(key))?.address ?? key;
  }

  groups() {
    const found = new Set();
    for (const contact of this.contacts.values()) for (const group of contact.groups) found.add(group);
    return [...found].sort((one, other) => one.localeCompare(other));
  }

  get unread() {
    let count = 0;
    for (const chat of this.chats.values()) count += chat.unread;
    return count;
  }

  // --- the user's doing

  chatWith(address) {
    const key = canonical(address);
    if (!this.chats.has(key)) this.chats.set(key, new Chat(key, address));
    return this.chats.get(key);
  }

  /** Note what the user says; the line's stage changes as the service tells of it. */
  say(chat, text, ref) {
    return this.#add(chat, { kind: "said", mine: true, text, ref, stage: "sending" });
  }

  forget(chat, line) {
    chat.lines = chat.lines.filter((each) => each !== line);
    this.#changed("chat", chat.key);
  }

  failed(chat, line, reason, text) {
    Object.assign(line, { stage: "failed", reason, why: text });
    this.#changed("line", chat.key, line);
  }

  /** The user has seen this chat. */
  read(chat) {
    if (!chat.unread) return;
    chat.unread = 0;
    const last = chat.lines.findLast((line) => line.kind === "said" && !line.mine && line.id);
    if (last && this.can("read")) this.#send("mark_read", { to: chat.address, upto: last.newestId ?? last.id });
    this.#changed("list");
    this.#changed("chat", chat.key);
  }

  dismiss(number) {
    this.news = this.news.filter((each) => each.number !== number);
    this.#changed("cards");
  }

  setLook(look) {
    this.look = look;
    this.#changed("me");
  }

  /** The connection is gone: nobody is seen, nothing is under way. */
  lost() {
    this.#looks.clear();
    for (const chat of this.chats.values()) {
      chat.typing = "idle";
      for (const line of chat.lines) {
        if (line.stage === "sending") this.failed(chat, line, "lost", "The connection was lost; it may have arrived.");
      }
      this.#changed("chat", chat.key);
    }
    this.#changed("list");
  }

  // --- the service's frames

  take(frame) {
    const value = VALUES.has(frame.type) && typeof frame.id === "string";
    if (value && frame.type !== "contact_request" && !(frame.type === "message" && frame.outgoing)) {
      this.#send("ack", { ids: [frame.id] });
    }
    if (value && this.#seen.has(frame.id)) return;
    if (value) {
      this.#seen.add(frame.id);
      if (this.#seen.size > MAX_SEEN) this.#seen.delete(this.#seen.values().next().value);
    }
    if (Object.hasOwn(this.#handlers, frame.type)) this.#handlers[frame.type](frame);
  }

  #handlers = {
    signed_on: ({ account, name, capabilities }) => {
      this.me = {
        address: textOf(account),
        name: textOf(name) || textOf(account),
        key: canonical(textOf(account)),
        capabilities: new Set(Array.isArray(capabilities) ? capabilities : []),
      };
      this.#looks.clear();
      this.#listing = false;
      this.#changed("me");
    },
    contact_list: ({ contacts, complete }) => {
      if (!this.#listing) this.contacts.clear();
      this.#listing = complete !== true;
      for (const contact of objectsOf(contacts)) this.#enter(contact);
      for (const key of this.requests.keys()) if (!this.contacts.get(key)?.asking) this.requests.delete(key);
      this.#changed("list");
      if (complete === true) this.#changed("whole list");
      this.#changed("cards");
    },
    contact_changed: ({ contact }) => {
      if (!objectsOf([contact]).length) return;
      const key = this.#enter(contact);
      if (!this.contacts.get(key).asking) this.requests.delete(key);
      if (!this.contacts.get(key).sees) this.#looks.delete(key);
      this.#contactChanged(key);
    },
    contact_removed: ({ address }) => {
      const key = canonical(textOf(address));
      this.contacts.delete(key);
      this.requests.delete(key);
      this.#looks.delete(key);
      this.#contactChanged(key);
    },
    presence: ({ address, show, text, idle_since: idle }) => {
      const key = canonical(textOf(address));
      const known = Object.hasOwn(SHOWS, textOf(show)) ? show : "online";
      if (key === this.me.key) return this.setLook({ show: known, text: textOf(text) });
      if (known === "offline") this.#looks.delete(key);
      else this.#looks.set(key, { show: known, text: textOf(text), idleSince: momentOf(idle) });
      if (known === "offline" && this.chats.has(key)) this.chats.get(key).typing = "idle";
      this.#contactChanged(key, "list");
    },
    typing: ({ conversation, state }) => {
      const chat = this.chats.get(canonical(textOf(conversation)));
      if (!chat) return;
      chat.typing = textOf(state);
      this.#changed("typing", chat.key);
    },
    message: ({ id, conversation, text, sent_at: sent, outgoing, replaces }) => {
      const chat = this.#chatOf(conversation);
      const edited = replaces && chat.lines.findLast(
        (line) => (line.id === replaces || line.newestId === replaces) && line.mine === (outgoing === true),
      );
      chat.typing = outgoing ? chat.typing : "idle";
      this.#changed("typing", chat.key);
      if (edited) {
        Object.assign(edited, { newestId: id, text: textOf(text), edited: true });
        this.#changed("line", chat.key, edited);
        return;
      }
      const at = momentOf(sent);
      const mine = outgoing === true;
      this.#arrived(chat, {
        kind: "said", mine, id, text: textOf(text), at: at ?? new Date(), late: at !== null,
        stage: mine ? "accepted" : undefined,
      });
    },
    nudged: ({ conversation, sent_at: sent }) => {
      const chat = this.#chatOf(conversation);
      const at = momentOf(sent);
      this.#arrived(chat, { kind: "note", text: `${this.nameOf(chat.key)} nudges you.`, at: at ?? new Date() });
    },
    read_up_to: ({ conversation, upto }) => {
      const chat = this.chats.get(canonical(textOf(conversation)));
      const last = chat?.lines.findLastIndex((line) => line.mine && (line.id === upto || line.newestId === upto)) ?? -1;
      for (const line of chat?.lines.slice(0, last + 1) ?? []) {
        if (line.mine && (line.stage === "accepted" || line.stage === "delivered")) {
          line.stage = "read";
          this.#changed("line", chat.key, line);
        }
      }
    },
    outcome: ({ ref, stage, id, reason, text }) => {
      for (const chat of this.chats.values()) {
        const line = chat.lines.findLast((each) => each.ref === ref);
        if (!line) continue;
        if (stage === "failed") this.failed(chat, line, reason, textOf(text));
        else if (RANKS[stage] > (RANKS[line.stage] ?? 0)) {
          line.stage = stage;
          line.id = id ?? line.id;
          this.#changed("line", chat.key, line);
        }
        return;
      }
    },
    contact_request: ({ id, address, name, reason }) => {
      const key = canonical(textOf(address));
      this.requests.set(key, { id, address: textOf(address), name: textOf(name), reason: textOf(reason) });
      this.#changed("cards", key);
    },
    request_answered: ({ address, granted, reason }) => {
      const name = this.nameOf(canonical(textOf(address)));
      const word = granted ? `${name} lets you see when they are here.` : `${name} refused your request.`;
      this.#tell(reason ? `${word} “${textOf(reason)}”` : word);
    },
    removed_by_contact: ({ address }) => {
      this.#tell(`${this.nameOf(canonical(textOf(address)))} has taken you off their list.`);
    },
    notice: ({ text }) => this.#tell(`The service says: ${textOf(text)}`),
  };

  #chatOf(conversation) {
    const key = canonical(textOf(conversation));
    return this.chatWith(this.contacts.get(key)?.address ?? textOf(conversation));
  }

  #enter(contact) {
    const key = canonical(textOf(contact.address));
    this.contacts.set(key, {
      key,
      address: textOf(contact.address),
      name: textOf(contact.name),
      groups: Array.isArray(contact.groups) ? contact.groups.map(textOf) : [],
      sees: contact.sees === true,
      seenBy: contact.seen_by === true,
      asked: contact.asked === true,
      asking: contact.asking === true,
      blocked: contact.blocked === true,
    });
    return key;
  }

  #contactChanged(key, topic = "cards") {
    this.#changed("list");
    if (topic === "cards") this.#changed("cards");
    if (this.chats.has(key)) this.#changed("chat", key);
  }

  #arrived(chat, fields) {
    const line = this.#add(chat, fields);
    if (!fields.mine) chat.unread += 1;
    this.#said(chat, line);
    this.#changed("list");
    this.#changed("chat", chat.key);
  }

  #add(chat, fields) {
    this.#numbers += 1;
    const line = { number: this.#numbers, at: new Date(), late: false, ...fields };
    chat.lines.push(line);
    if (chat.lines.length > MAX_LINES) chat.lines.shift();
    this.#changed("chat", chat.key);
    return line;
  }

  #tell(text) {
    this.#numbers += 1;
    this.news = [...this.news, { number: this.#numbers, text }].slice(-MAX_NEWS);
    this.#changed("cards", text);
  }
}

const VALUES = new Set([
  "message", "contact_request", "request_answered", "removed_by_contact", "nudged", "read_up_to",
]);
const RANKS = { sending: 1, accepted: 2, delivered: 3, read: 4 };
