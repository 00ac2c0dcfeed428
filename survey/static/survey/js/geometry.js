// The size of an image on screen: a whole number of screen pixels for each image pixel. survey/services/visit/device.py has
// the same rule for the server.

export function cssSide(side, multiple, ratio = devicePixelRatio || 1) {
  return (side * Math.max(1, Math.floor(multiple * ratio + 0.5))) / ratio;
}

export function cssSize(room, ratio = devicePixelRatio || 1) {
  return [cssSide(room.width, room.pixel_multiple, ratio), cssSide(room.height, room.pixel_multiple, ratio)];
}

// "row", "stack", or null when two whole images and the controls do not fit.
export function layoutOf(room, mayStack, width = innerWidth, height = innerHeight) {
  const [w, h] = cssSize(room);
  if (width >= 2 * w + room.gutter + 2 * room.side && height >= h + room.controls) return "row";
  const fits = width >= w + 2 * room.side && height >= 2 * h + room.gutter + room.controls;
  return mayStack && fits && width < height ? "stack" : null;
}

// Through the object model, as the content policy allows no style attribute.
export function setSize(element, [width, height]) {
  element.style.width = `${width}px`;
  element.style.height = `${height}px`;
}
