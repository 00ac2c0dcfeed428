// One showing of a pair, from the moment it was painted, and the answer that it gets.

const tenths = (ms) => Math.round(ms * 10) / 10;

export class Showing {
  // `now` and `hiddenMs` are read together: how long the page had been hidden by then.
  constructor(trial, now, hiddenMs) {
    Object.assign(this, { trial, paintedAt: now, exposedMs: 0, isAnswered: false, hurried: 0 });
    this.comeBack(now, hiddenMs);
  }

  // The pair leaves the screen unanswered, as the phone is turned say, and is painted again: what it was seen for counts on.
  leave(now, hiddenMs) {
    this.exposedMs = this.exposure(now, hiddenMs);
    this.seenSince = null;
  }

  // Whether it is of this trial, and still to be answered.
  isOpenTo({ id }) {
    return this.trial.id === id && !this.isAnswered;
  }

  comeBack(now, hiddenMs) {
    Object.assign(this, { seenSince: now, hiddenMs });
  }

  // Milliseconds that the pair was on the screen, without those on a hidden page.
  exposure(now, hiddenMs) {
    if (this.seenSince === null) return this.exposedMs;
    return this.exposedMs + now - this.seenSince - (hiddenMs - this.hiddenMs);
  }

  // The answer as the server takes it; `presentation` says how the pair stood on the screen.
  vote({ key, answers, now, hiddenMs, presentation }) {
    return {
      trial: this.trial.id,
      key,
      answers,
      response_ms: tenths(now - this.paintedAt),
      exposure_ms: tenths(this.exposure(now, hiddenMs)),
      presentation: { ...presentation, hurried: this.hurried },
    };
  }
}

// What practice says of an answer: the name of a text, or null where there is nothing to say. Of several the server has
// stored, it names the choice that was judged.
export function verdict({ correct, stored }) {
  if (correct === undefined) return null;
  if (correct) return "correct";
  return stored.choice === "tie" ? "wrongTie" : "wrong";
}
