// Finished searches, newest first, with filters that are kept in the page's URL.
import { ask } from "./api.js";
import { resultFacts } from "./lane.js";
import { Progress } from "./progress.js";
import { html, nothing, render, repeat } from "./vendor.js";
import { ago, duration, firstWords, modeTitle, moment, share } from "./words.js";

const TYPING_MS = 250;
/** A text filter scans one page of searches per request: how many requests for one load. */
const PARTS = 20;
const form = document.getElementById("filters");
const list = document.getElementById("list");
const error = document.getElementById("error");
const progress = new Progress(document.getElementById("progress"));
let shown = [];
let next = null;
let asking = new AbortController();
let typing = 0;

/** The filters that are set. */
function filters() {
  return [...new FormData(form)].filter(([, value]) => value !== "");
}

async function load({ more = false } = {}) {
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  const before = more ? shown : [];
  let found = [];
  let cursor = more ? next : null;
  list.setAttribute("aria-busy", "true");
  try {
    for (let part = 0; part < PARTS && (part === 0 || (cursor !== null && !found.length)); part += 1) {
      const query = new URLSearchParams([...filters(), ...(cursor === null ? [] : [["cursor", cursor]])]);
      const page = await ask(`/searches?${query}`, { signal });
      found = page.searches;
      cursor = page.next_cursor;
    }
    shown = [...before, ...found];
    next = cursor;
    error.hidden = true;
    draw();
    progress.sayNow(`${shown.length} searches shown`);
  } catch (problem) {
    if (problem.name === "AbortError") return;
    error.textContent = problem.message;
    error.hidden = false;
  }
  list.setAttribute("aria-busy", "false");
}

function draw() {
  render(shown.length ? table() : empty(), list);
}

function table() {
  return html`
    <table class="searches">
      <thead>
        <tr><th>Instruction and answer</th><th>Mode</th><th>Value</th><th>Nodes</th><th>Took</th><th>When</th></tr>
      </thead>
      <tbody>${repeat(shown, (search) => search.id, row)}</tbody>
    </table>
    ${moreButton("Show more")}
  `;
}

function moreButton(label) {
  return next === null ? nothing : html`
    <p class="more"><button type="button" @click=${() => load({ more: true })}>${label}</button></p>`;
}

function row(search) {
  const { accepted } = search;
  const tone = accepted === null ? "" : accepted ? "good" : "bad";
  const mark = accepted === null ? "not judged" : `${share(search.value)} ${accepted ? "✓" : "✗"}`;
  const text = accepted === null ? "" : accepted ? "accepted" : "not accepted";
  return html`
    <tr title=${resultFacts(search).join(" · ")}>
      <td class="said">
        <a href="/ui/searches/${search.id}" dir="auto">${firstWords(search.prompt, 110) || "(no text)"}</a>
        <span dir="auto">${firstWords(search.response, 140) || "(no answer)"}</span>
      </td>
      <td>${modeTitle(search.mode)}</td>
      <td class=${tone}>${mark} <span class="unseen">${text}</span></td>
      <td class="figure">${search.usage.nodes}<span class="narrow"> nodes</span></td>
      <td class="figure">${duration(search.timing_ms)}</td>
      <td><time datetime=${search.created_at} title=${moment(search.created_at)}>${ago(search.created_at)}</time></td>
    </tr>
  `;
}

function empty() {
  if (next !== null) {
    return html`
      <div class="empty"><h2>Nothing yet</h2><p>Older searches were not scanned yet.</p></div>
      ${moreButton("Search older searches")}
    `;
  }
  if (filters().length) {
    return html`<div class="empty"><h2>Nothing fits these filters</h2><p>Clear some of them.</p></div>`;
  }
  return html`
    <div class="empty">
      <h2>Nothing was searched for yet</h2>
      <p>Every finished search is kept here with its tree. <a href="/">Start one in the playground</a>.</p>
    </div>
  `;
}

function filtered() {
  const query = new URLSearchParams(filters()).toString();
  history.replaceState(null, "", query ? `?${query}` : location.pathname);
  load();
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(filtered, TYPING_MS);
});
form.addEventListener("reset", () => setTimeout(filtered));

for (const [name, value] of new URLSearchParams(location.search)) {
  if (form.elements[name]) form.elements[name].value = value;
}
load();
