// How large an image is on the screen, and whether two of them fit.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { layoutOf, multipleOf, neededOf, shownOf } from "../../survey/static/survey/js/geometry.js";

const EDGES = { gutter: 16, grid: { row: [2, 1], stack: [1, 2] }, side: 12, controls: [250, 250], narrow: 480 };
const ROOM = { display: "pixels", frame: [256, 256], least: [256, 256], narrowest: 1, widest: 1, box_px: 640, pixel_multiple: 1, may_stack: true, ...EDGES };
const FIT = { ...ROOM, display: "fit", frame: [1024, 1024] };
const at = (width, height, ratio = 1) => ({ width, height, ratio });

describe("an image in pixels", () => {
  for (const ratio of [0.5, 1, 1.1, 1.25, 1.5, 2, 2.625, 3]) {
    it(`takes a whole number of screen pixels for each of its own at ratio ${ratio}`, () => {
      const multiple = multipleOf({ ...ROOM, pixel_multiple: 3 }, ratio);
      assert.ok(Number.isInteger(multiple) && multiple >= 1 && Math.abs(multiple / ratio - 3) <= Math.max(0.5 / ratio, 1), multiple);
    });
  }
});

describe("the layout in pixels", () => {
  const kind = (window, room = ROOM) => layoutOf(room, window)?.kind ?? null;

  it("is a row wherever two images fit side by side, to the pixel", () => {
    assert.deepEqual(layoutOf(ROOM, at(552, 506)), { kind: "row", box: [256, 256] });
    assert.equal(kind(at(551, 506)), null);
    assert.equal(kind(at(552, 505)), null);
  });

  it("is a stack on a tall narrow window, if the study allows it", () => {
    assert.equal(kind(at(280, 778)), "stack");
    assert.equal(kind(at(280, 777)), null);
    assert.equal(kind(at(280, 778), { ...ROOM, may_stack: false }), null);
  });
});

describe("the box in fit", () => {
  it("is what the window allows, up to the plan's limit and the images' own pixels", () => {
    assert.deepEqual(layoutOf(FIT, at(1920, 950)).box, [640, 640]);
    assert.deepEqual(layoutOf(FIT, at(1366, 657)).box, [407, 407]);
    assert.deepEqual(layoutOf({ ...FIT, frame: [300, 300] }, at(1920, 950)).box, [300, 300]);
    assert.deepEqual(layoutOf({ ...FIT, frame: [300, 300] }, at(1920, 950, 2)).box, [600, 600]);
  });

  it("has no room beside or above images that are all wide", () => {
    const wide = { ...FIT, frame: [1920, 1080], least: [455, 256], narrowest: 16 / 9, widest: 16 / 9 };
    assert.deepEqual(layoutOf(wide, at(1920, 950)).box, [640, 360]);
  });

  it("stacks where that is larger", () => {
    assert.equal(layoutOf(FIT, at(390, 844, 3)).kind, "stack");
    assert.equal(layoutOf({ ...FIT, may_stack: false }, at(390, 844, 3)).kind, "row");
    assert.equal(layoutOf({ ...FIT, may_stack: false }, at(390, 844, 1)), null);
  });
});

describe("what a box shows", () => {
  const sizes = [[1024, 1024], [800, 800], [640, 640], [512, 512], [410, 410]];

  it("is the largest size that fits, one image pixel to one device pixel", () => {
    assert.deepEqual(shownOf(FIT, sizes, [640, 640], 1), { index: 2, multiple: 1 });
    assert.deepEqual(shownOf(FIT, sizes, [639, 640], 1), { index: 3, multiple: 1 });
  });

  it("is the original enlarged only as far as its own pixels in CSS", () => {
    assert.deepEqual(shownOf(FIT, [[256, 256]], [900, 900], 3), { index: 0, multiple: 3 });
    assert.deepEqual(shownOf(FIT, [[256, 256]], [900, 900], 2.5), { index: 0, multiple: 2 });
    assert.deepEqual(shownOf(FIT, [[256, 256]], [900, 900], 1), { index: 0, multiple: 1 });
  });
});

describe("the window that is needed", () => {
  for (const window of [at(500, 400), at(500, 400, 1.5), at(390, 600, 3), at(300, 500)]) {
    it(`is one that has room, and a pixel less has not (${Object.values(window)})`, () => {
      const [width, height] = neededOf(FIT, window);
      const isTall = window.width < window.height;
      if (isTall !== width < height) return; // another kind of window
      assert.ok(layoutOf(FIT, { ...window, width, height }));
      assert.equal(layoutOf({ ...FIT, may_stack: isTall }, { ...window, width, height: height - 2 }), null);
    });
  }
});
