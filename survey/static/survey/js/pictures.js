// The two pictures of a pair on the screen: both in the same frame, at one size.
//
// Each image is painted on a canvas that covers it. Browsers and extensions that darken every page turn small light pictures
// into negatives, one by one, by what is on them: one arm's and not the other's. They leave a canvas as it is. The image
// below keeps the name for screen readers, and shows through where a browser gives no canvas.
import { setSize } from "./geometry.js";

export function cover(box, image, canvas = document.createElement("canvas")) {
  canvas.width = image.naturalWidth;
  canvas.height = image.naturalHeight;
  canvas.setAttribute("aria-hidden", "true");
  canvas.getContext("2d")?.drawImage(image, 0, 0);
  box.textContent = ""; // whatever others put here
  box.append(image, canvas);
}

export class Pictures {
  constructor(boxes) {
    this.boxes = boxes;
    this.canvases = boxes.map(() => document.createElement("canvas"));
    this.images = [];
    this.size = null; // CSS pixels at which the present pair was placed
  }

  place(images, { size, names }) {
    this.images = images;
    this.size = size;
    this.enlarge(1, "");
    images.forEach((image, side) => {
      image.alt = names[side];
      setSize(this.boxes[side], size);
      cover(this.boxes[side], image, this.canvases[side]);
    });
  }

  isPlacedAt([width, height]) {
    return this.size !== null && this.size[0] === width && this.size[1] === height;
  }

  // Both at the same spot.
  enlarge(scale, at) {
    for (const { style } of [...this.images, ...this.canvases]) {
      style.transformOrigin = at;
      style.transform = scale > 1 ? `scale(${scale})` : "";
    }
  }
}
