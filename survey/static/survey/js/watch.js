// What happens around the trials: focus, visibility, size, full screen, network. Sent in small batches, capped.
import { post } from "./net.js";

const MOST = 400;
const magnification = () => globalThis.visualViewport?.scale ?? 1;

export class Watch {
  constructor(url) {
    Object.assign(this, { url, waiting: [], count: 0, hiddenMs: 0, hiddenSince: document.hidden ? 0 : null });
    const note = (kind, detail) => () => this.note(kind, detail?.());
    const size = () => ({ width: innerWidth, height: innerHeight, ratio: devicePixelRatio || 1 });
    addEventListener("blur", note("blur"));
    addEventListener("focus", note("focus"));
    addEventListener("online", note("online"));
    addEventListener("offline", note("offline"));
    let settle = 0;
    addEventListener("resize", () => {
      clearTimeout(settle);
      settle = setTimeout(note("resize", size), 400);
    });
    document.addEventListener("fullscreenchange", note("fullscreen", () => ({ on: !!document.fullscreenElement })));
    document.addEventListener("visibilitychange", () => this.visibility(performance.now()));
    this.lastPointer = "mouse";
    addEventListener("pointerdown", (event) => (this.lastPointer = event.pointerType), true);
    this.lookForTranslation();
    this.forgetPinch();
    globalThis.visualViewport?.addEventListener("resize", () => (this.pinch = Math.max(this.pinch, magnification())));
    addEventListener("pagehide", () => {
      if (!this.waiting.length) return;
      navigator.sendBeacon?.(url, JSON.stringify({ events: this.waiting.splice(0, 100) }));
    });
  }

  // What a click came from. Firefox and WebKit tell a press of the space bar by its count alone, and a finger by what went
  // before: only Chromium's clicks are pointer events.
  inputOf(event) {
    return event.pointerType || (event.detail ? this.lastPointer : "key");
  }

  // From here on a larger magnification by fingers counts.
  forgetPinch() {
    this.pinch = magnification();
  }

  // How much fingers have magnified the page, at most; nothing where they have not. It blurs what it enlarges.
  pinched() {
    const scale = Math.round(this.pinch * 100) / 100;
    return scale > 1 ? { page_scale: scale } : {};
  }

  // Translated, the question is not the one that the study asked; noted as far as browsers tell.
  lookForTranslation() {
    const { documentElement: page } = document;
    const { lang } = page;
    const observer = new MutationObserver(() => {
      if (page.lang === lang && !/\btranslated-/.test(page.className)) return;
      observer.disconnect();
      this.note("translated");
    });
    observer.observe(page, { attributeFilter: ["lang", "class"] });
  }

  visibility(now) {
    if (document.hidden) this.hiddenSince = now;
    else if (this.hiddenSince !== null) {
      this.hiddenMs += now - this.hiddenSince;
      this.hiddenSince = null;
    }
    this.note(document.hidden ? "hidden" : "visible");
  }

  // How long the page was hidden, up to now.
  hiddenBy(now) {
    return this.hiddenMs + (this.hiddenSince === null ? 0 : now - this.hiddenSince);
  }

  note(kind, detail = {}) {
    if (this.count >= MOST) return;
    this.count += 1;
    this.waiting.push({ kind, detail: { ...detail, at_ms: Math.round(performance.now()) } });
  }

  async send() {
    if (!this.waiting.length) return;
    const events = this.waiting.splice(0, 100);
    await post(this.url, { events }).catch(() => this.waiting.unshift(...events));
  }
}
