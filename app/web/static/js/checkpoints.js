// Versions of both roles: what each server serves, metrics, lineage.
import { ask } from "./api.js";
import { confirm } from "./dialog.js";
import { Measured } from "./measured.js";
import { act, keepLoading } from "./page.js";
import { html, nothing, render, repeat } from "./vendor.js";
import { ago, moment, percent, points, statusTone } from "./words.js";

const LOOK_MS = 3000;
const ROLES = [["actor", "Actor"], ["refiner", "Refiner"]];
const CAUSES = { iteration: "by an iteration's gate", promote: "by hand", rollback: "rolled back" };
const parts = Object.fromEntries(
  ["serving", "lineage", "history"].map((name) => [name, document.getElementById(name)]),
);
const measured = new Measured(document.getElementById("measured"));
let versions = [];
let state = null;

async function load() {
  const [stored, serving, history, evaluations] = await Promise.all([
    ask("/admin/checkpoints"), ask("/admin/serving"), ask("/admin/promotions?limit=50"),
    ask("/admin/evaluations?limit=200"),
  ]);
  versions = stored.checkpoints;
  state = { ...serving, promotions: history.promotions };
  render(servingTemplate(), parts.serving);
  render(lineageTemplate(), parts.lineage);
  render(historyTemplate(), parts.history);
  measured.update(versions, evaluations.evaluations);
}

function servingTemplate() {
  return html`
    <div class="tiles">
      ${ROLES.map(([role, title]) => html`
        <section class="tile" aria-label="${title}: serves now">
          <h3>${title}</h3>
          <p class="big">${role} ${state.promoted[role]}</p>
          <p class="hint">${state.promoted[role] === 0 ? "the base model" : `since ${since(role)}`}</p>
          <button type="button" class="quiet" ?disabled=${previous(role) === null}
            @click=${(event) => rollBack(event.currentTarget, role)}>Roll back</button>
        </section>
      `)}
    </div>
    <h3>Servers</h3>
    ${state.servers.length === 0 ? html`<p class="hint">No server was seen in the last 30 seconds.</p>` : html`
      <div class="wide" tabindex="0" role="region" aria-label="Servers">
        <table class="grid">
          <thead><tr><th>Server</th><th>Actor</th><th>Refiner</th><th>State</th><th>Heard of</th></tr></thead>
          <tbody>${state.servers.map(server)}</tbody>
        </table>
      </div>`}
  `;
}

function server(one) {
  const follows = ROLES.every(([role]) => one[role] === state.promoted[role]);
  const [tone, text] = one.error ? ["bad", one.error]
    : !one.ready ? ["", "loading"] : follows ? ["good", "up to date"] : ["", "swapping"];
  return html`
    <tr><td>${one.url}</td><td>${one.actor}</td><td>${one.refiner}</td><td class=${tone}>${text}</td>
      <td><time datetime=${one.seen_at}>${ago(one.seen_at)}</time></td></tr>
  `;
}

/** The version of a role that was promoted before its current one; null if there is none. */
function previous(role) {
  const current = state.promoted[role];
  const other = state.promotions.find((one) => one.checkpoint[role] !== current);
  if (other) return other.checkpoint[role];
  return current === 0 ? null : 0;
}

function since(role) {
  const changed = state.promotions.findIndex((one) => one.checkpoint[role] !== state.promoted[role]);
  const run = changed < 0 ? state.promotions : state.promotions.slice(0, changed);
  return run.length ? ago(run.at(-1).created_at) : "the start";
}

const happens = (role, from, to) => html`
  <p>New requests get <strong>${role} ${to}</strong>${to === 0 ? " (the base model)" : ""} instead of
    ${role} ${from}, on every server, within seconds.</p>
  <p>Searches that run now finish on ${role} ${from}. Nothing is deleted: you can go back at any time.
    The other role stays as it is.</p>
`;

async function rollBack(button, role) {
  const [from, to] = [state.promoted[role], previous(role)];
  const what = happens(role, from, to);
  if (!(await confirm({ title: `Roll the ${role} back to version ${to}?`, what, yes: "Roll back" }))) return;
  await act(button, async () => {
    await ask(`/admin/checkpoints/${role}/rollback`, { method: "POST" });
    await again();
  });
}

async function promote(button, { role, version, status }) {
  const what = html`${happens(role, state.promoted[role], version)}
    ${status === "rejected" ? html`<p class="notice bad">The gate rejected this version.</p>` : nothing}`;
  if (!(await confirm({ title: `Promote ${role} ${version}?`, what, yes: "Promote" }))) return;
  await act(button, async () => {
    await ask(`/admin/checkpoints/${role}/${version}/promote`, { method: "POST" });
    await again();
  });
}

function lineageTemplate() {
  if (versions.every((one) => one.version === 0)) {
    return html`
      <div class="empty">
        <h2>Only the base model so far</h2>
        <p>An iteration trains the next version of each role. <a href="/ui/iterations">Start one</a>.</p>
      </div>`;
  }
  return html`<div class="sides">${ROLES.map(([role, title]) => {
    const mine = versions.filter((one) => one.role === role);
    return html`
      <section aria-label="${title}: lineage">
        <h3>${title}</h3>
        <ul class="lineage">${children(mine, null)}</ul>
      </section>`;
  })}</div>`;
}

/** The versions trained from `parent`, each with its own descendants. */
function children(mine, parent) {
  const born = mine.filter((one) => one.parent === parent).sort((a, b) => a.version - b.version);
  return repeat(born, (one) => one.version, (one) => {
    const hasOwn = mine.some((other) => other.parent === one.version);
    return html`
      <li>
        <div class="version ${one.serving ? "serving" : ""}">
          <p class="bar">
            <strong>${one.role} ${one.version}</strong>
            ${one.serving ? html`<span class="badge good">serves</span>` : nothing}
            <span class="badge ${one.serving ? "" : statusTone(one.status)}">${one.version === 0 ? "base model" : one.status}</span>
            ${one.serving || one.status === "training" ? nothing : html`
              <button type="button" class="quiet" aria-label="Promote ${one.role} ${one.version}"
                @click=${(event) => promote(event.currentTarget, one)}>Promote</button>`}
          </p>
          <p class="facts">
            <time datetime=${one.created_at} title=${moment(one.created_at)}>${ago(one.created_at)}</time>
            ${one.iteration ? html` · <a href="/ui/iterations/${one.iteration}">its iteration</a>` : nothing}
            ${gain(one.evaluation?.primary)}
          </p>
          ${one.error ? html`<p class="bad">${one.error}</p>` : nothing}
        </div>
        ${hasOwn ? html`<ul class="lineage">${children(mine, one.version)}</ul>` : nothing}
      </li>
    `;
  });
}

function gain(primary) {
  if (!primary) return nothing;
  return html` · ${primary.name} ${percent(primary.candidate, 1)} (${points(primary.difference)})`;
}

function historyTemplate() {
  if (!state.promotions.length) return html`<p class="hint">The base models have been served from the start.</p>`;
  return html`
    <ol class="history">${state.promotions.map((one) => html`
      <li>
        <time datetime=${one.created_at} title=${moment(one.created_at)}>${ago(one.created_at)}</time>
        actor ${one.checkpoint.actor}, refiner ${one.checkpoint.refiner},
        ${one.iteration ? html`<a href="/ui/iterations/${one.iteration}">${CAUSES[one.cause]}</a>` : CAUSES[one.cause]}
      </li>`)}
    </ol>`;
}

const again = keepLoading(load, LOOK_MS);
