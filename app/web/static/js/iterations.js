// Iterations, newest first, and the form that starts one.
import { ask } from "./api.js";
import { act, keepLoading } from "./page.js";
import { overall } from "./stages.js";
import { html, nothing, render, repeat } from "./vendor.js";
import { ago, count, grouping, moment, stageTitle, statusTone, statusWord } from "./words.js";

const LOOK_MS = 3000;
const PAGE = 20;
const form = document.getElementById("start-iteration");
const list = document.getElementById("list");
let wanted = PAGE;
let more = false;

async function load() {
  const page = await ask(`/admin/iterations?limit=${wanted}`);
  more = page.next_cursor !== null && wanted < 200;
  render(page.iterations.length ? table(page.iterations) : empty(), list);
  list.setAttribute("aria-busy", "false");
}

const table = (iterations) => html`
  <table class="searches">
    <thead><tr><th>Iteration</th><th>Stands</th><th>Stage</th><th>Outcome</th><th>When</th></tr></thead>
    <tbody>${repeat(iterations, (one) => one.id, row)}</tbody>
  </table>
  ${more ? html`<p class="more"><button type="button" @click=${showMore}>Show more</button></p>` : nothing}
`;

function row(one) {
  return html`
    <tr>
      <td class="said"><a href="/ui/iterations/${one.id}">${one.preset}, ${one.kind.replace("_", "-")}</a>
        <span>${count(one.options.data.prompts, "prompt")}</span></td>
      <td><span class="badge ${statusTone(one.status)}">${statusWord(one.status)}</span></td>
      <td>${one.stage ? stageTitle(one.stage) : "–"}
        ${one.status === "running" ? html`<progress max="1" value=${overall(one)}
          aria-label="Progress of the iteration"></progress>` : nothing}</td>
      <td>${outcome(one)}</td>
      <td><time datetime=${one.created_at} title=${moment(one.created_at)}>${ago(one.created_at)}</time></td>
    </tr>
  `;
}

function outcome({ checkpoints, error }) {
  if (error) return html`<span class="bad">${error.slice(0, 80)}</span>`;
  if (!checkpoints.length) return "–";
  return checkpoints.map((one) => html`
    <div class=${statusTone(one.status)}>${one.role} ${one.version}: ${one.status}</div>`);
}

const empty = () => html`
  <div class="empty">
    <h2>No iterations yet</h2>
    <p>
      In an iteration the actor answers prompts, the refiner judges the answers, a tree search repairs
      the rejected ones, and both are trained on the results. A checkpoint that measures better is promoted.
    </p>
    <p>Start with the preset "micro" above: it takes a minute or two and shows every stage.</p>
  </div>
`;

function showMore() {
  wanted = Math.min(200, wanted + PAGE);
  again();
}

const prompts = () =>
  form.elements.prompts.value.split("\n").map((line) => line.trim()).filter(Boolean);

async function start() {
  const added = prompts();
  for (let from = 0; from < added.length; from += 1000) {
    const body = { prompts: added.slice(from, from + 1000).map((prompt) => ({ prompt })) };
    await ask("/admin/prompts", { method: "POST", body });
  }
  const { preset, promote, kind, seed } = form.elements;
  const overrides = seed.value === "" ? {} : { seed: Number(seed.value) };
  const body = { preset: preset.value, promote: promote.value, kind: kind.value, overrides };
  const started = await ask("/admin/iterations", { method: "POST", body });
  location.assign(`/ui/iterations/${started.id}`);
}

function explain() {
  for (const name of ["preset", "kind", "promote"]) {
    const [option] = form.elements[name].selectedOptions;
    document.getElementById(`${name}-hint`).textContent = option.dataset.explanation;
  }
}

async function showPool() {
  const { counts } = await ask("/admin/prompts?limit=1");
  const parts = Object.entries(counts).map(([source, number]) => `${grouping(number)} ${source}`);
  document.getElementById("pool").textContent = `Prompts in the pool: ${parts.join(", ")}. Missing ones are generated.`;
}

form.addEventListener("change", explain);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  act(document.getElementById("start"), start);
});
explain();
const again = keepLoading(load, LOOK_MS);
showPool().catch(() => {});
