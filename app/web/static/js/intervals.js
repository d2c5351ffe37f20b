// Differences with their intervals on one scale: right of the line is a gain.
import { html, svg } from "./vendor.js";
import { percent, points } from "./words.js";

const [WIDTH, HEIGHT, MIDDLE] = [220, 28, 110];

/** The metrics of a candidate against the incumbent; the primary metric decides. */
export function reportTemplate(report) {
  const metrics = [report.primary, ...report.others];
  const most = Math.max(0.05, ...metrics.flatMap(({ low, high }) => [Math.abs(low), Math.abs(high)]));
  return html`
    <div class="wide" tabindex="0" role="region" aria-label="Metrics of the ${report.role}">
      <table class="grid">
        <thead>
          <tr><th>Metric</th><th>Incumbent</th><th>Candidate</th><th>Difference, in points (95 %)</th>
            <th class="drawn">worse ← → better</th><th>Gain is real</th><th>Items</th></tr>
        </thead>
        <tbody>
          ${metrics.map((one, index) => html`
            <tr>
              <td>${one.name}${index === 0 ? html` <small>decides</small>` : ""}</td>
              <td>${percent(one.incumbent, 1)}</td>
              <td>${percent(one.candidate, 1)}</td>
              <td>${points(one.difference)} (${points(one.low)} to ${points(one.high)})</td>
              <td class="drawn">${drawn(one, most)}</td>
              <td>${percent(one.gained)}</td>
              <td>${one.n}</td>
            </tr>
          `)}
        </tbody>
      </table>
    </div>
  `;
}

function drawn({ difference, low, high, name }, most) {
  const at = (value) => MIDDLE + (value / most) * (MIDDLE - 8);
  const tone = low > 0 ? "good" : high < 0 ? "bad" : "unsure";
  return html`
    <svg class="interval ${tone}" width=${WIDTH} height=${HEIGHT} viewBox="0 0 ${WIDTH} ${HEIGHT}"
      role="img" aria-label="${name}: ${points(difference)} points, ${points(low)} to ${points(high)}">
      ${svg`
        <line class="zero" x1=${MIDDLE} x2=${MIDDLE} y1="0" y2=${HEIGHT}></line>
        <line class="range" x1=${at(low)} x2=${at(high)} y1="14" y2="14"></line>
        <line class="range" x1=${at(low)} x2=${at(low)} y1="9" y2="19"></line>
        <line class="range" x1=${at(high)} x2=${at(high)} y1="9" y2="19"></line>
        <circle cx=${at(difference)} cy="14" r="4.5"></circle>`}
    </svg>
  `;
}
