// What is on the screen: one card at a time, the pair with its answers, how far the visit is, what just happened.
import { askedBy } from "./asking.js";
import { fitText } from "./fitting.js";
import { layoutOf, neededOf, shownOf, thisWindow } from "./geometry.js";
import { fill } from "./texts.js";

const CARDS = ["trial", "loading", "pause", "ready", "block", "elsewhere", "narrow", "waiting", "sending"];
const TAKEN_MS = 180; // how long a chosen button stays marked

// `page` holds the elements of the trial page by their ids, looked up once: what translations and extensions put around or
// between them later makes no difference. What is on the page is known here and never read off it.
export class Presenter {
  constructor(setup, { page, pictures, keys, hints, zoom, rows, asking, prompt }) {
    Object.assign(this, { page, pictures, keys, hints, zoom, rows, asking, prompt, room: setup.room, texts: setup.texts });
    Object.assign(this, { practice: setup.practice, criteria: setup.criteria, cards: CARDS.filter((name) => page[name]) });
    this.notice = ""; // what the next pair is shown with
    this.written = {}; // texts on the page by the ids of their elements
    this.shown = ""; // the card on the screen
    this.state = ""; // of saving
  }

  // Only what changes: a text written anew would be translated anew.
  write(id, text) {
    if (this.written[id] === text) return;
    this.written[id] = text;
    this.page[id].textContent = text;
  }

  card(name) {
    this.shown = name;
    for (const one of this.cards) this.page[one].hidden = one !== name;
  }

  rest(card) {
    this.card(card);
    this.page[`${card}-end`].focus();
  }

  // A new block of trials, which asks something else.
  announceBlock({ block, question }) {
    this.write("block-count", fill(this.texts.part, { n: block, total: this.criteria.length }));
    this.write("block-question", question);
    this.write("block-definition", this.criteria[block - 1].definition);
  }

  say(text) {
    this.write("announce", text);
  }

  note(text) {
    this.write("notice", text);
  }

  enable(isOn) {
    this.rows.enable(isOn);
  }

  enableUndo() {
    this.page.undo.setAttribute("aria-disabled", String(!this.mayUndo && !this.asking.chosen.size));
  }

  slow() {
    if (this.isPairUp) this.note(this.texts.loading);
    else this.card("loading");
  }

  saving(state) {
    this.state = state;
    this.page.state.dataset.state = state;
    this.write("state", this.texts[state]);
  }

  // --- the pair

  get layout() {
    return layoutOf(this.room);
  }

  // Which of a trial's sizes this window shows; the smallest where there is no room for any.
  sizeOf({ sizes }) {
    const { layout } = this;
    return layout ? shownOf(this.room, sizes, layout.box).index : sizes.length - 1;
  }

  get isPairUp() {
    return this.shown === "trial";
  }

  // True when the window has changed in a way that the pair on the screen does not follow.
  get isStale() {
    const { layout } = this;
    return !layout || !this.pictures.isPlacedAs(layout, thisWindow().ratio);
  }

  // Both images at once, in the same frame. False when the window is too small for them.
  pair(trial, images, { mayUndo, progress }) {
    const { layout, texts } = this;
    if (!layout) return false;
    this.arrange(layout.kind === "stack");
    const names = this.keys.stacked ? [texts.upper, texts.lower] : [texts.left, texts.right];
    names.push(texts.reference);
    this.zoom?.reset();
    this.ask(trial);
    this.prompt?.show(trial.prompt);
    this.note(this.notice);
    this.notice = "";
    this.endFeedback();
    this.card("trial");
    this.prompt?.settle();
    for (const text of this.asking.isSeveral ? this.rows.questions : [this.page.question]) fitText(text);
    this.progress(progress, trial);
    this.mayUndo = mayUndo;
    this.enableUndo();
    const own = [...this.rows.buttons.map(({ button }) => button), this.page.undo];
    if (this.asking.isSeveral) this.rows.focus(this.asking.focused);
    else if (!own.includes(document.activeElement)) this.page.question.focus({ preventScroll: true });
    this.pictures.place(images, this.placing(trial, layout), names); // last, when nothing moves any more
    this.say(`${this.written.count}. ${this.asking.isSeveral ? trial.criteria[0].question : trial.question}`);
    return true;
  }

