// The details of one node.
import { changesTemplate } from "./changes.js";
import { html, nothing } from "./vendor.js";
import { count, duration, isJudged, nodeTitle, share } from "./words.js";

/**
 * The panel of `node`, with what changed against `parent`. `view` is `text` or `changes`,
 * `onView(view)` switches, `onLeave()` goes back to the tree.
 */
export function nodePanel({ node, parent, view, onView, onLeave }) {
  const leave = (event) => event.key === "Escape" && onLeave();
  const rewritten = node.kind === "refinement" && parent?.kind !== "prompt";
  return html`
    <section class="panel" aria-label="The selected node" @keydown=${leave}>
      <h3 tabindex="-1">${nodeTitle(node)}</h3>
      ${node.kind === "prompt" ? nothing : html`<p class="facts">${facts(node)}</p>`}
      ${rewritten ? switcher(view, parent, onView) : nothing}
      ${rewritten && view === "changes"
        ? changesTemplate(parent.text, node.text)
        : html`<div class="text" dir="auto">${node.text || "(empty)"}</div>`}
      ${constraints(node.constraints)}
      ${votes(node.votes)}
      ${critique(node)}
    </section>
  `;
}

function facts(node) {
  const verdict = !isJudged(node) ? "not judged" : node.accepted ? "accepted" : "not accepted";
  return [
    verdict,
    ...(node.value === null ? [] : [`value ${share(node.value)}`]),
    ...(node.quick_verdict == null ? [] : [`quick verdict ${share(node.quick_verdict)}`]),
    count(node.completion_tokens, "token"),
    `after ${duration(node.created_ms)}`,
    ...(node.partial ? ["cut off by a limit"] : []),
  ].join(" · ");
}

function switcher(view, parent, onView) {
  const button = (name, title) => html`
    <button type="button" aria-pressed=${view === name} @click=${() => onView(name)}>
      ${title}
    </button>
  `;
  return html`
    <div class="switch" role="group" aria-label="What to show of the text">
      ${button("changes", `Changes against ${nodeTitle(parent).toLowerCase()}`)}
      ${button("text", "Text")}
    </div>
  `;
}

/** The results of the constraints. */
export function constraints(results) {
  if (results.length === 0) return nothing;
  return html`
    <h4>Checked by a program</h4>
    <ul class="verdicts">
      ${results.map((result) => html`
        <li class=${result.satisfied ? "good" : "bad"}>
          <strong>${result.satisfied ? "met" : "not met"}</strong>
          <span>${result.message} <small>${result.id}</small></span>
        </li>
      `)}
    </ul>
  `;
}

function votes(cast) {
  if (cast.length === 0) return nothing;
  const yes = cast.filter((vote) => vote.verdict).length;
  return html`
    <h4>Votes <small>${yes} of ${cast.length} say yes</small></h4>
    <ol class="votes">
      ${cast.map((vote, index) => html`
        <li>
          <details>
            <summary>
              <strong class=${vote.verdict ? "good" : "bad"}>${vote.verdict ? "yes" : "no"}</strong>
              Vote ${index + 1}
              <small>P(yes) ${share(vote.probability)}</small>
            </summary>
            <div class="text" dir="auto">${vote.critique.trim() || "(no critique)"}</div>
          </details>
        </li>
      `)}
    </ol>
  `;
}

function critique(node) {
  if (!node.critique) return nothing;
  return html`<h4>Critique</h4><div class="text" dir="auto">${node.critique}</div>`;
}
