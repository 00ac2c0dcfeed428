// The steps that follow a choice, in the room of the answers: shown one after the other, by buttons and number keys. The
// pair stays where it is, and nothing is sent before the last step.

const DIGIT = /^(?:Digit|Numpad)(\d)$/;
const BACK = new Set(["KeyU", "Backspace"]);

export class Panel {
  // `isDeaf` says when keys are for somebody else.
  constructor(page, beyond, isDeaf) {
    Object.assign(this, { answering: page.answering, beyond, isDeaf, isOpen: false });
    this.steps = beyond.steps.map(({ name, values }) => this.lookUp(page[`follow-${name}`], name, values));
    addEventListener("keydown", (event) => this.key(event));
  }

  lookUp(box, name, values) {
    const buttons = [...box.querySelectorAll("[data-value]")].map((button, place) => ({ button, value: values[place] }));
    const [ask, chosen, back, on] = ["[data-ask]", "[data-chosen]", "[data-back]", "[data-on]"].map((one) => box.querySelector(one));
    for (const { button, value } of buttons) button.addEventListener("click", () => this.take(value));
    back.addEventListener("click", () => this.back());
    on?.addEventListener("click", () => this.goOn());
    return { box, name, buttons, ask, chosen, on };
  }

  // Ask what follows a choice; `caption` is what its button says. Calls `done` with what was said, or `onBack`.
  ask(choice, caption, done, onBack) {
    Object.assign(this, { caption, done, onBack, isOpen: true });
    this.beyond.begin(choice);
    this.show();
  }

  close() {
    this.isOpen = false;
    this.answering.classList.remove("over");
    for (const { box } of this.steps) box.classList.remove("on");
  }

  show() {
    const { step } = this.beyond;
    if (!step) return this.finish();
    this.answering.classList.add("over");
    for (const one of this.steps) one.box.classList.toggle("on", one.name === step.name);
    this.shown = this.steps.find(({ name }) => name === step.name);
    this.shown.chosen.textContent = this.caption;
    this.mark();
    this.shown.ask.focus({ preventScroll: true });
  }

  mark() {
    const { buttons, on } = this.shown;
    for (const { button, value } of buttons) {
      button.hidden = !this.beyond.offers(value);
      if (on) button.setAttribute("aria-pressed", String(this.beyond.has(value)));
    }
    on?.setAttribute("aria-disabled", String(!this.beyond.mayGoOn));
  }

  take(value) {
    if (!this.isOpen || !this.beyond.offers(value)) return;
    const { step } = this.beyond;
    this.beyond.take(value);
    if (this.beyond.step === step) this.mark();
    else this.show();
  }

  goOn() {
    if (!this.isOpen || !this.beyond.mayGoOn) return;
    this.beyond.goOn();
    this.show();
  }

  finish() {
    this.close();
    this.done(this.beyond.said);
  }

  back() {
    if (!this.isOpen) return;
    this.close();
    this.onBack();
  }

  key(event) {
    if (!this.isOpen || this.isDeaf() || event.ctrlKey || event.metaKey || event.altKey) return;
    const [, digit] = DIGIT.exec(event.code) ?? [];
    const isBack = BACK.has(event.code);
    if (digit === undefined && !isBack) return;
    event.preventDefault();
    if (event.repeat) return;
    if (isBack) return this.back();
    if (digit === "0") return this.goOn();
    const chosen = this.shown.buttons[Number(digit) - 1];
    if (chosen) this.take(chosen.value);
  }
}
