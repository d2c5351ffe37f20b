// The stages of an iteration: progress, and the estimated time left.
import { html, nothing } from "./vendor.js";
import { duration, grouping, stageTitle, statusTone, statusWord } from "./words.js";

/** The progress of all stages, 0 to 1; every stage has the same weight. */
export function overall({ stages }) {
  const shares = stages.map(share);
  return shares.reduce((sum, one) => sum + one, 0) / shares.length;
}

/** All stages, with `explanations` by name; `steps` are the training steps by role. */
export function stagesTemplate(iteration, explanations, steps, now = Date.now()) {
  return html`
    <ol class="stages">
      ${iteration.stages.map((stage) => html`
        <li class=${stage.status} aria-current=${stage.status === "running" ? "step" : nothing}>
          <p>
            <strong>${stageTitle(stage.name)}</strong>
            <span class="badge ${statusTone(stage.status)}">${stage.status === "queued" ? "pending" : statusWord(stage.status)}</span>
          </p>
          <progress max="1" value=${share(stage)} aria-label="${stageTitle(stage.name)}: progress"></progress>
          <p class="facts">${facts(stage, steps, now).join(" · ") || html`&nbsp;`}</p>
          <p class="hint">${metricsText(stage.metrics) || explanations[stage.name]}</p>
        </li>
      `)}
    </ol>
  `;
}

function share({ status, done, total }) {
  if (status === "succeeded") return 1;
  return total ? done / total : 0;
}

function facts(stage, steps, now) {
  const took = stage.started_at && (stage.finished_at ? new Date(stage.finished_at) : now) - new Date(stage.started_at);
  const left = stage.status === "running" ? remaining(stage, steps, took) : null;
  return [
    ...(stage.total ? [`${grouping(stage.done)} of ${grouping(stage.total)}`] : []),
    ...(stage.finished_at || stage.status === "running" ? [duration(Math.max(0, took))] : []),
    ...(left === null ? [] : [`about ${duration(left)} left`]),
  ];
}

/** Estimated milliseconds left of a running stage, by its pace so far; null while unknown. */
export function remaining(stage, steps, took) {
  if (stage.name === "train") return trainingLeft(steps);
  if (!stage.done || stage.done >= stage.total) return null;
  return (took / stage.done) * (stage.total - stage.done);
}

function trainingLeft(steps) {
  const last = [...steps.values()].map((all) => all.at(-1)?.metrics)
    .findLast((metrics) => metrics && metrics.elapsed);
  if (!last?.total_steps) return null;
  const newest = [...steps.values()].map((all) => all.at(-1)).findLast(Boolean);
  const left = last.total_steps - newest.step;
  return left > 0 ? (1000 * last.elapsed * left) / newest.step : null;
}

const metricsText = (metrics) =>
  Object.entries(metrics).map(([name, value]) => `${name.replace(/_/gu, " ")} ${shown(value)}`).join(" · ");

const shown = (value) => (typeof value === "number" ? grouping(value) : String(value));
