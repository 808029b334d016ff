// The page put together: signing on, the desk with its windows, and who tells whom what.

import { BuddyList } from "./buddies.js";
import { Cards } from "./cards.js";
import { Chats } from "./chats.js";
import { Connection } from "./connection.js";
import { askBuddy, askWhether, showMenu } from "./dialogs.js";
import { announce, byId, make, setIcon, setText, short, toast } from "./dom.js";
import { Frames } from "./frames.js";
import { Model, SHOWS, canonical } from "./model.js";

const TITLE = "Legacy Messenger";
const WELCOME = "Sign on to the emulated service.";

const REFUSALS = {
  wrong_credentials: "That is not this account's password.",
  unknown_account: "There is no account of this name.",
  suspended: "This account is suspended.",
  forbidden: "This account may not sign on here.",
  elsewhere: "You have signed on somewhere else.",
  too_many_attempts: "Too many attempts. Wait a little.",
  busy: "The service is busy. Try again in a moment.",
  away: "The service does not answer. Is it running?",
  ended: "The service ended the connection.",
};

const frames = new Frames();
const form = byId("sign-on");
const own = byId("own-status");
const narrow = matchMedia("(max-width: 719px)");

let settings = null;
let connection = null;
let model;
let buddies;
let cards;
let chats;

// --- what is to be shown again, once for many changes

const due = new Set();
let rendering = false;

function changed(topic, key, line) {
  if (topic === "line") return chats.renderLine(key, line);
  due.add(topic === "chat" || topic === "typing" ? `chat ${key}` : topic);
  if (rendering) return;
  rendering = true;
  // A page in the background is drawn seldom, and must not fall behind for that.
  if (document.hidden) setTimeout(render, 200);
  else requestAnimationFrame(render);
}

function render() {
  rendering = false;
  const topics = new Set(due);
  due.clear();
  if (!model.me) return;
  if (topics.has("me")) renderMe();
  if (topics.has("cards")) cards.render();
  buddies.render();
  if (topics.has("whole list")) openFirstChat();
  if (wantsFocus && topics.has("whole list")) {
    wantsFocus = false;
    buddies.focus();
  }
  for (const key of chats.keys) if (topics.has(`chat ${key}`) || topics.has("list")) chats.render(key);
  const count = model.unread;
  document.title = `${count ? `(${count}) ` : ""}${short(model.me.name, 40)} – ${TITLE}`;
}

function renderMe() {
  setText(byId("own-name"), short(model.me.name, 200));
  byId("own-name").title = model.me.address;
  // The service may show somebody as offline who is here, which others see just so.
  own.elements.show.value = model.look.show === "offline" ? "invisible" : model.look.show;
  setIcon(own.querySelector(".icon"), connection?.isOn ? model.look.show : "offline");
  if (document.activeElement !== own.elements.text) own.elements.text.value = model.look.text;
}

/** Begin with nothing: another account, or the same one after it has signed off. */
function startAfresh() {
  chats?.clear();
  model = new Model({ changed, said, send });
  buddies = new BuddyList(model, {
    open: (key) => openChat(key),
    edit: editBuddy,
    remove: removeBuddy,
    menu: (key, anchor) => showMenu(anchor, `More about ${short(model.nameOf(key), 60)}`, buddyMenu(key)),
  });
  cards = new Cards(model, { allow, refuse, left: () => buddies.focus() });
  chats = new Chats(model, {
    say,
    retry,
    typing: (chat, state) => {
      if (model.can("typing")) command("set_typing", { to: chat.address, state });
    },
    menu: (key, anchor) => showMenu(anchor, `More about ${short(model.nameOf(key), 60)}`, buddyMenu(key)),
    closed: chatClosed,
  });
}

// --- signing on and off

async function loadSettings() {
  if (settings) return settings;
  const answer = await fetch("settings.json", { cache: "no-store" });
  if (!answer.ok) throw new Error(`settings.json: ${answer.status}`);
  settings = await answer.json();
  showSamples();
  return settings;
}

