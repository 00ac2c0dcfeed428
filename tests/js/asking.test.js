// What a trial asks, and in which order its criteria are answered.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { askedBy, Asking } from "../../survey/static/survey/js/asking.js";

const CRITERIA = ["realism", "detail", "overall"].map((key) => ({ key, ties: key !== "overall", definition: "" }));

function asking(keys = ["realism", "detail", "overall"]) {
  const found = new Asking(CRITERIA);
  found.ask(keys);
  return found;
}

describe("one question", () => {
  it("is complete with its answer", () => {
    const one = new Asking([{ key: "", ties: false }]);
    one.ask(askedBy({ question: "Which?" }));
    assert.equal(one.isSeveral, false);
    assert.equal(one.has("", "tie"), false);
    one.take("left", one.focused);
    assert.equal(one.isComplete, true);
    assert.deepEqual(one.answers, [{ criterion: "", choice: "left" }]);
  });
});

describe("several criteria", () => {
  it("are answered one after the other, and sent in their order", () => {
    const several = asking();
    const focused = [];
    for (const choice of ["left", "tie", "right"]) {
      focused.push(several.focused);
      several.take(choice, several.focused);
    }
    assert.deepEqual(focused, ["realism", "detail", "overall"]);
    assert.equal(several.isComplete, true);
    assert.deepEqual(several.answers.map(({ choice }) => choice), ["left", "tie", "right"]);
  });

  it("may be answered in any order; what has no answer yet comes next", () => {
    const several = asking();
    several.take("left", "overall");
    assert.equal(several.focused, "realism");
    several.focus("detail");
    several.take("right", "detail");
    assert.equal(several.focused, "realism");
    assert.equal(several.isComplete, false);
    several.take("right", "overall"); // changed
    several.take("left", "realism");
    assert.deepEqual(several.answers.map(({ choice }) => choice), ["left", "right", "right"]);
  });

  it("have tie rules of their own", () => {
    const several = asking();
    assert.deepEqual(["realism", "overall"].map((key) => several.has(key, "tie")), [true, false]);
    assert.equal(several.has("beauty", "left"), false);
  });

  it("give back the last answer first, and none where there is none", () => {
    const several = asking();
    several.take("left", "realism");
    several.take("left", "detail");
    assert.equal(several.takeBack(), true);
    assert.equal(several.focused, "detail");
    assert.equal(several.takeBack(), true);
    assert.equal(several.takeBack(), false);
  });

  it("begin afresh with the next trial", () => {
    const several = asking();
    several.take("left", "realism");
    several.ask(["detail"]);
    assert.deepEqual([several.isSeveral, several.isComplete, several.focused], [false, false, "detail"]);
  });
});
