// Tells a screen reader how things go, seldom enough to be listened to.
const PAUSE_MS = 3000;

/** Says into `element` (a live region). */
export class Progress {
  constructor(element) {
    this.element = element;
    this.last = -Infinity;
  }

  /** Say it, unless something was said a moment ago. */
  say(text) {
    if (performance.now() - this.last >= PAUSE_MS) this.sayNow(text);
  }

  /** Say it in any case. */
  sayNow(text) {
    this.last = performance.now();
    this.element.textContent = text;
  }
}
