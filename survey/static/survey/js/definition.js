// What a criterion means, over the trials, when asked for.
import { Help } from "./help.js";

export class Definition {
  constructor(page, criteria, asking) {
    Object.assign(this, { page, asking, of: new Map(criteria.map((one) => [one.key, one.definition])) });
    const openers = [...document.querySelectorAll(".define")];
    this.box = new Help({ dialog: page.definition, title: page["definition-title"], openers, closer: page["definition-close"] });
    for (const opener of openers) opener.addEventListener("click", () => this.fill(opener.dataset.define ?? asking.focused));
  }

  get isOpen() {
    return this.box.isOpen;
  }

  fill(key) {
    this.page["definition-title"].textContent = (this.page[`ask-${key}`] ?? this.page.question).textContent;
    this.page["definition-text"].textContent = this.of.get(key);
  }
}
