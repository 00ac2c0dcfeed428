// Answers on their way to the server.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { within, TooLong } from "../../survey/static/survey/js/limits.js";
import { Offline, Refused } from "../../survey/static/survey/js/net.js";
import { Outbox } from "../../survey/static/survey/js/outbox.js";
import { Shelf } from "../../survey/static/survey/js/shelf.js";

globalThis.addEventListener ??= () => {};

// The browser's local storage, as far as a shelf asks of it.
class Storage extends Map {
  get length() {
    return this.size;
  }
  key(place) {
    return [...this.keys()][place];
  }
  getItem(name) {
    return this.get(name);
  }
  setItem(name, value) {
    this.set(name, value);
  }
  removeItem(name) {
    this.delete(name);
  }
}

const vote = (key) => ({ kind: "vote", body: { key, trial: `t-${key}` } });
const keys = (items) => items.map(({ body }) => body.key);
const refuse = () => {
  throw new Error("storage is blocked");
};

function outboxOf(shelf, send) {
  const heard = { states: [], sent: [], refused: [] };
  const outbox = new Outbox(shelf, send, {
    state: (name) => heard.states.push(name),
    sent: (item) => heard.sent.push(item.body.key),
    refused: (item, error) => heard.refused.push([item.body.key, error.code]),
  });
  return { outbox, heard };
}

const idle = async (outbox) => {
  do await new Promise(setImmediate);
  while (outbox.sending);
  clearTimeout(outbox.timer);
};

describe("the outbox", () => {
  it("sends in order and forgets what is confirmed", async () => {
    const storage = new Storage();
    const { outbox, heard } = outboxOf(new Shelf("v", () => storage), async () => ({}));
    for (const key of ["c", "a", "b"]) outbox.add(vote(key));
    await idle(outbox);
    assert.deepEqual(heard.sent, ["c", "a", "b"]);
    assert.equal(heard.states.at(-1), "saved");
    assert.equal(storage.size, 0);
  });

  it("sends at once, whatever the storage does", async () => {
    const { outbox, heard } = outboxOf(new Shelf("v", refuse), async () => ({}));
    outbox.add(vote("a"));
    await idle(outbox);
    assert.deepEqual(heard.sent, ["a"]);
  });

  it("keeps unsent answers for the next load of the page, in their order, apart from those of other visits", async () => {
    const storage = new Storage();
    const away = async () => {
      throw new Offline("away");
    };
    const { outbox, heard } = outboxOf(new Shelf("v", () => storage), away);
    for (const key of ["c", "a", "b"]) outbox.add(vote(key));
    await idle(outbox);
    assert.equal(heard.states.at(-1), "offline");
    new Shelf("w", () => storage).put(vote("z"));
    const later = outboxOf(new Shelf("v", () => storage), async () => ({}));
    assert.deepEqual(keys(later.outbox.items), ["c", "a", "b"]);
    await later.outbox.flush();
    assert.deepEqual(later.heard.sent, ["c", "a", "b"]);
    assert.deepEqual([...storage.keys()], ["blindpair-answer w z"]);
  });

  it("gives up what the server refuses, and holds all back while another tab votes", async () => {
    const codes = ["trial_closed", "other_tab"];
    const { outbox, heard } = outboxOf(new Shelf("v", refuse), async () => {
      throw new Refused(409, codes[heard.refused.length], "");
    });
    outbox.add(vote("a"));
    outbox.add(vote("b"));
    await idle(outbox);
    assert.deepEqual(heard.refused, [["a", "trial_closed"], ["b", "other_tab"]]);
    assert.deepEqual(keys(outbox.items), ["b"]);
  });
});

describe("a wait", () => {
  it("ends, with what comes in time or without", async () => {
    assert.equal(await within(1000, Promise.resolve(7)), 7);
    assert.equal(await within(1000, undefined), undefined);
    await assert.rejects(within(5, new Promise(() => {})), TooLong);
    await assert.rejects(within(1000, Promise.reject(new Offline("x"))), Offline);
  });
});
