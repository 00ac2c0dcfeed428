// Load pairs gently: one after the other, each image tried again with growing pauses, both there before either counts.
// The next pair is asked for once half of this one is there: on a slow line nothing waits for an answer meanwhile.
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

// What a canvas is to be painted with: the numbers of the file as they are. The file and the canvas are both in sRGB, but
// converted from one to the other Firefox misses some numbers by one.
export async function pixelsOf(image) {
  try {
    return await within(DECODING_MS, createImageBitmap(image, { colorSpaceConversion: "none" }));
  } catch {
    return image;
  }
}

async function loadImage(url) {
  for (let attempt = 1; ; attempt += 1) {
    const image = new Image();
    image.draggable = false;
    image.decoding = "sync";
    try {
      await within(ARRIVAL_MS, arrival(image, url));
      const [pixels] = await Promise.all([pixelsOf(image), decoding(image)]);
      return { image, pixels };
    } catch (error) {
      image.src = ""; // no longer asked for
      if (attempt === ATTEMPTS) throw error;
      await pause(400 * 2 ** attempt);
    }
  }
}

let queue = Promise.resolve();

// The address of one of an image's sizes; a study of an earlier release has one size alone.
export const addressOf = (url, index) => url.replace(/\.\d+\.webp$/, `.${index}.webp`);

// Returns a promise of [left, right] and the reference where there is one, {image, pixels} each, of the size with this
// number.
export function loadPair({ left, right, reference }, index) {
  const both = queue.then(() => [left, right, reference].filter(Boolean).map((url) => loadImage(addressOf(url, index))));
  const loading = both.then((images) => Promise.all(images));
  queue = both.then((images) => Promise.race(images)).catch(() => {});
  loading.catch(() => {}); // whoever shows the pair hears of it
  return loading;
}