  ask(trial) {
    // A pair that is shown again in another size keeps the answers that it has.
    if (trial !== this.asked || this.asking.isComplete) this.asking.ask(askedBy(trial));
    this.asked = trial;
    if (!this.asking.isSeveral) this.write("question", trial.question);
    this.rows.ask(this.asking.isSeveral ? trial.criteria : [], this.asking);
    if (this.page.define) this.page.define.hidden = !this.asking.definition;
  }

  placing({ sizes }, layout) {
    const { ratio } = thisWindow();
    const { index, multiple } = shownOf(this.room, sizes, layout.box, ratio);
    const rendition = sizes[index];
    const scale = (multiple * rendition[0]) / sizes[0][0];
    return { ...layout, ratio, rendition, scale, picture: rendition.map((side) => side * multiple) };
  }

  // What the card of a window that is too small says of it.
  tooSmall() {
    const { width, height } = thisWindow();
    const [wide, high] = neededOf(this.room);
    this.write("narrow-size", fill(this.texts.windowSize, { wide, high, width, height }));
    this.card("narrow");
  }

  arrange(isStacked) {
    this.page.pair.classList.toggle("stacked", isStacked);
    this.keys.stacked = isStacked;
    const captions = this.captions();
    this.rows.arrange(isStacked, captions);
    this.hints.show(captions);
  }

  // What the buttons are called in the present layout, by action.
  captions() {
    const { chooseUpper, chooseLower, chooseLeft, chooseRight, chooseTie, takeBack } = this.texts;
    const [left, right] = this.keys.stacked ? [chooseUpper, chooseLower] : [chooseLeft, chooseRight];
    return { left, right, tie: chooseTie, undo: takeBack };
  }

  // How the pair stands on the screen, as stored with its answer.
  presentation(input) {
    const { kind, box, ratio, rendition, scale, picture } = this.pictures.placed;
    const [width, height] = picture.map((side) => side / ratio);
    const facts = { width_px: width, height_px: height, pixel_ratio: ratio, layout: kind, rendition, box, scale, input };
    if (!this.zoom?.uses) return facts;
    return { ...facts, zoom: { uses: this.zoom.uses, largest: this.zoom.largest } };
  }

  // --- what happened

  chosen(choice, key) {
    const button = this.rows.of(key).buttons[choice];
    button.classList.add("taken");
    setTimeout(() => button.classList.remove("taken"), TAKEN_MS);
    this.rows.show(this.asking);
    this.enableUndo();
    if (this.asking.isComplete) this.enable(false);
    else this.rows.focus(this.asking.focused);
    this.say(this.texts[{ left: "choseLeft", right: "choseRight", tie: "choseTie" }[choice]]);
    this.note("");
  }

  // One answer of a trial that has not all of them yet.
  tookBack() {
    this.enable(true);
    this.rows.show(this.asking);
    this.enableUndo();
    this.rows.focus(this.asking.focused);
    this.note(this.texts.undone);
  }

  progress({ done, total, minutes }, trial) {
    this.page.progress.max = Math.max(1, total);
    this.page.progress.value = done;
    if (!trial) return;
    const { texts, practice } = this;
    const count = trial.practice
      ? fill(texts.practice, { n: trial.number, total: practice })
      : fill(texts.trial, { n: Math.min(total, done + 1), total });
    this.write("count", count);
    this.write("minutes", trial.practice || minutes === null ? "" : fill(texts.minutes, { n: minutes }));
  }

  feedback(name) {
    this.write("feedback", name ? this.texts[name] : "");
    this.page.answering.classList.add("over");
    this.page.continue.hidden = false;
    this.page.continue.focus();
  }

  endFeedback() {
    this.write("feedback", "");
    this.page.answering.classList.remove("over");
    this.page.continue.hidden = true;
  }
}
