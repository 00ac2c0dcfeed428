// Size the sample boxes, cover the examples, and tell the server what window this is.
import { deviceFacts } from "./facts.js";
import { postForm } from "./forms.js";
import { cssSide, setSize } from "./geometry.js";
import { cover } from "./pictures.js";

const samples = [...document.querySelectorAll(".pair[data-width]")].map((pair) => [pair.dataset, [...pair.querySelectorAll(".box")]]);

function sizeBoxes() {
  for (const [{ width, height, multiple }, boxes] of samples) {
    for (const box of boxes) setSize(box, [cssSide(+width, +multiple), cssSide(+height, +multiple)]);
  }
}

function coverExample(image) {
  const box = image.closest(".box");
  const paint = () => image.naturalWidth && cover(box, image);
  if (image.complete) paint();
  else image.addEventListener("load", paint);
}

sizeBoxes();
addEventListener("resize", sizeBoxes);
for (const image of document.querySelectorAll(".example img")) coverExample(image);

const form = document.getElementById("device");
if (form) {
  document.getElementById("device-send").disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    postForm(form.action, await deviceFacts());
  });
}
document.documentElement.dataset.started = "";
