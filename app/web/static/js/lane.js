// One search on the playground: its state, its best answer, its tree.
import { TreePane } from "./tree-pane.js";
import { html, nothing, render } from "./vendor.js";
import { count, duration, isJudged, modeTitle, share, stopReason } from "./words.js";

const CLOCK_MS = 200;
const STATUS = { waiting: "Waiting in the queue", searching: "Searching", stopped: "Stopped", failed: "Failed" };

/** Draws a `Run` into `container`. */
export class Lane {
  constructor(container, run) {
    this.run = run;
    container.classList.add("lane");
    container.setAttribute("aria-label", modeTitle(run.mode));
    render(html`<div class="outcome"></div><div class="pane"></div>`, container);
    const [outcome, pane] = container.children;
    this.outcome = outcome;
    this.pane = new TreePane(pane, `${modeTitle(run.mode)}: tree`);
    this.clock = setInterval(() => this.drawOutcome(), CLOCK_MS);
    this.update();
  }

  /** Draw the current state of the run. */
  update() {
    const { run } = this;
    this.pane.update({ nodes: run.nodes, best: bestJudged(run), running: run.running });
    if (run.running) return;
    clearInterval(this.clock);
    this.drawOutcome();
  }

  /** Stop drawing. */
  close() {
    clearInterval(this.clock);
  }

  drawOutcome() {
    render(this.template(), this.outcome);
  }

  template() {
    const { run } = this;
    return html`
      <header>
        <h2>${modeTitle(run.mode)}</h2>
        <span class="badge ${this.tone()}">${verdict(run)}</span>
        ${run.running ? html`<button type="button" class="quiet" @click=${() => run.stop()}
          aria-label="Stop ${modeTitle(run.mode)}">Stop</button>` : nothing}
      </header>
      <p class="facts">${facts(run)}</p>
      ${run.error ? html`<p class="notice bad" role="alert">${run.error.message}</p>` : nothing}
      ${answer(run)}
    `;
  }

  tone() {
    const { run } = this;
    if (run.status === "failed") return "bad";
    if (run.status !== "done") return "";
    return run.result.accepted === null ? "" : run.result.accepted ? "good" : "bad";
  }
}

/** The state of a run. */
export function verdict({ status, result }) {
  if (status !== "done") return STATUS[status];
  if (result.accepted === null) return "Not judged";
  return result.accepted ? "Accepted" : "Not accepted";
}

/** The result and the usage of a run. */
export function facts(run) {
  if (run.result) return resultFacts(run.result).join(" · ");
  const answers = [...run.nodes.values()].filter((node) => node.kind !== "prompt");
  const cast = answers.reduce((sum, node) => sum + node.votes.length, 0);
  return [count(answers.length, "node"), count(cast, "vote"), duration(run.elapsed)].join(" · ");
}

/** The result and the usage of a finished search. */
export function resultFacts({ value, stop_reason, usage, timing_ms, checkpoint }) {
  return [
    ...(value === null ? [] : [`value ${share(value)}`]),
    count(usage.nodes, "node"),
    count(usage.votes, "vote"),
    count(usage.completion_tokens, "token"),
    duration(timing_ms),
    `ended: ${stopReason(stop_reason)}`,
    `actor ${checkpoint.actor}, refiner ${checkpoint.refiner}`,
  ];
}

function bestJudged({ best }) {
  return best && isJudged(best) ? best.id : null;
}

function answer(run) {
  const best = run.best;
  const text = run.result?.response ?? best?.text ?? run.text;
  if (!text) return nothing;
  const title = run.result ? "Answer" : best && isJudged(best) ? "Best so far" : "So far";
  return html`
    <h3>${title}</h3>
    <div class="text answer" dir="auto">${text}</div>
    ${run.result ? html`<p class="after"><a href="/ui/searches/${run.id}">Permanent link and feedback</a></p>` : nothing}
  `;
}
