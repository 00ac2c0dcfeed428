// Put the two loaded images of a pair into their boxes: both in the same frame, at one size.
import { setSize } from "./geometry.js";

export function placePair(boxes, images, { size, names }) {
  images.forEach((image, side) => {
    image.alt = names[side];
    image.style.transform = "";
    setSize(boxes[side], size);
    boxes[side].replaceChildren(image);
  });
}

// False once the window's pixel ratio has changed since the pair was placed.
export function isPlacedAt(boxes, [width]) {
  return boxes[0].offsetWidth === Math.round(width);
}
