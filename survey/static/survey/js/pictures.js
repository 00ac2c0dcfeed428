// The two pictures of a pair on the screen, and its reference: all in the same frame, at one scale, each in the middle of
// its box.
//
// An image pixel takes a whole number of device pixels, and begins where a device pixel begins: nothing is scaled by the
// browser. Each image is painted on a canvas that covers it. Browsers and extensions that darken every page turn small
// light pictures into negatives, one by one, by what is on them: one arm's and not the other's. They leave a canvas as it
// is. The image below keeps the name for screen readers, and shows through where a browser gives no canvas.
import { setSize } from "./geometry.js";

export function cover(box, { image, pixels }, canvas = document.createElement("canvas")) {
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  canvas.setAttribute("aria-hidden", "true");
  canvas.getContext("2d")?.drawImage(pixels, 0, 0);
  box.textContent = ""; // whatever others put here
  box.append(image, canvas);
}

// Give a box its size, and what is in it the size of the picture. All lengths are device pixels.
export function sizeBox(box, size, { picture, ratio }) {
  setSize(box, size, ratio);
  for (const element of box.querySelectorAll("img, canvas")) {
    setSize(element, picture, ratio);
    element.style.left = `${Math.floor((size[0] - picture[0]) / 2) / ratio}px`;
    element.style.top = `${Math.floor((size[1] - picture[1]) / 2) / ratio}px`;
  }
}

// Move a box by less than a device pixel, to where one begins. The page must be laid out as it stays.
export function snap(box, ratio) {
  box.style.left = box.style.top = "0";
  const { left, top } = box.getBoundingClientRect();
  box.style.left = `${Math.round(left * ratio) / ratio - left}px`;
  box.style.top = `${Math.round(top * ratio) / ratio - top}px`;
}

export class Pictures {
  constructor(boxes) {
    this.boxes = boxes;
    this.canvases = boxes.map(() => document.createElement("canvas"));
    this.images = [];
    this.placed = null; // how the present pair was placed: {kind, box, ratio, rendition, picture}
  }

  place(pictures, placed, names) {
    Object.assign(this, { images: pictures.map(({ image }) => image), placed });
    this.enlarge(1, "");
    this.boxes.forEach((box, side) => this.fill(box, pictures[side], { ...placed, name: names[side], canvas: this.canvases[side] }));
    this.snap();
  }

  // Anew when the page has moved: where a device pixel begins is elsewhere then.
  snap() {
    for (const box of this.boxes) snap(box, this.placed.ratio);
  }

  // A box without a picture, of a pair that has no reference, keeps its place.
  fill(box, picture, { box: size, ratio, rendition, picture: shown, name, canvas }) {
    box.textContent = "";
    if (!picture) return setSize(box, size, ratio);
    const { image } = picture;
    image.alt = name;
    cover(box, picture, canvas);
    // A reference of another shape has other sides; an image pixel of it takes as many device pixels.
    const multiple = shown[0] / rendition[0];
    sizeBox(box, size, { picture: [image.naturalWidth * multiple, image.naturalHeight * multiple], ratio });
  }

  isPlacedAs({ kind, box }, ratio) {
    const { placed } = this;
    return placed !== null && placed.kind === kind && placed.ratio === ratio && placed.box.every((side, at) => side === box[at]);
  }

  // Both at the same spot.
  enlarge(scale, at) {
    for (const { style } of [...this.images, ...this.canvases]) {
      style.transformOrigin = at;
      style.transform = scale > 1 ? `scale(${scale})` : "";
    }
  }
}
