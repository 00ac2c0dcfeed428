// What a study asks beyond the choice: steps with one answer or several, one after the other. No page in here: it knows
// what is still to be said of a choice, and what was said.

export class Beyond {
  // `steps` are {name, values, isSeveral, isRequired}.
  constructor(steps) {
    this.steps = steps;
    this.begin("tie");
  }

  // Who prefers neither is asked whether both are acceptable, and nothing else.
  begin(choice) {
    Object.assign(this, { choice, said: {} });
    this.left = this.steps.filter(({ name }) => choice !== "tie" || name === "acceptable");
  }

  // The present step; undefined once all is said.
  get step() {
    return this.left[0];
  }

  offers(value) {
    return Boolean(this.step?.values.includes(value)) && (this.choice !== "tie" || value !== "one");
  }

  has(value) {
    return Boolean(this.step?.isSeveral) && (this.said[this.step.name] ?? []).includes(value);
  }

  // Take an answer: the step is over, unless it takes several.
  take(value) {
    const { name, values, isSeveral } = this.step;
    if (!isSeveral) {
      this.said[name] = value === "one" ? this.choice : value;
      return void this.left.shift();
    }
    const now = new Set(this.said[name] ?? []);
    if (!now.delete(value)) now.add(value);
    this.said[name] = values.filter((one) => now.has(one)); // in the order of the plan, whatever that of the clicks
  }

  get mayGoOn() {
    const { name, isSeveral, isRequired } = this.step ?? {};
    return Boolean(isSeveral) && (!isRequired || Boolean(this.said[name]?.length));
  }

  goOn() {
    if (!this.mayGoOn) return;
    this.said[this.step.name] ??= [];
    this.left.shift();
  }
}
