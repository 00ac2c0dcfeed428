// A frame wider than the page has room for is shown smaller: what is in it keeps the width of its window.
function fit(area) {
  const frame = area.querySelector("iframe");
  const scale = Math.min(1, area.clientWidth / frame.offsetWidth);
  frame.style.transform = scale < 1 ? `scale(${scale})` : "";
  // What is drawn smaller still takes its room: give it back, or the page scrolls over nothing.
  frame.style.marginRight = `${(scale - 1) * frame.offsetWidth}px`;
  frame.style.marginBottom = `${(scale - 1) * frame.offsetHeight}px`;
  const said = document.getElementById(area.dataset.said);
  said.hidden = scale === 1;
  said.querySelector("span").textContent = Math.round(100 * scale);
}

const watch = new ResizeObserver((entries) => entries.forEach((entry) => fit(entry.target)));
for (const area of document.querySelectorAll(".bp-preview")) watch.observe(area);
