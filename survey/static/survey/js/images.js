// Load pairs gently: one pair at a time, each image tried again with growing pauses, both there before either counts.
import { pause, TooLong, within } from "./limits.js";

const ATTEMPTS = 4;
const ARRIVAL_MS = 30000;
const DECODING_MS = 3000;

function arrival(image, url) {
  return new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error(`no image at ${url}`));
    image.src = url;
  });
}

// Decoded ahead, an image is painted at once. Where the browser cannot, or never says so, painting takes a little longer.
async function decoding(image) {
  try {
    await within(DECODING_MS, image.decode?.());
  } catch (error) {
    if (!(error instanceof TooLong)) throw error;
  }
}

async function loadImage(url) {
  for (let attempt = 1; ; attempt += 1) {
    const image = new Image();
    image.draggable = false;
    image.decoding = "sync";
    try {
      await within(ARRIVAL_MS, arrival(image, url));
      await decoding(image);
      return image;
    } catch (error) {
      image.src = ""; // no longer asked for
      if (attempt === ATTEMPTS) throw error;
      await pause(400 * 2 ** attempt);
    }
  }
}

let queue = Promise.resolve();

// Returns a promise of [left, right].
export function loadPair(trial) {
  const loading = queue.then(() => Promise.all([loadImage(trial.left), loadImage(trial.right)]));
  queue = loading.catch(() => {});
  loading.catch(() => {}); // whoever shows the pair hears of it
  return loading;
}
