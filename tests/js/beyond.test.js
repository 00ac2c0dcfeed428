// What follows a choice, step by step.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Beyond } from "../../survey/static/survey/js/beyond.js";

const STRENGTH = { name: "strength", values: [1, 2, 3], isSeveral: false, isRequired: false };
const ACCEPTABLE = { name: "acceptable", values: ["both", "one", "neither"], isSeveral: false, isRequired: false };
const REASONS = { name: "reasons", values: ["anatomy", "colour", "text"], isSeveral: true, isRequired: false };

describe("what follows a choice", () => {
  it("is asked one step after the other", () => {
    const beyond = new Beyond([STRENGTH, ACCEPTABLE, REASONS]);
    beyond.begin("right");
    beyond.take(2);
    assert.equal(beyond.step.name, "acceptable");
    beyond.take("one");
    beyond.take("text");
    beyond.take("anatomy");
    beyond.goOn();
    assert.equal(beyond.step, undefined);
    assert.deepEqual(beyond.said, { strength: 2, acceptable: "right", reasons: ["anatomy", "text"] });
  });

  it("begins anew with each choice", () => {
    const beyond = new Beyond([STRENGTH]);
    beyond.begin("left");
    beyond.take(3);
    beyond.begin("right");
    assert.equal(beyond.step.name, "strength");
    assert.deepEqual(beyond.said, {});
  });

  it("asks who prefers neither whether both are acceptable, and nothing else", () => {
    const beyond = new Beyond([STRENGTH, ACCEPTABLE, REASONS]);
    beyond.begin("tie");
    assert.equal(beyond.offers("one"), false);
    assert.equal(beyond.offers("neither"), true);
    beyond.take("neither");
    assert.equal(beyond.step, undefined);
    assert.deepEqual(beyond.said, { acceptable: "neither" });
  });

  it("is over at once where a tie is asked nothing", () => {
    const beyond = new Beyond([STRENGTH]);
    beyond.begin("tie");
    assert.equal(beyond.step, undefined);
  });
});

describe("reasons", () => {
  it("are taken back by a second press", () => {
    const beyond = new Beyond([REASONS]);
    beyond.begin("left");
    beyond.take("colour");
    assert.equal(beyond.has("colour"), true);
    beyond.take("colour");
    assert.equal(beyond.has("colour"), false);
  });

  it("may be none where they are optional", () => {
    const beyond = new Beyond([REASONS]);
    beyond.begin("left");
    beyond.goOn();
    assert.deepEqual(beyond.said, { reasons: [] });
  });

  it("hold the rater until there is one where they are required", () => {
    const beyond = new Beyond([{ ...REASONS, isRequired: true }]);
    beyond.begin("left");
    beyond.goOn();
    assert.equal(beyond.step.name, "reasons");
    beyond.take("text");
    assert.equal(beyond.mayGoOn, true);
    beyond.goOn();
    assert.deepEqual(beyond.said, { reasons: ["text"] });
  });
});
