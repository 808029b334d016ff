// Making elements. All text becomes text nodes: nothing a service says is ever read as markup.

const SVG = "http://www.w3.org/2000/svg";

/** The element with this id. */
export const byId = (id) => document.getElementById(id);

/** Make an element. `on…` are listeners, `text` its text, `class` its classes, the rest attributes. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "text") element.textContent = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Make an icon of the sprite in index.html; it says nothing to those who do not see it. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", `icon is-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(document.createElementNS(SVG, "use"));
  setIcon(svg, name);
  return svg;
}

export function setIcon(svg, name) {
  svg.firstElementChild.setAttribute("href", `#i-${name}`);
  svg.setAttribute("class", `icon is-${name}`);
}

/** Set what has changed: an attribute or a text that stays is not touched. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Make the children of `parent` these, in this order; what stays in its place keeps the focus. */
export function setChildren(parent, children) {
  const focused = document.activeElement;
  const wanted = new Set(children);
  for (const child of [...parent.children]) if (!wanted.has(child)) child.remove();
  children.forEach((child, at) => {
    if (parent.children[at] !== child) parent.insertBefore(child, parent.children[at] ?? null);
  });
  if (focused !== document.activeElement && parent.contains(focused)) focused.focus();
}

/** Cut what is said aloud or stands in a title: names may be of any length. */
export function short(text, most = 80) {
  const characters = [...text.slice(0, most * 2 + 2)];
  return characters.length > most ? `${characters.slice(0, most).join("")}…` : text;
}

const hours = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const days = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const whole = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Make a <time>: the hour, and the day when it is another one. */
export function timeOf(moment) {
  const today = moment.toDateString() === new Date().toDateString();
  const text = today ? hours.format(moment) : `${days.format(moment)}, ${hours.format(moment)}`;
  return make("time", { datetime: moment.toISOString(), title: whole.format(moment), text });
}

let saying = 0;

/** Say this to those who listen to the page. */
export function announce(text) {
  const announcer = byId("announcer");
  announcer.textContent = text;
  clearTimeout(saying);
  saying = setTimeout(() => (announcer.textContent = ""), 5000);
}

let toasting = 0;

/** Show this for a while, over everything. */
export function toast(text) {
  const shown = byId("toast");
  shown.textContent = text;
  shown.dataset.shown = "";
  clearTimeout(toasting);
  toasting = setTimeout(() => {
    delete shown.dataset.shown;
    shown.textContent = "";
  }, 8000);
}
