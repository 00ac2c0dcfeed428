// Load pairs gently: one after the other, each image tried again with growing pauses, both there before either counts.
// Where the server hands out both images of a trial in one answer they are asked for together, and one by one if that
// fails. The next pair is asked for once half of this one is there: on a slow line nothing waits for an answer meanwhile.
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

async function paintable(url) {
  const image = new Image();
  image.draggable = false;
  image.decoding = "sync";
  try {
    await within(ARRIVAL_MS, arrival(image, url));
    const [pixels] = await Promise.all([pixelsOf(image), decoding(image)]);
    return { image, pixels };
  } catch (error) {
    image.src = ""; // no longer asked for
    throw error;
  }
}

async function loadImage(url) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await paintable(url);
    } catch (error) {
      if (attempt === ATTEMPTS) throw error;
      await pause(400 * 2 ** attempt);
    }
  }
}

let queue = Promise.resolve();

// The address of one of an image's sizes; a study of an earlier release has one size alone.
export const addressOf = (url, index) => url.replace(/\.\d+\.webp$/, `.${index}.webp`);

// The address of both images of a trial, the left one first.
export function pairAddressOf(left, right, index) {
  const [one, other] = [left, right].map((url) => url.replace(/\.\d+\.webp$/, ""));
  return `${one}~${other.split("/").pop()}.${index}.pair`;
}

// Each file says at its start how long it is, and both are equally long.
function halfOf(bytes) {
  return bytes.length < 8 ? Infinity : new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true) + 8;
}

// The images of an answer that holds two; `onHalf` is called when one of them is there.
async function received(response, onHalf) {
  if (!response.ok) throw new Error(`no pair: status ${response.status}`);
  const reader = response.body.getReader();
  const chunks = [];
  let length = 0;
  for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
    chunks.push(value);
    length += value.length;
    if (length >= halfOf(chunks[0])) onHalf();
  }
  const whole = new Blob(chunks);
  if (!length || length !== 2 * halfOf(chunks[0])) throw new Error(`no pair: ${length} bytes`);
  return [whole.slice(0, length / 2, "image/webp"), whole.slice(length / 2, length, "image/webp")];
}

// A part of an answer has an address for as long as there is an image of it.
const parts = new FinalizationRegistry((url) => URL.revokeObjectURL(url));

async function shownPart(blob) {
  const url = URL.createObjectURL(blob);
  try {
    const shown = await paintable(url);
    parts.register(shown.image, url);
    return shown;
  } catch (error) {
    URL.revokeObjectURL(url);
    throw error;
  }
}

async function loadTogether(url, onHalf) {
  const blobs = await within(ARRIVAL_MS, fetch(url, { credentials: "omit" }).then((response) => received(response, onHalf)));
  return Promise.all(blobs.map(shownPart));
}

// Returns promises: of all images, and that one of them is there.
function load({ left, right, reference }, index, isPaired) {
  const urls = [left, right, reference].filter(Boolean).map((url) => addressOf(url, index));
  if (!isPaired) {
    const each = urls.map(loadImage);
    return { images: Promise.all(each), some: Promise.race(each) };
  }
  let onHalf;
  const half = new Promise((resolve) => (onHalf = resolve));
  const both = loadTogether(pairAddressOf(left, right, index), onHalf).catch(() => Promise.all(urls.slice(0, 2).map(loadImage)));
  const images = Promise.all([both, ...urls.slice(2).map(loadImage)]).then((parts) => parts.flat());
  return { images, some: Promise.race([half, images]) };
}

// Returns a promise of [left, right] and the reference where there is one, {image, pixels} each, of the size with this
// number.
export function loadPair(trial, index, isPaired = false) {
  const started = queue.then(() => load(trial, index, isPaired));
  const loading = started.then(({ images }) => images);
  queue = started.then(({ some }) => some).catch(() => {});
  loading.catch(() => {}); // whoever shows the pair hears of it
  return loading;
}
