// Copy the completion code; go back to the panel after a while, as a visit that does not is not paid.
const LEAVE_MS = 30_000;
const $ = (id) => document.getElementById(id);

const copy = $("copy");
const code = $("code").textContent.trim(); // before others change the page
const { done } = copy.dataset;
if (navigator.clipboard) {
  copy.hidden = false;
  copy.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(code);
      copy.textContent = done;
    } catch {
      getSelection().selectAllChildren($("code")); // refused, in a panel's frame say: to be copied by hand
    }
  });
}

document.documentElement.dataset.started = "";

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
