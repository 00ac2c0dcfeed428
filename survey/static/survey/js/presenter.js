// What is on the screen: one card at a time, the pair with its answers, how far the visit is, what just happened.
import { cssSize, layoutOf } from "./geometry.js";
import { fill } from "./texts.js";

const $ = (id) => document.getElementById(id);
const CARDS = ["trial", "loading", "pause", "ready", "elsewhere", "narrow", "waiting", "sending"];
const TAKEN_MS = 180; // how long a chosen button stays marked

export class Presenter {
  constructor(setup, { buttons, pictures, keys, hints, zoom }) {
    Object.assign(this, { buttons, pictures, keys, hints, zoom, room: setup.room, mayStack: setup.stack, texts: setup.texts });
    this.practice = setup.practice;
    this.notice = ""; // what the next pair is shown with
  }

  card(name) {
    for (const one of CARDS) $(one).hidden = one !== name;
  }

  rest(card) {
    this.card(card);
    $(`${card}-end`).focus();
  }

  say(text) {
    $("announce").textContent = text;
  }

  note(text) {
    $("notice").textContent = text;
  }

  enable(isOn) {
    for (const button of this.buttons) button.setAttribute("aria-disabled", String(!isOn));
  }

  slow() {
    if ($("trial").hidden) this.card("loading");
    else this.note(this.texts.loading);
  }

  saving(state) {
    $("state").dataset.state = state;
    $("state").textContent = this.texts[state];
  }

  get savingState() {
    return $("state").dataset.state;
  }

  // --- the pair

  get layout() {
    return layoutOf(this.room, this.mayStack);
  }

  get isPairUp() {
    return !$("trial").hidden;
  }

  // True when the window has changed in a way that the pair on the screen does not follow.
  get isStale() {
    const { layout } = this;
    return !layout || (layout === "stack") !== this.keys.stacked || !this.pictures.isPlacedAt(cssSize(this.room));
  }

  // Both images at once, in the same frame. False when the window is too small for them.
  pair(trial, images, { mayUndo, progress }) {
    const { layout, texts } = this;
    if (!layout) return false;
    this.arrange(layout === "stack");
    const names = this.keys.stacked ? [texts.upper, texts.lower] : [texts.left, texts.right];
    this.pictures.place(images, { size: cssSize(this.room), names });
    this.zoom?.reset();
    $("question").textContent = trial.question;
    this.note(this.notice);
    this.notice = "";
    this.endFeedback();
    this.card("trial");
    this.progress(progress, trial);
    $("undo").setAttribute("aria-disabled", String(!mayUndo));
    const { activeElement } = document;
    if (!this.buttons.includes(activeElement) && activeElement !== $("undo")) $("question").focus({ preventScroll: true });
    this.say(`${$("count").textContent}. ${trial.question}`);
    return true;
  }

  arrange(isStacked) {
    const { texts } = this;
    $("pair").classList.toggle("stacked", isStacked);
    document.querySelector(".choices").classList.toggle("stacked", isStacked);
    this.keys.stacked = isStacked;
    const caption = (side, text) => ($(`choose-${side}`).querySelector(".caption").textContent = text);
    caption("left", isStacked ? texts.chooseUpper : texts.chooseLeft);
    caption("right", isStacked ? texts.chooseLower : texts.chooseRight);
    this.hints.show();
  }

  // How the pair stands on the screen, as stored with its answer.
  presentation(input) {
    const [width, height] = cssSize(this.room);
    const { stacked } = this.keys;
    const facts = { width_px: width, height_px: height, pixel_ratio: devicePixelRatio || 1, layout: stacked ? "stack" : "row", input };
    if (!this.zoom?.uses) return facts;
    return { ...facts, zoom: { uses: this.zoom.uses, largest: this.zoom.largest } };
  }

  // --- what happened

  chosen(choice) {
    const button = $(`choose-${choice}`);
    button.classList.add("taken");
    setTimeout(() => button.classList.remove("taken"), TAKEN_MS);
    this.enable(false);
    this.say(this.texts[{ left: "choseLeft", right: "choseRight", tie: "choseTie" }[choice]]);
    this.note("");
  }

  progress({ done, total, minutes }, trial) {
    $("progress").max = Math.max(1, total);
    $("progress").value = done;
    if (!trial) return;
    const { texts, practice } = this;
    $("count").textContent = trial.practice
      ? fill(texts.practice, { n: trial.number, total: practice })
      : fill(texts.trial, { n: Math.min(total, done + 1), total });
    $("minutes").textContent = trial.practice || minutes === null ? "" : fill(texts.minutes, { n: minutes });
  }

  feedback(name) {
    $("feedback").textContent = name ? this.texts[name] : "";
    $("answering").classList.add("over");
    $("continue").hidden = false;
    $("continue").focus();
  }

  endFeedback() {
    $("feedback").textContent = "";
    $("answering").classList.remove("over");
    $("continue").hidden = true;
  }
}
