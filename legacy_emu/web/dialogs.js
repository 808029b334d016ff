// What is asked of the user: a buddy's name and groups, a yes or no; and the menu.

import { byId, make, short } from "./dom.js";

/**
 * Ask for a buddy. `shown` are the parts to show, `about` what stands in them; `submit(values)` does
 * it, and the dialog stays open with the error it throws.
 */
export function askBuddy({ title, action, shown, about = {}, groups = [], submit }) {
  const dialog = byId("buddy-dialog");
  const form = dialog.querySelector("form");
  byId("buddy-dialog-title").textContent = title;
  dialog.querySelector("[type=submit]").textContent = action;
  for (const part of form.querySelectorAll("[data-part]")) part.hidden = !shown.includes(part.dataset.part);
  for (const name of ["address", "name", "group", "reason"]) form.elements[name].value = about[name] ?? "";
  const chosen = new Set(about.groups ?? []);
  const all = [...new Set([...groups, ...chosen])];
  const choices = all.map((group) =>
    make("label", {}, make("input", { type: "checkbox", checked: chosen.has(group) }), make("bdi", { text: short(group, 120) })),
  );
  form.querySelector(".choices").replaceChildren(...choices);
  const values = () => {
    const kept = all.filter((_, at) => choices[at].firstElementChild.checked);
    const fresh = form.elements.group.value.trim();
    return {
      address: form.elements.address.value.trim(),
      name: form.elements.name.value.trim(),
      groups: fresh && !kept.includes(fresh) ? [...kept, fresh] : kept,
      reason: form.elements.reason.value.trim(),
    };
  };
  run(dialog, () => {
    if (shown.includes("address") && !values().address) throw new Error("A screen name is needed.");
    return submit(values());
  });
}

/** Ask whether to go on; `submit()` does it. */
export function askWhether({ text, action, submit }) {
  const dialog = byId("question");
  byId("question-text").textContent = text;
  dialog.querySelector("[type=submit]").textContent = action;
  run(dialog, submit);
}

function run(dialog, submit) {
  const form = dialog.querySelector("form");
  const error = dialog.querySelector(".error");
  const cancel = dialog.querySelector("[value=cancel]");
  const go = dialog.querySelector("[type=submit]");
  error.hidden = true;
  go.disabled = false;
  cancel.onclick = () => dialog.close();
  dialog.onclick = (event) => {
    if (event.target === dialog) dialog.close(); // beside it
  };
  form.onsubmit = async (event) => {
    event.preventDefault();
    go.disabled = true;
    try {
      await submit();
      dialog.close();
    } catch (failure) {
      error.textContent = failure.message;
      error.hidden = false;
    }
    go.disabled = false;
  };
  dialog.showModal();
}

/** Show a menu beside `anchor`; `items` are [text, act] pairs. The focus goes back to `anchor`. */
export function showMenu(anchor, label, items) {
  const menu = byId("menu");
  const buttons = items.map(([text, act, danger]) => {
    const button = make("button", { type: "button", role: "menuitem", tabindex: "-1", text, class: danger ? "danger" : null });
    button.onclick = () => {
      anchor.focus();
      menu.hidePopover();
      act();
    };
    return button;
  });
  menu.setAttribute("aria-label", label);
  menu.replaceChildren(...buttons);
  menu.onkeydown = (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + buttons.length, Home: 0, End: buttons.length - 1 };
    if (Object.hasOwn(to, event.key)) buttons[to[event.key] % buttons.length].focus();
    else if (event.key === "Tab" || event.key === "Escape") {
      anchor.focus();
      menu.hidePopover();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  menu.showPopover();
  const { left, right, bottom, top } = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const x = left + width < innerWidth - 8 ? left : right - width;
  const y = bottom + height < innerHeight - 8 ? bottom + 2 : top - height - 2;
  menu.style.left = `${Math.max(8, x)}px`;
  menu.style.top = `${Math.max(8, y)}px`;
  buttons[0].focus();
}
