// Ask for the live parts of a study's page again while somebody looks: elements that name their source.
const PAUSE_MS = 5_000;

async function refresh(area) {
  // A button or field in use must not be swapped away under the hand, nor what somebody unfolded to read.
  if (document.hidden || area.contains(document.activeElement) || area.querySelector("details[open]")) return;
  try {
    const answer = await fetch(area.dataset.source, { headers: { Accept: "text/html" }, redirect: "error" });
    if (answer.ok) area.innerHTML = await answer.text();
  } catch {
    // The network is away or the login ran out: the next round tries again, the old numbers stay.
  }
}

for (const area of document.querySelectorAll("[data-source]")) setInterval(() => refresh(area), PAUSE_MS);
