// What an answer over the network means: stored, refused by the server, or not heard by it.
import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { Offline, post, Refused } from "../../survey/static/survey/js/net.js";

const answer = (status, body) => new Response(body, { status });

async function posted(t, response) {
  t.mock.method(globalThis, "fetch", async () => response);
  return post("/vote/", {});
}

describe("an answer over the network", () => {
  it("is what the server says", async (t) => {
    assert.deepEqual(await posted(t, answer(200, '{"done": 1}')), { done: 1 });
  });

  it("is a refusal where the server names its reason", async (t) => {
    const refused = posted(t, answer(409, '{"error": {"code": "other_tab", "message": "Elsewhere."}}'));
    await assert.rejects(refused, (error) => error instanceof Refused && error.code === "other_tab" && error.status === 409);
  });

  for (const [status, body] of [[200, "<h1>Sign in to the hotel</h1>"], [403, "<h1>Blocked</h1>"], [404, ""], [407, '{"blocked": true}'], [502, "{}"], [429, '{"error": {"code": "throttled"}}']]) {
    it(`of status ${status} that the server did not decide is none: ${body}`, async (t) => {
      await assert.rejects(posted(t, answer(status, body)), Offline);
    });
  }
});
