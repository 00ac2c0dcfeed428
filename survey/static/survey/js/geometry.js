// How large two images, and a reference with them, stand in a window, and which windows have room for them. survey/geometry.py and survey/renditions.py
// have the same rules for the server. Boxes are in device pixels; windows, gutters and what is set on elements in CSS pixels.

const EPSILON = 1e-6;
const floor = (length) => Math.floor(length + EPSILON);

export const thisWindow = () => ({ width: innerWidth, height: innerHeight, ratio: devicePixelRatio || 1 });

// Device pixels to an image pixel: of every image in "pixels", the most of an original in "fit".
export function multipleOf(room, ratio) {
  return Math.max(1, room.display === "fit" ? floor(ratio) : Math.floor(room.pixel_multiple * ratio + 0.5));
}

function leastBox(room, ratio) {
  return room.display === "fit" ? room.least : room.frame.map((side) => side * multipleOf(room, ratio));
}

const controlsOf = (room, width) => room.controls[width <= room.narrow ? 1 : 0];

// The largest box of a layout that the window allows and the images can fill; null without room.
function boxOf(room, kind, { width: windowWidth, height: windowHeight, ratio }) {
  const [columns, lines] = room.grid[kind];
  const wide = (windowWidth - 2 * room.side - (columns - 1) * room.gutter) / columns;
  const high = (windowHeight - controlsOf(room, windowWidth) - (lines - 1) * room.gutter) / lines;
  let [width, height] = [floor(wide * ratio), floor(high * ratio)];
  const [leastWidth, leastHeight] = leastBox(room, ratio);
  const isTooSmall = () => width < leastWidth || height < leastHeight;
  if (isTooSmall()) return null;
  if (room.display !== "fit") return [leastWidth, leastHeight];
  const [most, multiple] = [floor(room.box_px * ratio), multipleOf(room, ratio)];
  width = Math.min(width, most, room.frame[0] * multiple);
  height = Math.min(height, most, room.frame[1] * multiple);
  width = Math.min(width, Math.max(leastWidth, Math.ceil(height * room.widest)));
  height = Math.min(height, Math.max(leastHeight, Math.ceil(width / room.narrowest)));
  return isTooSmall() ? null : [width, height];
}

// {kind: "row" or "stack", box: [width, height]}, or null when two whole images and the controls do not fit. One above the
// other only where that is allowed and shows them larger.
export function layoutOf(room, window = thisWindow()) {
  const row = boxOf(room, "row", window);
  const mayStack = room.may_stack && window.width < window.height;
  const stack = mayStack && (!row || room.display === "fit") ? boxOf(room, "stack", window) : null;
  if (stack && (!row || Math.min(...stack) > Math.min(...row))) return { kind: "stack", box: stack };
  return row && { kind: "row", box: row };
}

// Which of an image's sizes a box shows, and how many device pixels an image pixel takes.
export function shownOf(room, sizes, box, ratio = thisWindow().ratio) {
  const most = multipleOf(room, ratio);
  if (room.display !== "fit") return { index: 0, multiple: most };
  const index = sizes.findIndex(([width, height]) => width <= box[0] && height <= box[1]);
  if (index < 0) return { index: sizes.length - 1, multiple: 1 };
  const [width, height] = sizes[index];
  const times = Math.min(Math.floor(box[0] / width), Math.floor(box[1] / height), most);
  return { index, multiple: index === 0 ? Math.max(1, times) : 1 };
}

// The CSS pixels that a window of this kind needs at least.
export function neededOf(room, window = thisWindow()) {
  const [width, height] = leastBox(room, window.ratio).map((side) => Math.ceil(side / window.ratio - EPSILON));
  const [columns, lines] = room.grid[room.may_stack && window.width < window.height ? "stack" : "row"];
  const wide = columns * width + (columns - 1) * room.gutter + 2 * room.side;
  return [wide, lines * height + (lines - 1) * room.gutter + controlsOf(room, wide)];
}

// Through the object model, as the content policy allows no style attribute.
export function setSize({ style }, [width, height], ratio = 1) {
  style.width = `${width / ratio}px`;
  style.height = `${height / ratio}px`;
}
