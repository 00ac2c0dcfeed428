// One showing of a pair, from the moment it was painted, and the answer that it gets.

const tenths = (ms) => Math.round(ms * 10) / 10;

export class Showing {
  // `now` and `hiddenMs` are read together: how long the page had been hidden by then.
  constructor(trial, now, hiddenMs) {
    Object.assign(this, { trial, paintedAt: now, hiddenMs, hurried: 0 });
  }

  // Milliseconds since the pair was painted, without those on a hidden page.
  exposure(now, hiddenMs) {
    return now - this.paintedAt - (hiddenMs - this.hiddenMs);
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
