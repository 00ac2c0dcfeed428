// The prompt above a pair: in a box of one height in every trial, scrolled by touch, by wheel and by keys.

const PAGES = { PageDown: 1, PageUp: -1 };
const SCROLLING = new Set(["ArrowUp", "ArrowDown", "Space", "Home", "End"]);

export class Prompt {
  constructor(box, text, isDeaf) {
    Object.assign(this, { box, text });
    addEventListener("keydown", (event) => {
      const pages = PAGES[event.code];
      if (!pages || isDeaf() || !this.isLong || event.ctrlKey || event.metaKey || event.altKey) return;
      event.preventDefault();
      // A line of the last page stays in sight.
      box.scrollBy({ top: pages * (box.clientHeight - 20) });
    });
  }

  show(text) {
    this.box.classList.toggle("empty", !text);
    if (this.text.textContent !== text) this.text.textContent = text;
  }

  // Once it is laid out: a box that has nothing to scroll is no stop of the tab key.
  settle() {
    this.box.hidden = true; // ends a scroll that a key began and that would run on
    this.box.getBoundingClientRect();
    this.box.hidden = false;
    this.box.scrollTop = 0;
    this.isLong = this.box.scrollHeight > this.box.clientHeight;
    this.box.classList.toggle("long", this.isLong);
    if (this.isLong) this.box.tabIndex = 0;
    else this.box.removeAttribute("tabindex");
  }

  // With the focus in it, these keys scroll and do not answer.
  takes({ code, target }) {
    return this.isLong && target === this.box && SCROLLING.has(code);
  }
}
