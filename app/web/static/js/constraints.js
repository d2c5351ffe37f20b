// The form of the constraints, with a field for each argument.
import { html, nothing, render, repeat } from "./vendor.js";

/** Draws into `container`; `onChange()` after every change. */
export class Constraints {
  constructor(container, onChange) {
    this.container = container;
    this.onChange = onChange;
    this.kinds = [];
    this.chosen = [];
    this.next = 0;
    this.draw();
  }

  /** Set the kinds, as `GET /constraints` lists them. */
  offer(kinds) {
    this.kinds = kinds;
    this.draw();
  }

  /** Replace the chosen constraints. */
  replace(constraints) {
    this.chosen = [];
    for (const { id, kwargs } of constraints) {
      const kind = this.kinds.find((one) => one.id === id);
      if (kind) this.chosen.push({ key: this.next++, kind, kwargs: shown(kind, kwargs) });
    }
    this.changed();
  }

  /** The request's constraints. Throws a `TypeError` with a message for invalid JSON. */
  get value() {
    return this.chosen.map(({ kind, kwargs }) => ({
      id: kind.id,
      kwargs: Object.fromEntries(
        Object.entries(kind.arguments)
          .filter(([name]) => kwargs[name] !== "")
          .map(([name, schema]) => [name, parsed(kwargs[name], schema, name)]),
      ),
    }));
  }

  add(id) {
    const kind = this.kinds.find((one) => one.id === id);
    if (!kind) return;
    const key = this.next++;
    this.chosen.push({ key, kind, kwargs: shown(kind, {}) });
    this.changed();
    this.container.querySelector(`[data-key="${key}"] :is(input, select, textarea, button)`).focus();
  }

  remove(entry) {
    this.chosen = this.chosen.filter((one) => one !== entry);
    this.changed();
    this.container.querySelector("#add-constraint").focus();
  }

  set(entry, name, value) {
    entry.kwargs[name] = value;
    this.onChange();
  }

  changed() {
    this.draw();
    this.onChange();
  }

  draw() {
    render(html`
      ${repeat(this.chosen, (entry) => entry.key, (entry) => this.entryTemplate(entry))}
      <div class="adding">
        <select id="add-constraint" aria-label="Add a constraint"
          @change=${(event) => this.choose(event.target)}>
          <option value="">Add a constraint…</option>
          ${groups(this.kinds).map(([group, kinds]) => html`
            <optgroup label=${group}>
              ${kinds.map((kind) => html`<option value=${kind.id}>${kind.description}</option>`)}
            </optgroup>
          `)}
        </select>
      </div>
    `, this.container);
  }

  choose(select) {
    const id = select.value;
    select.value = "";
    this.add(id);
  }

  entryTemplate(entry) {
    const { kind, key, kwargs } = entry;
    return html`
      <div class="constraint" role="group" aria-label=${kind.description} data-key=${key}>
        <p>
          <span>${kind.description} <small>${kind.id}</small></span>
          <button type="button" class="quiet" aria-label="Remove: ${kind.description}"
            @click=${() => this.remove(entry)}>×</button>
        </p>
        ${Object.keys(kind.arguments).length === 0 ? nothing : html`
          <div class="numbers">
            ${Object.entries(kind.arguments).map(([name, schema]) => html`
              <label class="number">
                <span>${label(name)}</span>
                ${this.field(entry, name, schema, kwargs[name])}
              </label>
            `)}
          </div>
        `}
      </div>
    `;
  }

  field(entry, name, schema, value) {
    const onInput = (event) => this.set(entry, name, event.target.value);
    const required = !("default" in schema);
    if (schema.enum) {
      return html`
        <select @change=${onInput}>
          ${schema.enum.map((one) => html`<option ?selected=${one === value}>${one}</option>`)}
        </select>
      `;
    }
    if (schema.type === "integer") {
      return html`<input type="number" step="1" min=${schema.minimum} max=${schema.maximum}
        .value=${value} ?required=${required} @input=${onInput} />`;
    }
    if (schema.type === "object") {
      return html`<textarea rows="4" spellcheck="false" .value=${value} ?required=${required}
        placeholder='{"type": "object"}' @input=${onInput}></textarea>`;
    }
    const hint = schema.type === "array" ? "separate by commas" : "";
    return html`<input type="text" .value=${value} placeholder=${hint} ?required=${required}
      @input=${onInput} />`;
  }
}

/** `Num words` for `num_words`. */
const label = (name) => {
  const text = name.replace(/_/gu, " ");
  return text[0].toUpperCase() + text.slice(1);
};

/** Arguments as the values of their fields. */
function shown(kind, kwargs) {
  return Object.fromEntries(Object.entries(kind.arguments).map(([name, schema]) => {
    const value = kwargs[name] ?? schema.default ?? schema.enum?.[0] ?? "";
    if (Array.isArray(value)) return [name, value.join(", ")];
    return [name, typeof value === "object" ? JSON.stringify(value, null, 2) : String(value)];
  }));
}

function parsed(text, schema, name) {
  if (schema.type === "integer") return Number(text);
  if (schema.type === "array") return text.split(",").map((part) => part.trim()).filter(Boolean);
  if (schema.type !== "object") return text;
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new TypeError(`${label(name)} is not JSON: ${error.message}`);
  }
}

function groups(kinds) {
  const byGroup = new Map();
  for (const kind of kinds) {
    const [group, name] = kind.id.split(":");
    const title = name ? label(group) : "Other";
    byGroup.set(title, [...(byGroup.get(title) ?? []), kind]);
  }
  return [...byGroup];
}
