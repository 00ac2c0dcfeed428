// How large an image is on the screen, and whether two of them fit.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { cssSide, cssSize, layoutOf } from "../../survey/static/survey/js/geometry.js";

const ROOM = { width: 256, height: 256, pixel_multiple: 1, gutter: 16, side: 12, controls: 250 };

describe("an image side", () => {
  for (const ratio of [0.5, 1, 1.1, 1.25, 1.5, 2, 2.625, 3]) {
    it(`is a whole number of screen pixels for each image pixel at ratio ${ratio}`, () => {
      const each = (cssSide(64, 3, ratio) * ratio) / 64;
      assert.ok(Math.abs(each - Math.round(each)) < 1e-9 && each >= 1, each);
    });
  }
});

describe("the layout", () => {
  const layout = (width, height, mayStack = true) => {
    globalThis.devicePixelRatio = 1;
    return layoutOf(ROOM, mayStack, width, height);
  };

  it("is a row wherever two images fit side by side, to the pixel", () => {
    assert.deepEqual(cssSize(ROOM, 1), [256, 256]);
    assert.equal(layout(552, 506), "row");
    assert.equal(layout(551, 506), null);
    assert.equal(layout(552, 505), null);
  });

  it("is a stack on a tall narrow window, if the study allows it", () => {
    assert.equal(layout(280, 778), "stack");
    assert.equal(layout(280, 777), null);
    assert.equal(layout(280, 778, false), null);
  });
});
