// One iteration: stages, training curves, training data, the gate's decision.
import { ask, follow } from "./api.js";
import { Chart } from "./chart.js";
import { confirm } from "./dialog.js";
import { reportTemplate } from "./intervals.js";
import { act, complain } from "./page.js";
import { Progress } from "./progress.js";
import { Samples } from "./samples.js";
import { stagesTemplate } from "./stages.js";
import { html, nothing, render } from "./vendor.js";
import { duration, moment, percent, stageTitle, statusTone, statusWord } from "./words.js";

const AGAIN_MS = 2000;
const CLOCK_MS = 1000;
const FINAL = new Set(["succeeded", "failed", "cancelled"]);
const ROLES = { actor: "Actor", refiner: "Refiner" };
const container = document.getElementById("iteration");
const parts = Object.fromEntries(
  ["head", "stages", "training", "data", "report", "options"].map((name) => [name, document.getElementById(name)]),
);
const path = `/admin/iterations/${encodeURIComponent(container.dataset.id)}`;
const explanations = JSON.parse(container.dataset.stages);
const progress = new Progress(document.getElementById("progress"));
const steps = new Map([["actor", []], ["refiner", []]]);
const charts = new Map();
let iteration = null;
let samples = null;

function draw() {
  render(head(), parts.head);
  render(stagesTemplate(iteration, explanations, steps), parts.stages);
  render(iteration.report ? report(iteration.report) : nothing, parts.report);
  render(html`<details><summary>Options of this iteration</summary>
    <pre tabindex="0">${JSON.stringify(iteration.options, null, 2)}</pre></details>`, parts.options);
  const built = iteration.stages.find((stage) => stage.name === "build")?.status === "succeeded";
  if (built && !samples) {
    parts.data.hidden = false;
    samples = new Samples(parts.data.querySelector(".samples"), container.dataset.id);
  }
}

function head() {
  const { status, preset, kind, cancel_requested: ending } = iteration;
  return html`
    <p class="bar">
      <span class="badge ${statusTone(status)}">${ending && status === "running" ? "being cancelled" : statusWord(status)}</span>
      <span class="facts">${[preset, kind.replace("_", "-"), ...facts()].join(" · ")}</span>
      ${!FINAL.has(status) && !ending ? html`<button type="button" class="quiet" @click=${cancel}>Cancel</button>` : nothing}
      ${["failed", "cancelled"].includes(status) ? html`<button type="button" class="primary" @click=${resume}>Resume</button>` : nothing}
    </p>
    ${iteration.error ? html`<p class="notice bad" role="alert">${iteration.error}</p>` : nothing}
    ${status === "queued" ? html`<p class="notice">It waits for a worker. The server starts one
      unless SPAR_WORKER is false; iterations run one at a time.</p>` : nothing}
  `;
}

function facts() {
  const { created_at, started_at, finished_at, checkpoints } = iteration;
  const end = finished_at ? new Date(finished_at) : Date.now();
  return [
    `queued ${moment(created_at)}`,
    ...(started_at ? [`${finished_at ? "took" : "running for"} ${duration(Math.max(0, end - new Date(started_at)))}`] : []),
    ...checkpoints.map((one) => `${one.role} ${one.version}: ${one.status}`),
  ];
}

async function cancel(event) {
  const { currentTarget: button } = event;
  const agreed = await confirm({
    title: "Cancel this iteration?",
    what: html`<p>It stops, and nothing is promoted. Finished work is kept: "Resume" continues from there.</p>`,
    yes: "Cancel it",
  });
  if (agreed) await act(button, async () => show(await ask(`${path}/cancel`, { method: "POST" })));
}

async function resume({ currentTarget: button }) {
  await act(button, async () => show(await ask(`${path}/resume`, { method: "POST" })));
  watch();
}

function report({ promoted, reasons, reports }) {
  return html`
    <section aria-label="The gate's decision">
      <h2>The gate's decision</h2>
      ${Object.entries(reasons).map(([role, reason]) => html`
        <h3>${ROLES[role]} <span class="badge ${promoted.includes(role) ? "good" : "bad"}">
          ${promoted.includes(role) ? "promoted" : "not promoted"}</span></h3>
        <p>${reason}</p>
        ${reports[role] ? reportTemplate(reports[role]) : nothing}
      `)}
      <p class="hint">
        A candidate takes over when the metric that decides is better by at least
        ${percent(iteration.options.evaluation.min_gain, 1)} with ${percent(iteration.options.evaluation.confidence)}
        confidence, and no other is worse by more than ${percent(iteration.options.evaluation.margin, 1)}.
      </p>
    </section>
  `;
}

const CURVES = [
  ["loss", "loss", "accent", (value) => value.toPrecision(3)],
  ["margin", "reward margin, chosen over rejected", "good", (value) => value.toPrecision(2)],
  ["accuracy", "pairs ranked right", "accent", (value) => percent(value)],
];

function drawCurves(role) {
  const all = steps.get(role);
  for (const [name, title, tone, format] of CURVES) {
    if (!all.some(({ metrics }) => typeof metrics[name] === "number")) continue;
    const id = `${role} ${name}`;
    if (!charts.has(id)) {
      const figure = document.createElement("figure");
      figure.className = "chart";
      parts.training.querySelector(".charts").append(figure);
      const series = [{ label: title, tone }];
      charts.set(id, new Chart(figure, { title: `${ROLES[role]}: ${title}`, xLabel: "step", series, format }));
    }
    charts.get(id).update(all.map(({ step, metrics }) => [step, metrics[name] ?? null]));
  }
  parts.training.hidden = charts.size === 0;
}

let stale = new Set();
function takeStep(step) {
  const before = steps.get(step.role).filter((one) => one.step < step.step);
  steps.set(step.role, [...before, step]);
  // Old steps arrive together: draw their curves once.
  if (stale.size === 0) requestAnimationFrame(() => {
    for (const role of stale) drawCurves(role);
    stale = new Set();
  });
  stale.add(step.role);
}

function show(newest) {
  const [before, now] = [iteration, newest];
  iteration = newest;
  draw();
  container.setAttribute("aria-busy", "false");
  if (before?.status !== now.status || before?.stage !== now.stage) {
    const stage = now.stage && !FINAL.has(now.status) ? `, stage ${stageTitle(now.stage)}` : "";
    progress.sayNow(`The iteration is ${statusWord(now.status)}${stage}`);
  }
}

let watching = false;
/** Follow the iteration until it ends; reconnects when the connection is lost. */
async function watch() {
  if (watching) return;
  watching = true;
  for (let ended = false; !ended;) {
    try {
      await follow(`${path}/events`, {}, (name, data) => {
        if (name === "step") takeStep(data);
        else if (name === "iteration") show(data);
        else if (name === "error") complain(data);
        if (name !== "error") complain(null);
      });
      ended = iteration !== null && FINAL.has(iteration.status);
    } catch (problem) {
      complain(problem.status === 404 || problem.status === 422
        ? { message: "There is no such iteration." } : problem);
      ended = problem.status >= 400 && problem.status < 500;
    }
    container.setAttribute("aria-busy", "false");
    if (!ended) await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
  watching = false;
}

setInterval(() => {
  if (iteration?.status === "running") draw();
}, CLOCK_MS);
watch();
