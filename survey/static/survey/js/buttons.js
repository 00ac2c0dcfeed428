// The answers on the page: one row of buttons, or a row for each of several criteria, one of which is in focus.

const CHOICES = ["left", "tie", "right"];

export class Rows {
  // `page` holds the elements by their ids; `keys` are those of the rows that the page has: [""] where there is one alone.
  constructor(page, keys) {
    this.rows = keys.map((key) => this.row(page, key, key && `-${key}`));
    this.isOne = keys.length === 1 && !keys[0];
  }

  row(page, key, end) {
    const of = (name) => CHOICES.map((choice) => [choice, page[`${name}-${choice}${end}`]]).filter(([, one]) => one);
    const [buttons, captions, glyphs] = ["choose", "caption", "glyph"].map((name) => Object.fromEntries(of(name)));
    return { key, box: page[`choices${end}`], ask: page[`ask${end}`], buttons, captions, glyphs };
  }

  // {action, button, glyph, key} of every button.
  get buttons() {
    return this.rows.flatMap(({ key, buttons, glyphs }) =>
      Object.entries(buttons).map(([action, button]) => ({ action, button, glyph: glyphs[action], key })),
    );
  }

  // The elements that say what is asked, where each row has its own.
  get questions() {
    return this.rows.map(({ ask }) => ask.parentElement);
  }

  // The row of a criterion: the only one asks whatever the trial asks.
  of(key) {
    return this.isOne ? this.rows[0] : this.rows.find((row) => row.key === key);
  }

  enable(isOn) {
    for (const { button } of this.buttons) button.setAttribute("aria-disabled", String(!isOn));
  }

  arrange(isStacked, { left, right }) {
    for (const { box, captions } of this.rows) {
      box.classList.toggle("stacked", isStacked);
      if (captions.left.textContent !== left) captions.left.textContent = left;
      if (captions.right.textContent !== right) captions.right.textContent = right;
    }
  }

  // The questions of a trial, and which of them may be answered by a tie.
  ask(criteria, asking) {
    for (const { key, question } of criteria) {
      const { ask } = this.of(key);
      if (ask && ask.textContent !== question) ask.textContent = question;
    }
    if (this.isOne) {
      const { tie } = this.rows[0].buttons;
      if (tie) tie.hidden = !asking.has(asking.focused, "tie");
    }
    this.show(asking);
  }

  // What is chosen so far, and the row that keys answer.
  show({ chosen, focused, isSeveral }) {
    if (!isSeveral) return;
    for (const { key, box, buttons } of this.rows) {
      box.parentElement.toggleAttribute("data-focused", key === focused);
      for (const [choice, button] of Object.entries(buttons)) {
        button.setAttribute("aria-pressed", String(chosen.get(key) === choice));
      }
    }
  }

  focus(key) {
    this.of(key).box.focus({ preventScroll: true });
  }
}
