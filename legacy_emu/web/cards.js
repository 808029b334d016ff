// Beneath the buddy list: who asks to see the user, and what else there is to know.

import { announce, byId, make, setChildren, short } from "./dom.js";

export class Cards {
  #model;
  #place = byId("cards");
  #cards = new Map(); // id -> element
  #do;

  /** `actions` has allow(key, alsoAdd), refuse(key) and left(). */
  constructor(model, actions) {
    this.#model = model;
    this.#do = actions;
  }

  render() {
    const wanted = new Map();
    for (const key of this.#model.asking()) wanted.set(`request ${key}`, () => this.#makeRequest(key));
    for (const news of this.#model.news) wanted.set(`news ${news.number}`, () => this.#makeNews(news));
    for (const id of this.#cards.keys()) if (!wanted.has(id)) this.#cards.delete(id);
    for (const [id, makeCard] of wanted) {
      // A request may stand in the list before it comes with its words.
      const words = this.#model.requests.get(id.slice("request ".length));
      if (this.#cards.has(id) && !(words && this.#cards.get(id).dataset.words !== words.id)) continue;
      this.#cards.set(id, makeCard());
    }
    const had = this.#place.contains(document.activeElement);
    setChildren(this.#place, [...this.#cards.values()]);
    this.#place.hidden = this.#cards.size === 0;
    if (!had || this.#place.contains(document.activeElement)) return;
    const next = this.#place.querySelector("button");
    if (next) next.focus();
    else this.#do.left();
  }

  #makeRequest(key) {
    const words = this.#model.requests.get(key);
    const contact = this.#model.contacts.get(key);
    const address = contact?.address ?? words.address;
    const name = words?.name || contact?.name || address;
    const called = name === address ? "" : ` (${short(address, 64)})`;
    const also = make("input", { type: "checkbox", checked: true });
    const listed = Boolean(contact?.sees || contact?.asked);
    const allow = make("button", { type: "button", class: "primary", text: "Allow" });
    allow.onclick = () => this.#do.allow(key, !listed && also.checked);
    const refuse = make("button", { type: "button", text: "Refuse" });
    refuse.onclick = () => this.#do.refuse(key);
    const card = make(
      "div",
      { class: "card", role: "group", "aria-label": `Request of ${short(name, 60)}` },
      make("p", {}, make("b", {}, make("bdi", { text: short(name, 120) })), make("bdi", { text: called }), " asks to see when you are here."),
      words?.reason ? make("blockquote", { dir: "auto", text: short(words.reason, 500) }) : null,
      listed ? null : make("label", {}, also, "Put them on my list, too"),
      make("div", { class: "answers" }, this.#model.can("deny") ? refuse : null, allow),
    );
    card.dataset.words = words?.id ?? "";
    announce(`${short(name, 60)} asks to see when you are here.`);
    return card;
  }

  #makeNews({ number, text }) {
    const away = make("button", { type: "button", text: "OK", "aria-label": "OK, put this away" });
    away.onclick = () => this.#model.dismiss(number);
    announce(short(text, 200));
    return make("div", { class: "card news" }, make("p", { dir: "auto", text: short(text, 700) }), away);
  }
}