function showSamples() {
  const people = settings.accounts.map(({ address, name, password }) => {
    const button = make(
      "button",
      { type: "button", title: `Sign on as ${short(name, 80)}` },
      make("bdi", { text: short(address, 80) }),
      make("bdi", { class: "quiet", text: short(password, 80) }),
    );
    button.onclick = () => {
      form.elements.account.value = address;
      form.elements.password.value = password;
      signOn();
    };
    return make("li", {}, button);
  });
  byId("sample-list").replaceChildren(...people);
  byId("samples").hidden = people.length === 0;
  const echoes = settings.bots.filter((bot) => bot.kind === "echo").map((bot) => bot.address);
  byId("sample-bots").textContent = echoes.length ? `${echoes.join(", ")}: a program that says back what it hears.` : "";
  byId("sample-bots").hidden = !echoes.length;
}

async function signOn() {
  const account = form.elements.account.value.trim();
  const password = form.elements.password.value;
  showError("");
  if (!account) return showError("Whose screen name?", "account");
  if (!password) return showError("A password is needed.", "password");
  setBusy(true);
  try {
    await loadSettings();
  } catch {
    setBusy(false);
    return showError(REFUSALS.away);
  }
  if (!model.me || model.me.key !== canonical(account)) startAfresh();
  connection = new Connection(settings.websocket, {
    frame: (frame) => model.take(frame),
    tap: (direction, text) => frames.add(direction, text),
    state: linkChanged,
  });
  connection.signOn(account, password);
}

function signOff() {
  connection.signOff();
}

function showError(text, field = "") {
  const word = byId("sign-on-word");
  setText(word, text || WELCOME);
  word.className = text ? "error" : "word"; // of one height, so that nothing moves
  for (const name of ["account", "password"]) {
    const input = form.elements[name];
    if (name === field) {
      input.setAttribute("aria-invalid", "true");
      input.setAttribute("aria-describedby", "sign-on-word");
    } else {
      input.removeAttribute("aria-invalid");
      input.removeAttribute("aria-describedby");
    }
  }
  if (field) {
    form.elements[field].focus();
    form.elements[field].select();
  }
}

function setBusy(busy) {
  const button = form.querySelector("[type=submit]");
  button.setAttribute("aria-disabled", String(busy));
  setText(button, busy ? "Signing on…" : "Sign on");
}

function showEntrance() {
  byId("desk").hidden = true;
  byId("entrance").hidden = false;
  document.body.dataset.stage = "entrance";
  document.title = TITLE;
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  byId("menu").hidePopover();
}

function showDesk() {
  byId("entrance").hidden = true;
  byId("desk").hidden = false;
  document.body.dataset.stage = "desk";
  form.elements.password.value = "";
}

// --- where the connection stands

let counting = 0;
let wantsFocus = false; // the list, when it has come

function linkChanged(state, about) {
  clearInterval(counting);
  document.body.dataset.link = state;
  byId("link-now").hidden = state !== "waiting";
  changed("me");
  const say = (text) => setText(byId("link-text"), text);
  switch (state) {
    case "connecting":
      say(about.again ? "Connecting again…" : "Connecting…");
      break;
    case "on":
      say("Connected");
      signedOn();
      break;
    case "leaving":
      say("Signing off…");
      break;
    case "waiting": {
      model.lost();
      const why = about.text ? `the service says: ${short(about.text, 80)}` : "connection lost";
      const count = () => say(`Again in ${Math.max(0, Math.ceil((about.until - Date.now()) / 1000))} s · ${why}`);
      count();
      counting = setInterval(count, 1000);
      announce(`Not connected: ${why}. It will be tried again.`);
      break;
    }
    case "over":
      say("Not signed on");
      ended(about);
      break;
  }
}

function signedOn() {
  // The frame itself comes to the model right after this.
  setBusy(false);
  const again = document.body.dataset.stage === "desk";
  showDesk();
  const { show, text } = model.look;
  if (show !== "online" || text) command("set_presence", { show, text });
  if (again) return announce("Connected again.");
  announce("Signed on.");
  wantsFocus = true;
}

