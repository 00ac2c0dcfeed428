// Keys of the trial page: remappable, switchable off, deaf to auto-repeat, and a key must come up before it counts again.

const MAPS = {
  arrows: { ArrowLeft: "left", ArrowRight: "right", ArrowDown: "tie", KeyU: "undo", Backspace: "undo" },
  letters: { KeyF: "left", KeyJ: "right", Space: "tie", KeyU: "undo", Backspace: "undo" },
  off: {},
};
const STACKED = { ArrowUp: "left", ArrowDown: "right", ArrowRight: "tie", KeyU: "undo", Backspace: "undo" };
const MEMORY = "blindpair-keys";

export class Keys {
  // `isTaken` says of an event that something else on the page has a use for it.
  constructor(act, isDeaf, isTaken = () => false) {
    this.held = new Set();
    this.stacked = false;
    this.name = "arrows";
    try {
      this.name = localStorage.getItem(MEMORY) ?? "arrows";
    } catch {} // storage switched off
    addEventListener("keyup", (event) => this.held.delete(event.code));
    addEventListener("blur", () => this.held.clear());
    addEventListener("keydown", (event) => {
      const action = this.map[event.code];
      if (!action || isDeaf() || isTaken(event) || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.code === "Space" && event.target.closest?.("button, a, summary")) return;
      event.preventDefault();
      if (event.repeat || this.held.has(event.code)) return;
      this.held.add(event.code);
      act(action);
    });
  }

  mapOf(name) {
    return this.stacked && name === "arrows" ? STACKED : (MAPS[name] ?? MAPS.arrows);
  }

  get map() {
    return this.mapOf(this.name);
  }

  codes(action, map = this.map) {
    return Object.keys(map).filter((code) => map[code] === action);
  }

  choose(name) {
    this.name = name;
    try {
      localStorage.setItem(MEMORY, name);
    } catch {}
  }
}
