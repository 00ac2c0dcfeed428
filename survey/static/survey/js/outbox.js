// Answers on their way to the server: sent in order, kept beside until the server has confirmed them. A reload, a crash or
// a night without network loses nothing, and nothing that the browser keeps or fails to keep holds an answer back.
import { Offline, Refused } from "./net.js";

const SHORTEST_MS = 1000;
const LONGEST_MS = 15000;

export class Outbox {
  // send(item) posts one item and returns the answer; on.{sent, refused, state} hear of what becomes of it.
  constructor(shelf, send, on) {
    Object.assign(this, { shelf, send, on, items: shelf.all(), sending: false, wait: SHORTEST_MS, timer: 0 });
    addEventListener("online", () => this.flush());
  }

  add(item) {
    const order = (this.items[this.items.length - 1]?.order ?? 0) + 1;
    const entry = { ...item, order };
    this.items.push(entry);
    this.shelf.put(entry);
    this.on.state("saving");
    this.flush();
  }

  remove(entry) {
    this.items.splice(this.items.indexOf(entry), 1);
    this.shelf.drop(entry);
  }

  async flush() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.timer);
    try {
      while (this.items.length) if (!(await this.deliver(this.items[0]))) return;
      this.on.state("saved");
    } catch (error) {
      if (!(error instanceof Offline)) throw error;
      this.on.state("offline");
      this.wait = Math.min(2 * this.wait, LONGEST_MS);
      this.timer = setTimeout(() => this.flush(), this.wait * (0.75 + Math.random() / 2));
    } finally {
      this.sending = false;
    }
  }

  // False when another tab has taken over: its answers go first, ours wait.
  async deliver(entry) {
    this.on.state(this.wait > SHORTEST_MS ? "offline" : "saving");
    let answer;
    try {
      answer = await this.send(entry);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const isOurs = error.code !== "other_tab";
      if (isOurs) this.remove(entry);
      this.on.refused(entry, error);
      return isOurs;
    }
    this.wait = SHORTEST_MS;
    this.remove(entry);
    this.on.sent(entry, answer);
    return true;
  }
}