function ended({ reason, text, after }) {
  const wasOnDesk = document.body.dataset.stage === "desk";
  setBusy(false);
  if (!reason) {
    startAfresh();
    showEntrance();
    if (wasOnDesk) form.elements.account.focus();
    return;
  }
  model.lost();
  if (model.me && !form.elements.account.value) form.elements.account.value = model.me.address;
  showEntrance();
  const wait = after ? ` Try again in ${Math.ceil(after)} seconds.` : "";
  const known = Object.hasOwn(REFUSALS, reason) ? REFUSALS[reason] : "The service refused this.";
  const more = text && !["wrong_credentials", "unknown_account", "elsewhere"].includes(reason);
  const field = { wrong_credentials: "password", unknown_account: "account" }[reason] ?? "";
  showError(`${known}${wait}${more ? ` It says: ${short(text, 300)}` : ""}`, field);
  if (!field) form.elements.password.focus();
}

// --- saying and doing

/** Carry out a command nobody waits for; what goes wrong is shown. */
async function command(type, fields) {
  try {
    return await connection.command(type, fields);
  } catch (failure) {
    if (failure.reason !== "lost" && type !== "set_typing") toast(failure.message);
    return null;
  }
}

function send(type, fields) {
  if (type === "mark_read") command(type, fields);
  else connection.send(type, fields);
}

function say(chat, text) {
  if (!connection.isOn) {
    toast("You are not connected. What you wrote stays here until you are.");
    return false;
  }
  const ref = connection.newRef();
  const line = model.say(chat, text, ref);
  if (!connection.send("send_message", { ref, to: chat.address, text })) {
    model.failed(chat, line, "too_long", "this is longer than a frame may be");
  }
  return true;
}

function retry(chat, line) {
  if (!say(chat, line.text)) return;
  model.forget(chat, line);
}

function said(chat, line) {
  if (chats.isWatched(chat.key)) return model.read(chat);
  if (!chat.open) announce(`${short(model.nameOf(chat.key), 60)}: ${short(line.text, 200)}`);
}

function openChat(key) {
  const address = model.addressOf(key);
  document.body.dataset.view = "chat";
  chats.open(address);
  if (narrow.matches && window.top === window && !history.state?.chat) history.pushState({ chat: true }, "");
  buddies.render();
}

function chatClosed(key) {
  document.body.dataset.view = "list";
  if (history.state?.chat) history.back();
  buddies.render();
  buddies.focus(key);
}

// --- buddies

function addBuddy(about = {}) {
  askBuddy({
    title: "Add a buddy",
    action: "Add",
    shown: ["address", "name", "reason", ...(model.can("groups") ? ["groups"] : [])],
    about,
    groups: model.groups(),
    submit: async (values) => {
      const done = await connection.command("add_contact", values);
      const name = short(values.name || values.address, 60);
      announce(done.result === "granted" ? `${name} is on your list.` : `${name} has been asked.`);
      if (done.result !== "granted") toast(`${name} has been asked.`);
    },
  });
}

function editBuddy(key) {
  const contact = model.contacts.get(key);
  if (!contact) return addBuddy({ address: model.addressOf(key) });
  askBuddy({
    title: `${short(contact.name || contact.address, 60)} on your list`,
    action: "Save",
    shown: ["name", ...(model.can("groups") ? ["groups"] : [])],
    about: { name: contact.name, groups: contact.groups },
    groups: model.groups(),
    submit: ({ name, groups }) =>
      connection.command("change_contact", { address: contact.address, name, groups }),
  });
}

function removeBuddy(key) {
  const contact = model.contacts.get(key);
  if (!contact) return;
  askWhether({
    text: `Remove ${short(model.nameOf(key), 60)} from your list? Neither of you will see when the other is here.`,
    action: "Remove",
    submit: () => connection.command("remove_contact", { address: contact.address }),
  });
}

