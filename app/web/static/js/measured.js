// Metrics by version, with intervals: benchmarks and the gates' reports.
import { Chart } from "./chart.js";
import { html, render } from "./vendor.js";
import { percent } from "./words.js";

/** Draws into `container`. */
export class Measured {
  constructor(container) {
    this.container = container;
    this.chosen = null;
    this.shown = "";
    this.series = new Map();
  }

  /** Show the metrics of these versions; keeps the chosen one. */
  update(versions, evaluations) {
    this.series = new Map([...fromGates(versions), ...fromRuns(evaluations)]);
    if (!this.series.has(this.chosen)) this.chosen = [...this.series.keys()][0] ?? null;
    const known = JSON.stringify([...this.series]);
    if (known === this.shown) return;
    this.shown = known;
    this.draw();
  }

  draw() {
    if (!this.series.size) {
      render(html`<p class="hint">There are no metrics yet. Iterations evaluate what they train, and
        <code>spar eval</code> runs benchmarks; both appear here.</p>`, this.container);
      return;
    }
    render(html`
      <label class="field" for="metric">What to show</label>
      <select id="metric" @change=${(event) => this.choose(event.target.value)}>
        ${[...this.series.keys()].map((name) => html`<option ?selected=${name === this.chosen}>${name}</option>`)}
      </select>
      <figure class="chart"></figure>
    `, this.container);
    // A new chart for each choice: its scale and its labels differ.
    const figure = document.createElement("figure");
    figure.className = "chart";
    this.container.querySelector("figure").replaceWith(figure);
    const { label, lines, rows } = this.series.get(this.chosen);
    new Chart(figure, {
      title: this.chosen, xLabel: label, series: lines, format: (value) => percent(value, 1),
    }).update(rows);
  }

  choose(name) {
    this.chosen = name;
    this.draw();
  }
}

/** The gates' reports: candidate and incumbent on the same prompts. */
function fromGates(versions) {
  const found = new Map();
  for (const { role, version, evaluation } of [...versions].sort((a, b) => a.version - b.version)) {
    for (const metric of evaluation?.primary ? [evaluation.primary, ...evaluation.others] : []) {
      const name = `Gate, ${role}: ${metric.name}`;
      if (!found.has(name)) {
        const lines = [{ label: "candidate", tone: "accent", interval: true }, { label: "incumbent then", tone: "soft" }];
        found.set(name, { label: `${role} version`, lines, rows: [] });
      }
      // The interval is that of the difference, drawn around the candidate.
      const [low, high] = [metric.low, metric.high].map((one) => Math.min(1, Math.max(0, metric.incumbent + one)));
      found.get(name).rows.push([version, { value: metric.candidate, low, high }, metric.incumbent]);
    }
  }
  return found;
}

/** Finished runs of `spar eval`, the newest of each version, by suite, rows, mode and checks. */
function fromRuns(evaluations) {
  const found = new Map();
  for (const run of evaluations) {
    const [metric] = run.metrics;
    if (!metric) continue;
    const role = run.mode === null ? "refiner" : "actor";
    const rows = run.row_limit === null ? "" : `, first ${run.row_limit}`;
    const mode = run.mode === null ? "" : `, ${run.mode}`;
    const checks = run.with_constraints ? ", with its checks" : "";
    const name = `${run.suite}${rows}${mode}${checks}: ${metric.name}`;
    if (!found.has(name)) {
      const lines = [{ label: metric.name, tone: "accent", interval: true }];
      found.set(name, { label: `${role} version`, lines, rows: [] });
    }
    const kept = found.get(name).rows;
    const version = run.checkpoint[role];
    if (!kept.some(([other]) => other === version)) kept.push([version, metric]);
  }
  for (const { rows } of found.values()) rows.sort(([a], [b]) => a - b);
  return found;
}
