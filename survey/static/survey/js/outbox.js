// Answers on their way to the server: written to the browser's database first, sent in order, removed once the server
// has confirmed them. A reload, a crash or a night without network loses nothing.
import { Offline, Refused } from "./net.js";

const STORE = "answers";

function request(action) {
  return new Promise((resolve, reject) => {
    action.onsuccess = () => resolve(action.result);
    action.onerror = () => reject(action.error);
  });
}

async function openDatabase() {
  const opening = indexedDB.open("blindpair", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { autoIncrement: true });
  return request(opening);
}

export class Outbox {
  // send(item) posts one item and returns the answer; on.{sent, refused, state} hear of what becomes of it.
  constructor(visit, send, on) {
    Object.assign(this, { visit, send, on, items: [], sending: false, wait: 1000, timer: 0, database: null });
    addEventListener("online", () => this.flush());
  }

  async open() {
    try {
      this.database = await openDatabase();
      const store = this.database.transaction(STORE).objectStore(STORE);
      const [ids, rows] = await Promise.all([request(store.getAllKeys()), request(store.getAll())]);
      this.items = rows.map((row, place) => ({ ...row, id: ids[place] })).filter((row) => row.visit === this.visit);
    } catch {
      this.database = null; // private windows of some browsers: the memory of this page has to do
    }
  }

  async add(item) {
    const entry = { ...item, visit: this.visit };
    this.items.push(entry);
    this.on.state("saving");
    try {
      const { ...row } = entry;
      const store = this.database?.transaction(STORE, "readwrite").objectStore(STORE);
      if (store) entry.id = await request(store.add(row));
    } catch {
      this.database = null;
    }
    this.flush();
  }

  async remove(entry) {
    this.items.splice(this.items.indexOf(entry), 1);
    if (entry.id === undefined || !this.database) return;
    await request(this.database.transaction(STORE, "readwrite").objectStore(STORE).delete(entry.id)).catch(() => {});
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
      this.wait = Math.min(2 * this.wait, 15000);
      this.timer = setTimeout(() => this.flush(), this.wait * (0.75 + Math.random() / 2));
    } finally {
      this.sending = false;
    }
  }

  // False when another tab has taken over: its answers go first, ours wait.
  async deliver(entry) {
    this.on.state(this.wait > 1000 ? "offline" : "saving");
    let answer;
    try {
      answer = await this.send(entry);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const isOurs = error.code !== "other_tab";
      if (isOurs) await this.remove(entry);
      this.on.refused(entry, error);
      return isOurs;
    }
    this.wait = 1000;
    await this.remove(entry);
    this.on.sent(entry, answer);
    return true;
  }
}
