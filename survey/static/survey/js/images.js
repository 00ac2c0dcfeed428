// Load pairs gently: one pair at a time, each image tried again with growing pauses, both decoded before either counts.
import { pause } from "./net.js";

const ATTEMPTS = 4;

async function loadImage(url) {
  for (let attempt = 1; ; attempt += 1) {
    const image = new Image();
    image.draggable = false;
    image.decoding = "sync";
    image.src = url;
    try {
      await image.decode();
      return image;
    } catch (error) {
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
