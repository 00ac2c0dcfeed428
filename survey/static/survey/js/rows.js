// Rows of a form within a form: add one from its template, take one away by its tick. The server does the rest.
function hideRemoved(row) {
  const tick = row.querySelector("[name$=-DELETE]");
  tick.addEventListener("change", () => {
    row.classList.toggle("bp-removed", tick.checked);
  });
  row.classList.toggle("bp-removed", tick.checked);
}

function add(area) {
  const total = area.querySelector("[name$=-TOTAL_FORMS]");
  const number = Number(total.value);
  const made = area.querySelector("template").content.cloneNode(true);
  for (const one of made.querySelectorAll("*")) {
    for (const { name, value } of [...one.attributes]) {
      if (value.includes("__prefix__")) one.setAttribute(name, value.replaceAll("__prefix__", number));
    }
  }
  const row = made.querySelector("[data-row]");
  row.querySelector("legend").append(` ${number + 1}`);
  area.querySelector(".bp-rows").append(made);
  total.value = number + 1;
  hideRemoved(row);
  row.querySelector("input:not([type=hidden]), textarea, select").focus();
}

for (const area of document.querySelectorAll("[data-rows]")) {
  area.querySelectorAll("[data-row]").forEach(hideRemoved);
  const button = area.querySelector("[data-add]");
  button.hidden = false;
  button.addEventListener("click", () => add(area));
}
