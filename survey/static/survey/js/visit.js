// The course of the trials: what the rater, the server, the network and the window do to a visit, in which order.
import { Showing, verdict } from "./answers.js";
import { postForm } from "./forms.js";
import { Loading } from "./loading.js";
import { pause } from "./limits.js";
import { newKey, Offline, post, Refused } from "./net.js";
import { Outbox } from "./outbox.js";
import { Shelf } from "./shelf.js";
import { openChannel } from "./tabs.js";

const SLOW_MS = 300; // before the page says that it is loading
const FAULT_RETRY_MS = 3000;
const UNDOABLE = new Set(["shown", "loading", "waiting", "break"]);

export class Visit {
  constructor(setup, { session, presenter, asking, panel, watch, tab }) {
    Object.assign(this, { setup, session, presenter, asking, panel, watch, tab });
    this.phase = "loading";
    this.showing = null;
    this.run = 0; // which presentation is the present one: what an earlier one waited for comes to nothing
    this.loading = new Loading(presenter, setup.pairs);
    this.stale = this.wantedAt = 0; // how often fresh addresses were asked for; since when a pair is waited for
    this.startedAt = performance.now();
    this.outbox = new Outbox(new Shelf(setup.urls.vote), (item) => this.deliver(item), {
      state: (name) => this.savingIs(name),
      sent: (item, answer) => this.sent(item, answer),
      refused: (item, error) => this.refused(item, error),
    });
    this.channel = openChannel(setup.urls.window, tab, () => this.elsewhere());
  }

  async start() {
    this.session.resume(this.outbox.items);
    const { first } = this.setup;
    if (first && !this.session.answered.has(first.id)) this.loading.begin(first);
    await this.refresh();
    this.outbox.flush();
  }

  // --- saving

  deliver({ kind, body }) {
    return post(kind === "undo" ? this.setup.urls.undo : this.setup.urls.vote, { ...body, tab: this.tab });
  }

  savingIs(name) {
    if (this.presenter.state === name) return;
    this.presenter.saving(name);
    if (this.phase === "feedback") this.presenter.note(name === "offline" ? this.setup.texts.waiting : "");
  }

  sent({ kind, body }, answer) {
    this.take(answer);
    const isShown = kind === "vote" && body.trial === this.showing?.trial.id;
    if (this.phase === "feedback" && isShown) this.presenter.feedback(verdict(answer));
    if (this.phase === "waiting") this.next();
    this.watch.send();
  }

  refused({ kind, body }, error) {
    if (error.code === "other_tab") return this.elsewhere();
    if (error.code === "session_not_active") return location.reload();
    if (kind === "undo") this.presenter.say(this.setup.texts.nothingToUndo);
    this.session.answered.delete(body.trial);
    this.refresh();
  }

  take(answer) {
    for (const trial of this.session.take(answer)) this.loading.load(trial);
    this.presenter.progress(this.progress(), this.showing?.trial);
  }

  progress() {
    return this.session.progress(performance.now() - this.startedAt, this.outbox.items);
  }

  // Become the tab that votes, and learn afresh what is to be shown.
  async refresh() {
    for (let wait = 1000; ; wait = Math.min(2 * wait, 15000)) {
      try {
        const answer = await post(this.setup.urls.window, { tab: this.tab });
        this.session.forgetIssued();
        this.take(answer);
        this.channel?.postMessage(this.tab);
        return this.next();
      } catch (error) {
        if (error instanceof Refused) return location.reload();
        if (!(error instanceof Offline)) throw error;
        this.savingIs("offline");
        await pause(wait);
      }
    }
  }

  elsewhere() {
    this.phase = "elsewhere";
    this.panel?.close();
    this.presenter.card("elsewhere");
  }

  takeOver() {
    this.phase = "loading";
    this.refresh().then(() => this.outbox.flush());
  }

  // --- showing

  next() {
    if (this.phase === "elsewhere") return;
    const step = this.session.step(this.outbox.items);
    if (step.do === "present") return this.present(step.trial);
    if (step.do === "rest") {
      this.phase = "break";
      if (step.card === "block") this.presenter.announceBlock(step.trial);
      return this.presenter.rest(step.card);
    }
    this.phase = "waiting";
    this.showing = null;
    if (step.do === "finish") return this.finish();
    if (step.do === "refresh") return this.refresh();
    return this.presenter.card(step.isLast ? "sending" : "waiting");
  }

  endRest(card) {
    this.wantedAt = performance.now();
    if (card === "ready") this.startedAt = this.wantedAt;
    this.phase = "loading";
    this.next();
  }

  endFeedback() {
    this.presenter.page.continue.hidden = true;
    this.wantedAt = performance.now();
    this.next();
  }

