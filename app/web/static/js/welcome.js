// What the playground shows before the first search: examples and a legend.
import { html, render } from "./vendor.js";

const atMost = (number) => ({
  id: "length_constraints:number_words",
  kwargs: { relation: "at most", num_words: number },
});

const EXAMPLES = [
  {
    title: "A slogan in at most 8 words",
    prompt: "Write a slogan for a tea shop.",
    mode: "bfs",
    constraints: [atMost(8)],
  },
  {
    title: "Two sentences without a comma",
    prompt: "Explain in two sentences why the sky is blue.",
    mode: "dfs",
    constraints: [{ id: "punctuation:no_comma", kwargs: {} }, atMost(40)],
  },
  {
    title: "Three rivers, in capitals",
    prompt: "Name three rivers in Europe.",
    mode: "best_of_n",
    constraints: [{ id: "change_case:english_capital", kwargs: {} }],
  },
];

/** Draws into `container`; `onExample` is called with the chosen example. */
export function welcome(container, onExample) {
  render(html`
    <div class="empty">
      <h2>Search for an answer</h2>
      <p>
        The actor writes responses to your instruction. The refiner votes on each of them, programs
        check the constraints, and rejected responses are refined. Every response is a node of the
        tree, which is drawn here while the search runs.
      </p>
      <p>Write an instruction, or start with one of these:</p>
      <ul class="examples">
        ${EXAMPLES.map((example) => html`
          <li><button type="button" @click=${() => onExample(example)}>${example.title}</button></li>
        `)}
      </ul>
      <h3>How to read a node</h3>
      <dl class="legend">
        <div><dt class="good">0.80 ✓</dt><dd>accepted: most votes are yes, and every constraint is met</dd></div>
        <div><dt class="bad">0.40 ✗</dt><dd>not accepted; the number is the share of yes votes</dd></div>
        <div><dt>…</dt><dd>being judged</dd></div>
        <div><dt>best</dt><dd>the answer if the search ended now</dd></div>
      </dl>
      <p class="hint">
        In the tree, the arrow keys move, <kbd>Enter</kbd> opens a node and <kbd>Esc</kbd> goes back.
      </p>
    </div>
  `, container);
}