function buddyMenu(key) {
  const contact = model.contacts.get(key);
  const chat = model.chats.get(key);
  const address = model.addressOf(key);
  const items = [];
  if (!chat?.open) items.push(["Chat", () => openChat(key)]);
  if (model.can("nudge")) items.push(["Nudge", () => command("nudge", { to: address })]);
  if (contact) items.push(["Rename and regroup…", () => editBuddy(key)]);
  else items.push(["Add to the list…", () => addBuddy({ address })]);
  if (contact && !contact.sees) {
    const { name, groups } = contact;
    const text = contact.asked ? "Ask again" : "Ask to see when they are here";
    items.push([text, () => command("add_contact", { address, name, groups })]);
  }
  if (contact?.seenBy) items.push(["Show myself no longer", () => command("revoke", { address })]);
  if (model.can("block")) {
    if (contact?.blocked) items.push(["Unblock", () => command("unblock", { address })]);
    else items.push(["Block", () => command("block", { address })]);
  }
  if (contact) items.push(["Remove…", () => removeBuddy(key), true]);
  return items;
}

async function allow(key, alsoAdd) {
  const address = model.addressOf(key);
  if ((await command("grant", { address })) && alsoAdd) await command("add_contact", { address });
}

function refuse(key) {
  command("deny", { address: model.addressOf(key) });
}

// --- the beginning

function setLook() {
  const look = { show: own.elements.show.value, text: own.elements.text.value.trim() };
  if (look.show === model.look.show && look.text === model.look.text) return;
  model.setLook(look);
  command("set_presence", look);
  announce(`You are shown as ${SHOWS[look.show]}${look.text ? `: ${short(look.text, 60)}` : ""}.`);
}

/** Whom the fragment wants to talk with: the chat is opened once the list is here. */
let firstChat = "";

function openFirstChat() {
  const key = canonical(firstChat);
  firstChat = "";
  if (!model.contacts.has(key)) return;
  wantsFocus = false; // it goes into the chat
  openChat(key);
}

function readFragment() {
  const given = new URLSearchParams(location.hash.slice(1));
  if (!given.has("account")) return false;
  // Whoever looks at the address bar later need not read the password there.
  history.replaceState(history.state, "", location.pathname + location.search);
  form.elements.account.value = given.get("account");
  form.elements.password.value = given.get("password") ?? "";
  firstChat = given.get("with") ?? "";
  return given.has("password");
}

function begin() {
  startAfresh();
  byId("bar").hidden = false;
  showEntrance();
  linkText();
  form.onsubmit = (event) => {
    event.preventDefault();
    if (form.querySelector("[type=submit]").getAttribute("aria-disabled") !== "true") signOn();
  };
  byId("sign-off").onclick = signOff;
  byId("add-buddy").onclick = () => addBuddy();
  byId("link-now").onclick = () => connection.tryNow();
  own.elements.show.onchange = setLook;
  own.elements.text.onblur = setLook;
  own.onsubmit = (event) => {
    event.preventDefault();
    setLook();
  };
  own.elements.text.onkeydown = (event) => {
    if (event.key !== "Escape") return;
    own.elements.text.value = model.look.text;
  };
  window.addEventListener("online", () => connection?.tryNow());
  window.addEventListener("hashchange", () => {
    if (document.body.dataset.stage === "entrance" && readFragment()) signOn();
  });
  window.addEventListener("popstate", () => {
    if (document.body.dataset.view === "chat" && narrow.matches) document.querySelector(".chat.current .back")?.click();
  });
  window.addEventListener("focus", () => {
    for (const key of chats.keys) if (chats.isWatched(key)) model.read(model.chats.get(key));
  });
  form.elements.account.value = new URLSearchParams(location.search).get("account") ?? "";
  const complete = readFragment();
  loadSettings().catch(() => showError(REFUSALS.away));
  if (complete) signOn();
  else form.elements[form.elements.account.value ? "password" : "account"].focus();
}

function linkText() {
  document.body.dataset.link = "over";
  setText(byId("link-text"), "Not signed on");
}

begin();
