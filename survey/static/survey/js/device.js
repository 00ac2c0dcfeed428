// Size the sample boxes, and tell the server what window this is.
import { cssSide, setSize } from "./geometry.js";
import { cover } from "./pictures.js";

function frameLength(count = 20) {
  return new Promise((resolve) => {
    const times = [];
    const tick = (now) => (times.push(now) > count ? resolve((times[count] - times[0]) / count) : requestAnimationFrame(tick));
    requestAnimationFrame(tick);
  });
}

function sizeBoxes() {
  for (const pair of document.querySelectorAll(".pair[data-width]")) {
    const { width, height, multiple } = pair.dataset;
    for (const box of pair.querySelectorAll(".box")) setSize(box, [cssSide(+width, +multiple), cssSide(+height, +multiple)]);
  }
}

// What a browser that darkens every page makes of white; the pictures of a pair are out of its reach (pictures.js).
function isForcedDark() {
  const probe = document.createElement("div");
  probe.style.cssText = "display: none; background-color: canvas; color-scheme: light";
  document.body.append(probe);
  const { backgroundColor } = getComputedStyle(probe);
  probe.remove();
  return backgroundColor !== "rgb(255, 255, 255)";
}

async function coverExample(image) {
  const box = image.closest(".box");
  await image.decode();
  cover(box, image);
}

sizeBoxes();
document.querySelectorAll(".example img").forEach(coverExample);
addEventListener("resize", sizeBoxes);

const form = document.getElementById("device");
if (form) {
  const frame = frameLength();
  form.querySelector("button").disabled = false;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const matches = (query) => String(matchMedia(query).matches);
    const facts = {
      width: innerWidth,
      height: innerHeight,
      pixel_ratio: devicePixelRatio || 1,
      is_touch: matches("(pointer: coarse)"),
      screen: `${screen.width}x${screen.height}`,
      gamut: ["rec2020", "p3", "srgb"].find((name) => matchMedia(`(color-gamut: ${name})`).matches) ?? "",
      colour_depth: screen.colorDepth,
      reduced_motion: matches("(prefers-reduced-motion: reduce)"),
      forced_dark: String(isForcedDark()),
      framed: String(self !== top),
      frame_ms: (await Promise.race([frame, new Promise((resolve) => setTimeout(resolve, 500, 0))])).toFixed(2),
    };
    for (const [name, value] of Object.entries(facts)) form.elements[name].value = value;
    form.submit();
  });
}
