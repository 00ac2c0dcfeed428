// Which pair is loaded when, and in which size: that which the window shows now, and another if it has changed by then.
import { loadPair } from "./images.js";

export class Loading {
  constructor(presenter, isPaired) {
    Object.assign(this, { presenter, isPaired, ahead: null });
  }

  // Load a pair while the server is asked which trials it issues.
  begin(trial) {
    if (!this.presenter.layout) return;
    this.load(trial);
    this.ahead = trial;
  }

  load(trial) {
    const { ahead } = this;
    trial.size = this.presenter.sizeOf(trial);
    trial.pair = ahead?.id === trial.id && ahead.size === trial.size ? ahead.pair : loadPair(trial, trial.size, this.isPaired);
    // Once alone: whoever loads a pair again wants other files.
    if (ahead?.id === trial.id) this.ahead = null;
  }
}
