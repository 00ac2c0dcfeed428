// What comes next in a visit, whatever the server, the network and the rater did before.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Session } from "../../survey/static/survey/js/session.js";

const trial = (number, { practice = false } = {}) => ({ id: `${practice ? "p" : "t"}${number}`, number, practice });
const vote = ({ id, practice }) => ({ kind: "vote", practice, body: { trial: id } });
const UNDO = { kind: "undo", body: {} };

function sessionOf(trials, { done = 0, total = 100, practice = 0, breakEvery = 40 } = {}) {
  const session = new Session({ practice, breakEvery });
  session.take({ done, total, trials });
  return session;
}

describe("the next step", () => {
  it("shows practice first, then main trials in their order", () => {
    const session = sessionOf([trial(2), trial(1), trial(1, { practice: true })]);
    assert.deepEqual(session.upcoming().map(({ id }) => id), ["p1", "t1", "t2"]);
    assert.equal(session.step([]).trial.id, "p1");
  });

  it("announces the end of practice once", () => {
    const session = sessionOf([trial(1)], { practice: 2 });
    assert.deepEqual(session.step([]), { do: "rest", card: "ready" });
    assert.equal(session.step([]).do, "present");
  });

  it("rests where the study wants it, but not right after a reload and not just before the end", () => {
    const due = trial(41);
    const session = sessionOf([due]);
    assert.equal(session.step([]).do, "present");
    session.answeredHere = 3;
    assert.deepEqual(session.step([]), { do: "rest", card: "pause" });
    assert.equal(session.step([]).do, "present");
    const ending = sessionOf([due], { done: 40, total: 50 });
    ending.answeredHere = 3;
    assert.equal(ending.step([]).do, "present");
  });

  it("announces a block that asks something else, and again after a reload", () => {
    const inBlock = (number, block) => ({ ...trial(number), block });
    const session = sessionOf([inBlock(1, 1), inBlock(2, 2), inBlock(3, 2)]);
    assert.equal(session.step([]).do, "present");
    session.answer(inBlock(1, 1));
    assert.deepEqual(session.step([]), { do: "rest", card: "block", trial: inBlock(2, 2) });
    assert.equal(session.step([]).do, "present");
    session.answer(inBlock(2, 2));
    assert.equal(session.step([]).do, "present");
    assert.equal(sessionOf([inBlock(3, 2)]).step([]).card, "block");
  });

  it("waits while too many answers are unsent, and says when they are the last", () => {
    const trials = [1, 2, 3, 4, 5].map((number) => trial(number));
    const session = sessionOf(trials, { total: 5 });
    const unsent = trials.slice(0, 4).map(vote);
    for (const one of trials.slice(0, 4)) session.answer(one);
    assert.deepEqual(session.step(unsent), { do: "wait", isLast: false });
    assert.equal(session.step(unsent.slice(1)).do, "present");
    session.answer(trials[4]);
    assert.deepEqual(session.step([...unsent, vote(trials[4])]), { do: "wait", isLast: true });
  });

  it("asks for more when it knows no trial, and finishes when the server has none either", () => {
    const session = sessionOf([trial(1)]);
    session.answer(trial(1));
    assert.deepEqual(session.step([]), { do: "refresh" });
    session.take({ done: 1, total: 1, trials: [] });
    assert.deepEqual(session.step([vote(trial(1))]), { do: "wait", isLast: true });
    assert.deepEqual(session.step([]), { do: "finish" });
  });
});

describe("what the server says", () => {
  it("is news once, and never brings back what is answered here", () => {
    const session = sessionOf([trial(1), trial(2)]);
    session.answer(trial(1));
    const news = session.take({ done: 0, total: 3, trials: [trial(1), trial(2), trial(3)] });
    assert.deepEqual(news, [trial(3)]);
  });

  it("sets the repeats of a faulty pair aside", () => {
    const session = sessionOf([trial(1), trial(2), trial(3)]);
    session.keepOnly([trial(2)]);
    assert.deepEqual(session.upcoming(), [trial(2)]);
  });
});

describe("undo", () => {
  it("shows the last main trial again, once", () => {
    const session = sessionOf([trial(1), trial(2)]);
    session.answer(trial(1));
    assert.deepEqual(session.takeBack(), trial(1));
    assert.equal(session.step([]).trial.id, "t1");
    assert.equal(session.takeBack(), null);
  });

  it("takes back no practice", () => {
    const practice = trial(1, { practice: true });
    const session = sessionOf([practice, trial(1)]);
    session.answer(practice);
    assert.equal(session.takeBack(), null);
  });

  it("holds for answers that an earlier load of the page left unsent", () => {
    const session = sessionOf([trial(1), trial(2), trial(3)]);
    session.resume([vote(trial(1)), vote(trial(2)), UNDO]);
    assert.deepEqual(session.upcoming().map(({ id }) => id), ["t2", "t3"]);
  });
});

describe("progress", () => {
  it("counts answers on their way, without practice and without what was taken back", () => {
    const session = sessionOf([], { done: 3, total: 5 });
    assert.equal(session.done([vote(trial(4)), vote(trial(1, { practice: true }))]), 4);
    assert.equal(session.done([vote(trial(4)), UNDO]), 3);
    assert.equal(session.done([1, 2, 3].map((number) => vote(trial(number)))), 5);
    assert.equal(sessionOf([], { done: 0 }).done([UNDO]), 0);
  });

  it("tells the minutes left from the pace so far, once there is one", () => {
    const session = sessionOf([], { done: 10, total: 40 });
    session.answeredHere = 4;
    assert.equal(session.minutesLeft(60_000, []), null);
    session.answeredHere = 10;
    assert.equal(session.minutesLeft(100_000, []), 5);
    assert.equal(session.minutesLeft(10, []), 1);
  });
});
