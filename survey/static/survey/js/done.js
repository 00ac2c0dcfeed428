// Copy the completion code.
const button = document.getElementById("copy");
if (button && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(document.getElementById("code").textContent.trim());
    button.textContent = button.dataset.done;
  });
}
