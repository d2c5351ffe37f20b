// What changed between two texts, word by word.
import { diffWords, html } from "./vendor.js";

const MOST_MS = 300;
const words = new Intl.Segmenter(undefined, { granularity: "word" });

/** Parts of `{text, change}`, change being `same`, `added` or `removed`; null if it takes too long. */
export function changes(before, after) {
  const parts = diffWords(before, after, { timeout: MOST_MS, intlSegmenter: words });
  return parts?.map(({ value, added, removed }) => ({
    text: value,
    change: added ? "added" : removed ? "removed" : "same",
  })) ?? null;
}

/** The changes as `ins` and `del` elements. */
export function changesTemplate(before, after) {
  const parts = changes(before, after);
  if (parts === null) return html`<p class="hint">The texts differ too much to compare.</p>`;
  if (parts.every((part) => part.change === "same")) {
    return html`<p class="hint">The texts are identical.</p>`;
  }
  return html`<div class="text" dir="auto">${parts.map(partTemplate)}</div>`;
}

function partTemplate({ text, change }) {
  if (change === "added") return html`<ins>${text}</ins>`;
  if (change === "removed") return html`<del>${text}</del>`;
  return text;
}
