// The state of the server, polled.
import { ask } from "./api.js";
import { keepLoading } from "./page.js";
import { overall } from "./stages.js";
import { html, nothing, render } from "./vendor.js";
import { ago, count, grouping, percent, stageTitle, statusTone, statusWord } from "./words.js";

const POLL_MS = 2000;
const container = document.getElementById("overview");
let before = null;
let rate = null;

async function load() {
  const [now, serving, { promotions }, { iterations }] = await Promise.all([
    ask("/admin/overview"), ask("/admin/serving"), ask("/admin/promotions?limit=1"),
    ask("/admin/iterations?limit=1"),
  ]);
  measure(now.generated_tokens);
  render(template(now, serving, promotions[0], iterations[0]), container);
  container.setAttribute("aria-busy", "false");
}

/** Tokens per second since the last poll; none across a restart of the server. */
function measure(tokens) {
  const at = performance.now();
  rate = before && tokens >= before.tokens ? (1000 * (tokens - before.tokens)) / (at - before.at) : null;
  before = { tokens, at };
}

function template(now, serving, promotion, iteration) {
  const troubles = troublesOf(now, serving);
  return html`
    <p class="notice ${troubles.length ? "bad" : "fine"}" role="status">
      <strong>${troubles.length ? "Attention needed" : "All systems work"}</strong>
      ${troubles.length ? troubles.join(" ") : `The server is ready and serves actor ${serving.promoted.actor}, refiner ${serving.promoted.refiner}.`}
    </p>
    <dl class="tiles">
      ${tile("Requests", `${now.requests_running} of ${now.requests_most}`, `running · ${now.requests_waiting} in the queue`,
        html`<meter min="0" max=${now.requests_most} value=${now.requests_running} aria-label="Requests running"></meter>`)}
      ${tile("Tokens per second", rate === null ? "…" : rate < 10 ? rate.toFixed(1) : grouping(Math.round(rate)),
        `${grouping(now.generated_tokens)} since the start`)}
      ${tile("Accepted", now.searches_judged ? percent(now.searches_accepted / now.searches_judged) : "–", accepted(now))}
      ${tile("Last swap", promotion ? ago(promotion.created_at) : "none yet",
        promotion ? html`to actor ${promotion.checkpoint.actor}, refiner ${promotion.checkpoint.refiner} ·
          <a href="/ui/checkpoints">checkpoints</a>` : html`<a href="/ui/checkpoints">the base models are served</a>`)}
      ${tile("Newest iteration", iteration ? statusWord(iteration.status) : "none yet", newest(iteration), bar(iteration),
        iteration ? statusTone(iteration.status) : "")}
      ${tile("Self-play", count(now.background_calls, "call"), "of the worker in flight")}
      ${tile("Servers", String(serving.servers.length), "seen in the last 30 seconds")}
      ${tile("This server", now.version, `started ${ago(now.started_at)}`)}
    </dl>
  `;
}

const tile = (title, value, hint, more = nothing, tone = "") => html`
  <div class="tile"><dt>${title}</dt><dd class="big ${tone}">${value}</dd><dd class="hint">${hint}</dd>${more === nothing ? nothing : html`<dd>${more}</dd>`}</div>
`;

function accepted(now) {
  if (!now.searches_judged) return html`no judged search in 24 hours · <a href="/">start one</a>`;
  return `${grouping(now.searches_accepted)} of ${count(now.searches_judged, "search")} in 24 hours`;
}

const newest = (iteration) => (iteration
  ? html`<a href="/ui/iterations/${iteration.id}">${iteration.preset}</a>${iteration.stage && iteration.status !== "succeeded" ? ` · ${stageTitle(iteration.stage)}` : ""}`
  : html`<a href="/ui/iterations">start one</a> to train the models`);

const bar = (iteration) => (iteration?.status === "running"
  ? html`<progress max="1" value=${overall(iteration)} aria-label="Progress of the iteration"></progress>` : nothing);

function troublesOf(now, { servers }) {
  return [
    ...(now.engine_ready ? [] : ["The engine is starting or restarting: requests are queued."]),
    ...(now.checkpoints_ready ? [] : ["The checkpoints are being loaded."]),
    ...(now.engine_restarts ? [`The engine crashed and was restarted: ${count(now.engine_restarts, "time")}.`] : []),
    ...(now.searches_lost ? [`${count(now.searches_lost, "search")} could not be stored.`] : []),
    ...servers.filter((one) => one.error).map((one) => `${one.url}: ${one.error}.`),
  ];
}

keepLoading(load, POLL_MS);
