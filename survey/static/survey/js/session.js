// What the page knows of a visit: the trials that the server has issued, which of them are answered here, and what comes
// next. No page, no clock and no network in here: everything else asks this one.

const BACKLOG = 3; // answers that may wait unsent before no further pair comes
const FEWEST_TO_EXTRAPOLATE = 5; // answers before the page says how many minutes are left

export class Session {
  constructor({ practice, breakEvery }) {
    this.practice = practice;
    this.breakEvery = breakEvery;
    this.known = new Map(); // trials that the server has issued, by id
    this.answered = new Set(); // ids of those answered here, confirmed or not
    this.breaks = new Set(); // numbers before which a break was shown
    this.block = 1; // the one that was announced last, where criteria come in blocks
    this.last = null; // the trial that undo takes back
    this.answeredHere = 0; // main trials since this page was loaded
    this.server = { done: 0, total: 0, isEmpty: false };
  }

  // Take in what the server says; return the trials that are news.
  take({ done, total, trials }) {
    this.server = { done, total, isEmpty: trials.length === 0 };
    const news = trials.filter(({ id }) => !this.known.has(id) && !this.answered.has(id));
    for (const trial of news) this.known.set(trial.id, trial);
    return news;
  }

  // Answers that an earlier load of this page has not sent yet are answers all the same.
  resume(unsent) {
    const votes = [];
    for (const { kind, body } of unsent) kind === "vote" ? votes.push(body.trial) : votes.pop();
    for (const id of votes) this.answered.add(id);
  }

  forgetIssued() {
    this.known.clear();
  }

  // Repeats of a faulty pair are set aside with it: what the server no longer lists is not shown.
  keepOnly(trials) {
    const open = new Set(trials.map(({ id }) => id));
    for (const id of this.known.keys()) if (!open.has(id)) this.known.delete(id);
  }

  upcoming() {
    return [...this.known.values()]
      .filter(({ id }) => !this.answered.has(id))
      .sort((one, other) => other.practice - one.practice || one.number - other.number);
  }

  // What the page is to do now: {do: "present", trial}, {do: "rest", card}, {do: "wait", isLast}, {do: "refresh"} or {do: "finish"}.
  step(unsent) {
    const [trial] = this.upcoming();
    if (!trial && !unsent.length) return { do: this.server.isEmpty ? "finish" : "refresh" };
    if (!trial || unsent.length > BACKLOG) return { do: "wait", isLast: this.done(unsent) >= this.server.total };
    const card = this.restBefore(trial);
    if (!card) return { do: "present", trial };
    this.breaks.add(trial.number);
    if (card !== "block") return { do: "rest", card };
    this.block = trial.block;
    return { do: "rest", card, trial };
  }

  restBefore({ practice, number, block }) {
    if (block && block !== this.block && !practice) return "block";
    if (practice || this.breaks.has(number)) return null;
    if (number === 1) return this.practice ? "ready" : null;
    const left = this.server.total - this.server.done;
    const isDue = (number - 1) % this.breakEvery === 0 && left > this.breakEvery / 4;
    return isDue && this.answeredHere ? "pause" : null;
  }

  answer(trial) {
    this.answered.add(trial.id);
    this.last = trial.practice ? null : trial;
    if (!trial.practice) this.answeredHere += 1;
    for (const id of this.known.keys()) if (this.answered.has(id) && id !== this.last?.id) this.known.delete(id);
  }

  // Return the trial whose answer is taken back, null when there is none.
  takeBack() {
    const trial = this.last;
    if (!trial) return null;
    this.last = null;
    this.answered.delete(trial.id);
    this.known.set(trial.id, trial);
    this.answeredHere = Math.max(0, this.answeredHere - 1);
    return trial;
  }

  // Main trials answered, those still on their way included.
  done(unsent) {
    const count = (wanted) => unsent.filter(({ kind, practice }) => kind === wanted && !practice).length;
    return Math.max(0, Math.min(this.server.total, this.server.done + count("vote") - count("undo")));
  }

  // At the pace since `elapsedMs` ago; null while that would be a guess.
  minutesLeft(elapsedMs, unsent) {
    if (this.answeredHere < FEWEST_TO_EXTRAPOLATE) return null;
    const leftMs = (elapsedMs / this.answeredHere) * (this.server.total - this.done(unsent));
    return Math.max(1, Math.round(leftMs / 60000));
  }

  // What the bar says.
  progress(elapsedMs, unsent) {
    return { done: this.done(unsent), total: this.server.total, minutes: this.minutesLeft(elapsedMs, unsent) };
  }
}
