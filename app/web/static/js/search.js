// One finished search: the request, the answer, the tree, and the feedback form.
import { ask } from "./api.js";
import { feedback } from "./feedback.js";
import { resultFacts } from "./lane.js";
import { constraints } from "./node-panel.js";
import { TreePane } from "./tree-pane.js";
import { html, nothing, render } from "./vendor.js";
import { modeTitle, moment } from "./words.js";

const container = document.getElementById("search");
const error = document.getElementById("error");
const { id } = container.dataset;

function template(search) {
  const before = search.messages.slice(0, -1);
  return html`
    <header class="asked">
      <h2 class="text" dir="auto">${search.prompt}</h2>
      ${before.length === 0 ? nothing : html`
        <details>
          <summary>The conversation before it</summary>
          ${before.map((message) => html`
            <p class="hint">${message.role}</p><div class="text" dir="auto">${message.content}</div>`)}
        </details>`}
      <p>
        <span class="badge ${tone(search)}">${verdict(search)}</span>
        ${modeTitle(search.mode)} · <time datetime=${search.created_at}>${moment(search.created_at)}</time>
      </p>
      <p class="facts">${resultFacts(search).join(" · ")}</p>
      ${before.length === 0 ? html`<p><a href="/?again=${search.id}">Run it again</a> in the playground, with the same options.</p>` : nothing}
    </header>
    <h3>Answer</h3>
    <div class="text answer" dir="auto">${search.response || "(none was generated in time)"}</div>
    ${constraints(search.constraints)}
    <h3>Tree</h3>
    <div class="pane"></div>
    <div class="feedback"></div>
    <details>
      <summary>Options of this search</summary>
      <pre tabindex="0">${JSON.stringify(search.options, null, 2)}</pre>
    </details>
  `;
}

const tone = ({ accepted }) => (accepted === null ? "" : accepted ? "good" : "bad");

function verdict({ accepted }) {
  if (accepted === null) return "Not judged";
  return accepted ? "Accepted" : "Not accepted";
}

async function show() {
  try {
    const search = await ask(`/searches/${encodeURIComponent(id)}`);
    render(template(search), container);
    const pane = new TreePane(container.querySelector(".pane"), "Tree of this search");
    const nodes = new Map(search.tree.map((node) => [node.id, node]));
    pane.update({ nodes, best: search.best_node, running: false });
    feedback(container.querySelector(".feedback"), search);
    document.title = `${search.prompt.slice(0, 60)} · spar`;
  } catch (problem) {
    error.textContent = problem.status === 404 || problem.status === 422
      ? "There is no such search. It may have been removed." : problem.message;
    error.hidden = false;
  }
  container.setAttribute("aria-busy", "false");
}

show();
