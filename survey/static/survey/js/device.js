// Show real pictures at their real size, say whether the window has room, and tell the server what window this is.
import { deviceFacts } from "./facts.js";
import { postForm } from "./forms.js";
import { layoutOf, neededOf, shownOf, thisWindow } from "./geometry.js";
import { addressOf, pixelsOf } from "./images.js";
import { cover, sizeBox, snap } from "./pictures.js";
import { fill } from "./texts.js";

const room = JSON.parse(document.getElementById("room").textContent);
const gate = document.getElementById("gate");
const gateText = document.getElementById("gate-text");
const guarded = [...document.querySelectorAll("[data-room]")].map((form) => [form, form.dataset.room === "yes"]);
const pairs = [...document.querySelectorAll(".pair[data-sizes]")].map((pair) => ({
  pair,
  frame: pair.closest(".example") ?? pair,
  sizes: JSON.parse(pair.dataset.sizes),
  boxes: [...pair.querySelectorAll(".box")].map((box) => ({ box, image: box.querySelector("img"), shown: null })),
}));

// Before anybody agrees to anything: which window it takes, and which there is.
function showGate() {
  if (!gate) return;
  const fits = Boolean(layoutOf(room));
  const { width, height } = thisWindow();
  const [wide, high] = neededOf(room);
  gateText.textContent = fill(gate.dataset.text, { wide, high, width, height });
  gate.hidden = fits;
  for (const [form, needsRoom] of guarded) form.hidden = needsRoom !== fits;
}

// An example keeps its sides at every width: where two boxes take more than the sheet, it is wider than the sheet.
function showPair({ pair, frame, sizes, boxes }) {
  const layout = layoutOf(room);
  pair.hidden = !layout;
  if (!layout) return;
  const { ratio } = thisWindow();
  const { index, multiple } = shownOf(room, sizes, layout.box, ratio);
  const isRow = layout.kind === "row";
  pair.classList.toggle("stacked", !isRow);
  const width = (isRow ? 2 : 1) * (layout.box[0] / ratio) + (isRow ? room.gutter : 0);
  widen(frame, frame === pair ? width : width + 2 * room.side);
  const picture = sizes[index].map((side) => side * multiple);
  for (const one of boxes) showImage(one, index, () => sizeBox(one.box, layout.box, { picture, ratio }));
  for (const { box } of boxes) snap(box, ratio);
}

function showImage(one, index, size) {
  const { box, image } = one;
  size();
  image.onload = async () => {
    cover(box, { image, pixels: await pixelsOf(image) });
    size();
  };
  if (one.shown !== index) image.src = addressOf(image.dataset.source, index);
  one.shown = index;
}

function widen({ style, parentElement }, wanted) {
  const { paddingLeft, paddingRight } = getComputedStyle(parentElement);
  const width = Math.min(wanted, document.documentElement.clientWidth); // which is narrower beside a scrollbar
  const spare = parentElement.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight) - width;
  style.marginInline = spare < 0 ? `${spare / 2}px` : "0";
}

function show() {
  showGate();
  pairs.forEach(showPair);
}

show();
addEventListener("resize", show);

// The check of the screen, and the form of a consent page that ends a visit for want of room.
const form = document.getElementById("device");
if (form) {
  document.getElementById("device-send").disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    postForm(form.action, await deviceFacts());
  });
}
document.documentElement.dataset.started = "";