  async present(trial) {
    const mine = (this.run += 1);
    this.phase = "loading";
    this.panel?.close();
    this.presenter.enable(false);
    const now = performance.now();
    this.showing?.leave(now, this.watch.hiddenBy(now));
    if (!this.presenter.layout) return this.tooSmall();
    if (trial.size !== this.presenter.sizeOf(trial)) this.loading.load(trial);
    const slow = setTimeout(() => this.presenter.slow(), SLOW_MS);
    let images;
    try {
      images = await trial.pair;
    } catch {
      return mine === this.run && this.broken(trial);
    } finally {
      clearTimeout(slow);
    }
    if (mine !== this.run) return;
    if (trial.size !== this.presenter.sizeOf(trial)) return this.present(trial);
    this.stale = 0;
    const shown = { mayUndo: Boolean(this.session.last), progress: this.progress() };
    if (!this.presenter.pair(trial, images, shown)) return this.tooSmall();
    // The second frame comes after the first was painted: from there on the pair is seen.
    requestAnimationFrame(() => requestAnimationFrame(() => mine === this.run && this.painted(trial)));
  }

  painted(trial) {
    const now = performance.now();
    this.waitedMs = Math.round(now - this.wantedAt);
    const hiddenMs = this.watch.hiddenBy(now);
    if (this.showing?.isOpenTo(trial)) this.showing.comeBack(now, hiddenMs);
    else {
      this.showing = new Showing(trial, now, hiddenMs);
      this.watch.forgetPinch();
    }
    this.phase = "shown";
    this.ripen(this.run);
  }

  exposure(now = performance.now()) {
    return this.showing.exposure(now, this.watch.hiddenBy(now));
  }

  ripen(mine) {
    if (mine !== this.run || this.phase !== "shown") return;
    const left = this.setup.minimumExposureMs - this.exposure();
    if (left > 0) setTimeout(() => this.ripen(mine), left);
    else this.presenter.enable(true);
  }

  tooSmall() {
    this.phase = "narrow";
    this.presenter.tooSmall();
  }

  resized() {
    const isUp = ["shown", "loading", "beyond"].includes(this.phase) && this.showing && this.presenter.isPairUp;
    if (isUp && this.presenter.isStale) this.present(this.showing.trial);
    else if (this.phase === "narrow" && this.presenter.layout) this.next();
    else if (this.presenter.isPairUp) this.presenter.pictures.snap();
  }

  // A pair that does not load: ask for fresh addresses once, then set it aside for another. Never an answer.
  async broken(trial) {
    this.stale += 1;
    if (this.stale === 1) return this.refresh();
    this.stale = 0;
    await this.report(trial, "image", "load");
  }

  async report(trial, kind, detail) {
    this.run += 1;
    this.phase = "loading";
    this.presenter.enable(false);
    try {
      const answer = await post(this.setup.urls.fault, { tab: this.tab, trial: trial.id, kind, detail });
      this.session.answered.add(trial.id);
      this.take(answer);
      this.session.keepOnly(answer.trials);
      this.presenter.notice = this.setup.texts.replaced;
      this.next();
    } catch (error) {
      if (error instanceof Refused) return error.code === "other_tab" ? this.elsewhere() : location.reload();
      this.savingIs("offline");
      await pause(FAULT_RETRY_MS);
      this.refresh();
    }
  }

  reportDisplay() {
    if (this.phase === "shown") this.report(this.showing.trial, "display", "reported by the rater");
  }

  // --- answering

  // Of several criteria an answer is that to the one in focus, unless it names another.
  answer(choice, input, key = this.asking.focused) {
    if (this.phase !== "shown" || !this.asking.has(key, choice)) return;
    const now = performance.now();
    if (this.exposure(now) < this.setup.minimumExposureMs) return void (this.showing.hurried += 1);
    this.asking.take(choice, key);
    this.presenter.chosen(choice, key);
    if (this.asking.isComplete) this.follow(choice, this.body(now, input), now);
  }

  focus(key) {
    this.asking.focus(key);
    this.presenter.rows.show(this.asking);
  }

  body(now, input) {
    const { answers } = this.asking;
    const presentation = { ...this.presenter.presentation(input), waited_ms: this.waitedMs, ...this.watch.pinched() };
    return this.showing.vote({ key: newKey(), answers, now, hiddenMs: this.watch.hiddenBy(now), presentation });
  }

  // What is asked beyond the choice comes before the answer goes out; its times are those of the choice.
  follow(choice, body, now) {
    if (!this.panel) return this.submit(body, now);
    this.phase = "beyond";
    const send = (said) => this.submit({ ...body, answers: body.answers.map((one) => ({ ...one, ...said })) });
    this.panel.ask(choice, this.presenter.captions()[choice], send, () => this.chooseAgain());
  }

  chooseAgain() {
    this.phase = "shown";
    this.asking.takeBack();
    this.presenter.tookBack();
  }

  submit(body, now = performance.now()) {
    const { trial } = this.showing;
    this.phase = trial.practice ? "feedback" : "answered";
    this.showing.isAnswered = true;
    this.session.answer(trial);
    this.wantedAt = now;
    this.outbox.add({ kind: "vote", practice: trial.practice, body });
    if (!trial.practice) this.next();
  }

  undo() {
    if (!UNDOABLE.has(this.phase)) return;
    if (this.phase === "shown" && this.asking.takeBack()) return this.presenter.tookBack();
    const trial = this.session.takeBack();
    if (!trial) return;
    this.outbox.add({ kind: "undo", body: { key: newKey() } });
    this.presenter.notice = this.setup.texts.undone;
    this.wantedAt = performance.now();
    this.present(trial);
  }

  finish() {
    this.phase = "done";
    this.presenter.card("sending");
    postForm(this.setup.urls.finish);
  }
}
