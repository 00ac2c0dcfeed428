// Where unsent answers outlive a reload: the browser's local storage, an entry an answer. It answers at once or refuses at
// once, where the browser's database may never answer. Refused, the memory of this page has to do.

const PREFIX = "blindpair-answer";

export class Shelf {
  constructor(visit, storage = () => localStorage) {
    Object.assign(this, { prefix: `${PREFIX} ${visit} `, storage });
  }

  put(item) {
    try {
      this.storage().setItem(this.prefix + item.body.key, JSON.stringify(item));
    } catch {} // switched off, or full
  }

  drop(item) {
    try {
      this.storage().removeItem(this.prefix + item.body.key);
    } catch {}
  }

  // In the order in which they were given.
  all() {
    try {
      const storage = this.storage();
      const names = Array.from({ length: storage.length }, (_, place) => storage.key(place));
      const ours = names.filter((name) => name.startsWith(this.prefix));
      return ours.map((name) => JSON.parse(storage.getItem(name))).sort((one, other) => one.order - other.order);
    } catch {
      return [];
    }
  }
}
