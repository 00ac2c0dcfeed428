// Copy the completion code; go back to the panel after a while, as a visit that does not is not paid.
const LEAVE_MS = 30_000;
const $ = (id) => document.getElementById(id);

const copy = $("copy");
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText($("code").textContent.trim());
    copy.textContent = copy.dataset.done;
  });
}

const leaving = $("leaving");
if (leaving) {
  const back = $("return");
  const timer = setTimeout(() => back.click(), LEAVE_MS);
  leaving.hidden = false;
  $("stay").addEventListener("click", () => {
    clearTimeout(timer);
    leaving.hidden = true;
    back.focus();
  });
}
