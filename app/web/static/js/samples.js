// A viewer of training data: a preference pair as a diff, anything else as a conversation.
import { ask } from "./api.js";
import { changesTemplate } from "./changes.js";
import { html, nothing, render } from "./vendor.js";

const PAGE = 50;
const TITLES = { preference: "Preference pair", repair: "Repair", judgment: "Judgment", conversation: "Conversation" };
const ROLES = [["actor", "Actor"], ["refiner", "Refiner"]];

/** Draws an iteration's samples into `container`. */
export class Samples {
  constructor(container, iterationId) {
    this.container = container;
    this.path = `/admin/iterations/${encodeURIComponent(iterationId)}/samples`;
    this.role = "actor";
    this.view = "changes";
    this.open("actor");
  }

  /** Show the first sample of a role. */
  async open(role) {
    Object.assign(this, { role, at: 0, samples: [], next: null, error: null });
    await this.fetch();
    this.draw();
  }

  async fetch() {
    const { role } = this;
    const cursor = this.next === null ? "" : `&cursor=${this.next}`;
    try {
      const page = await ask(`${this.path}?role=${role}&limit=${PAGE}${cursor}`);
      if (role !== this.role) return;
      this.samples = [...this.samples, ...page.samples];
      this.next = page.next_cursor;
    } catch (problem) {
      this.error = problem;
    }
  }

  async step(by) {
    if (this.at + by >= this.samples.length && this.next !== null) await this.fetch();
    this.at = Math.min(Math.max(0, this.at + by), this.samples.length - 1);
    this.draw();
  }

  draw() {
    render(this.template(), this.container);
  }

  template() {
    const sample = this.samples[this.at];
    return html`
      <div class="bar" @keydown=${(event) => this.onKey(event)}>
        <div class="switch" role="group" aria-label="Role of the training data">
          ${ROLES.map(([role, title]) => html`
            <button type="button" aria-pressed=${role === this.role} @click=${() => this.open(role)}>${title}</button>`)}
        </div>
        ${sample ? html`
          <button type="button" class="quiet" aria-label="Previous sample" ?disabled=${this.at === 0}
            @click=${() => this.step(-1)}>←</button>
          <span role="status">${this.at + 1} of ${this.samples.length}${this.next === null ? "" : " or more"}</span>
          <button type="button" class="quiet" aria-label="Next sample" ?disabled=${this.isLast}
            @click=${() => this.step(1)}>→</button>` : nothing}
      </div>
      ${this.error ? html`<p class="notice bad" role="alert">${this.error.message}</p>` : nothing}
      ${sample ? this.sampleTemplate(sample) : html`<p class="hint">There is no training data for this role.</p>`}
    `;
  }

  get isLast() {
    return this.next === null && this.at === this.samples.length - 1;
  }

  onKey(event) {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by && this.samples.length) this.step(by);
  }

  sampleTemplate(sample) {
    const { content } = sample;
    return html`
      <article class="sample">
        <p class="facts">${TITLES[sample.kind] ?? sample.kind} · made by actor ${sample.checkpoint.actor}, refiner ${sample.checkpoint.refiner}
          ${sample.search_id ? html` · <a href="/ui/searches/${sample.search_id}">its search</a>` : nothing}</p>
        ${content.chosen ? this.pair(content) : conversation(content.messages ?? [])}
      </article>
    `;
  }

  pair({ prompt, chosen, rejected }) {
    const [better, worse] = [said(chosen), said(rejected)];
    const button = (view, title) => html`
      <button type="button" aria-pressed=${this.view === view} @click=${() => this.show(view)}>${title}</button>`;
    return html`
      <h4>Prompt</h4>
      <div class="text" dir="auto">${said(prompt)}</div>
      <div class="switch" role="group" aria-label="What to show of the pair">
        ${button("changes", "From rejected to chosen")} ${button("both", "Side by side")}
      </div>
      ${this.view === "changes" ? changesTemplate(worse, better) : html`
        <div class="sides">
          <section><h4 class="bad">Rejected</h4><div class="text" dir="auto">${worse}</div></section>
          <section><h4 class="good">Chosen</h4><div class="text" dir="auto">${better}</div></section>
        </div>`}
    `;
  }

  show(view) {
    this.view = view;
    this.draw();
  }
}

const said = (messages) => messages.map((message) => message.content).join("\n\n");

const conversation = (messages) => messages.map((message, index) => html`
  <details ?open=${index === messages.length - 1}>
    <summary>${message.role}</summary><div class="text" dir="auto">${message.content}</div>
  </details>
`);
