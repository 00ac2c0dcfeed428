// What the present trial asks: one question, or several criteria that are answered one after the other in any order. No
// page in here: it knows what is asked, which criterion is in focus, and what was chosen.

export class Asking {
  // `criteria` are {key, ties} of the visit, in its order.
  constructor(criteria) {
    this.criteria = new Map(criteria.map((one) => [one.key, one]));
    this.ask([...this.criteria.keys()].slice(0, 1));
  }

  // Begin a trial, which asks these; afresh also where it was begun before.
  ask(keys) {
    this.keys = keys;
    this.chosen = new Map(); // choices by criterion, in the order in which they were made
    [this.focused] = keys;
  }

  get isSeveral() {
    return this.keys.length > 1;
  }

  get isComplete() {
    return this.keys.every((key) => this.chosen.has(key));
  }

  has(key, choice) {
    return this.keys.includes(key) && (choice !== "tie" || this.criteria.get(key).ties);
  }

  focus(key) {
    if (this.keys.includes(key)) this.focused = key;
  }

  // Take an answer, and move on to the next criterion without one: behind this one first.
  take(choice, key) {
    this.chosen.delete(key);
    this.chosen.set(key, choice);
    const place = this.keys.indexOf(key);
    const behind = [...this.keys.slice(place + 1), ...this.keys.slice(0, place)];
    this.focused = behind.find((one) => !this.chosen.has(one)) ?? key;
  }

  // Take back the last answer of a trial that is not complete; false where there is none.
  takeBack() {
    const last = [...this.chosen.keys()].pop();
    if (last === undefined) return false;
    this.chosen.delete(last);
    this.focused = last;
    return true;
  }

  get definition() {
    return this.criteria.get(this.focused).definition;
  }

  get answers() {
    return this.keys.map((criterion) => ({ criterion, choice: this.chosen.get(criterion) }));
  }
}

// The criteria that a trial asks; a study of one question has one without a key.
export const askedBy = ({ criteria }) => criteria?.map(({ key }) => key) ?? [""];
