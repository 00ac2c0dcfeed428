// Which key means what.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Keys } from "../../survey/static/survey/js/keys.js";

// A page that hears keys, and what they did.
function keyboard(t, { isDeaf = () => false } = {}) {
  const heard = {};
  const acts = [];
  t.mock.method(globalThis, "addEventListener", (kind, act) => (heard[kind] = act));
  const keys = new Keys((action) => acts.push(action), isDeaf);
  const press = (code, more = {}) => heard.keydown({ code, target: {}, preventDefault() {}, ...more });
  return { keys, acts, press, release: (code) => heard.keyup({ code }) };
}

globalThis.addEventListener ??= () => {};

describe("keys", () => {
  it("follow the layout", (t) => {
    const { keys, acts, press, release } = keyboard(t);
    press("ArrowRight");
    release("ArrowRight");
    keys.stacked = true;
    press("ArrowRight");
    press("ArrowDown");
    assert.deepEqual(acts, ["right", "tie", "right"]);
  });

  it("count once until they come up again", (t) => {
    const { acts, press, release } = keyboard(t);
    press("ArrowLeft");
    press("ArrowLeft");
    press("ArrowLeft", { repeat: true });
    release("ArrowLeft");
    press("ArrowLeft");
    assert.deepEqual(acts, ["left", "left"]);
  });

  it("leave the browser's own shortcuts, and everything while nobody listens", (t) => {
    const { acts, press } = keyboard(t);
    press("ArrowLeft", { altKey: true });
    press("KeyR", { ctrlKey: true });
    const deaf = keyboard(t, { isDeaf: () => true });
    deaf.press("ArrowLeft");
    assert.deepEqual([...acts, ...deaf.acts], []);
  });

  it("can be changed and switched off, also where the browser stores nothing", (t) => {
    const { keys, acts, press } = keyboard(t);
    keys.choose("letters");
    press("ArrowLeft");
    press("KeyF");
    keys.choose("off");
    press("KeyJ");
    assert.deepEqual(acts, ["left"]);
    assert.deepEqual(keys.codes("left"), []);
  });
});
