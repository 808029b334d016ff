// The page around the two panes: what to try, and who is shown on a narrow screen.

const stage = await (await fetch("stage.json")).json();
const said = document.getElementById("said");

function show(pane) {
  document.querySelector("main").dataset.pane = pane;
  for (const button of document.querySelectorAll("nav button")) {
    button.setAttribute("aria-pressed", String(button.dataset.pane === pane));
  }
}

async function act(button, name) {
  if (button.getAttribute("aria-disabled") === "true") return;
  button.setAttribute("aria-disabled", "true");
  try {
    const answer = await fetch(`act/${name}`, { method: "POST" });
    said.textContent = (await answer.json()).said;
  } catch {
    said.textContent = "The demo does not answer: has it ended?";
  } finally {
    button.setAttribute("aria-disabled", "false");
  }
}

for (const button of document.querySelectorAll("nav button")) {
  button.onclick = () => show(button.dataset.pane);
}
for (const { name, title } of stage.acts) {
  const button = document.createElement("button");
  button.type = "button";
  button.textContent = title;
  button.dataset.act = name;
  button.onclick = () => act(button, name);
  const item = document.createElement("li");
  item.append(button);
  document.getElementById("acts").append(item);
}
document.getElementById("network").textContent = ` (${stage.network})`;
document.querySelector("#juliet iframe").src = stage.juliet;
