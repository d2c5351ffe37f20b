// Shows a request as a command to copy.
import { curl, python, spar } from "./snippets.js";
import { html, render } from "./vendor.js";

const FORMS = [["curl", curl], ["Python", python], ["spar", spar]];

/** Draws into `container`. */
export class Copy {
  constructor(container) {
    this.container = container;
    this.form = 0;
    this.copied = false;
    this.body = null;
  }

  /** Show this request. */
  update(body) {
    this.body = body;
    this.copied = false;
    this.draw();
  }

  draw() {
    const text = FORMS[this.form][1](this.body, location.origin);
    const choose = (index) => () => {
      this.form = index;
      this.copied = false;
      this.draw();
    };
    render(html`
      <div class="bar">
        <div class="switch" role="group" aria-label="Form of the command">
          ${FORMS.map(([name], index) => html`
            <button type="button" aria-pressed=${index === this.form} @click=${choose(index)}>
              ${name}
            </button>
          `)}
        </div>
        <button type="button" class="quiet" @click=${() => this.copy(text)}>Copy</button>
        <span role="status" class="hint">${this.copied ? "Copied" : ""}</span>
      </div>
      <pre tabindex="0" aria-label="Command">${text}</pre>
    `, this.container);
  }

  async copy(text) {
    await navigator.clipboard.writeText(text);
    this.copied = true;
    this.draw();
  }
}
