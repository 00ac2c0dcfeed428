// Times and facts that an answer carries.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Showing, verdict } from "../../survey/static/survey/js/answers.js";

const TRIAL = { id: "t1", practice: false };

describe("a showing", () => {
  it("counts no time on a hidden page as exposure", () => {
    const showing = new Showing(TRIAL, 1000, 200);
    assert.equal(showing.exposure(1500, 200), 500);
    assert.equal(showing.exposure(2500, 1200), 500);
  });

  it("goes on where it was when the pair has left the screen and comes back", () => {
    const showing = new Showing(TRIAL, 1000, 0);
    showing.leave(3000, 0);
    assert.equal(showing.exposure(4000, 0), 2000);
    showing.leave(4000, 0); // a window that changes twice
    showing.comeBack(5000, 100);
    assert.equal(showing.exposure(5500, 100), 2500);
    const vote = showing.vote({ key: "k", answers: [], now: 5500, hiddenMs: 100, presentation: {} });
    assert.deepEqual([vote.response_ms, vote.exposure_ms], [4500, 2500]);
    assert.ok(showing.isOpenTo({ id: "t1" }));
    assert.ok(!showing.isOpenTo({ id: "t2" }));
  });

  it("becomes an answer with its times in tenths of a millisecond", () => {
    const showing = new Showing(TRIAL, 1000.04, 0);
    showing.hurried = 2;
    const vote = showing.vote({ key: "k", answers: [{ criterion: "", choice: "tie" }], now: 2000.1, hiddenMs: 300.01, presentation: { input: "key" } });
    assert.deepEqual(vote, {
      trial: "t1",
      key: "k",
      answers: [{ criterion: "", choice: "tie" }],
      response_ms: 1000.1,
      exposure_ms: 700.1,
      presentation: { input: "key", hurried: 2 },
    });
  });
});

describe("practice", () => {
  it("says how it went, and nothing where nothing is right or wrong", () => {
    const stored = (choice) => ({ stored: { choice } });
    assert.equal(verdict({ correct: true, ...stored("left") }), "correct");
    assert.equal(verdict({ correct: false, ...stored("left") }), "wrong");
    assert.equal(verdict({ correct: false, ...stored("tie") }), "wrongTie");
    assert.equal(verdict(stored("left")), null);
  });
});
