// Announces progress to screen readers, at most once every few seconds.
const PAUSE_MS = 3000;

/** Writes to `element`, a live region. */
export class Progress {
  constructor(element) {
    this.element = element;
    this.last = -Infinity;
  }

  /** Announce the text, unless another was announced within `PAUSE_MS`. */
  say(text) {
    if (performance.now() - this.last >= PAUSE_MS) this.sayNow(text);
  }

  /** Announce the text in any case. */
  sayNow(text) {
    this.last = performance.now();
    this.element.textContent = text;
  }
}
