// The feedback form: a rating, a better answer, or both.
import { ask } from "./api.js";
import { html, nothing, render } from "./vendor.js";

/** Draws the form for `search` into `container`. */
export function feedback(container, search) {
  const state = { rating: null, said: "", error: "" };
  const draw = () => render(template(), container);

  const rate = (rating) => () => {
    state.rating = state.rating === rating ? null : rating;
    draw();
  };

  async function send(event) {
    event.preventDefault();
    const { better, comment } = event.target.elements;
    const body = { search_id: search.id };
    if (state.rating !== null) body.rating = state.rating;
    if (better.value.trim()) body.better = better.value;
    if (comment.value.trim()) body.comment = comment.value;
    Object.assign(state, { said: "", error: "" });
    if (!("rating" in body) && !("better" in body)) {
      state.error = "Choose good or bad, or write a better answer first.";
      return draw();
    }
    try {
      await ask("/feedback", { method: "POST", body });
      state.said = "Stored. The next iteration trains on it.";
      state.rating = null;
      event.target.reset();
    } catch (problem) {
      state.error = problem.message;
    }
    draw();
  }

  const button = (rating, title) => html`
    <button type="button" aria-pressed=${state.rating === rating} @click=${rate(rating)}>
      ${title}
    </button>
  `;

  const template = () => html`
    <form class="card-form" @submit=${send}>
      <h3>Is this a good answer?</h3>
      <div class="switch" role="group" aria-label="Rating">
        ${button(1, "Good")} ${button(-1, "Bad")}
      </div>
      <label class="field" for="better">A better answer</label>
      <textarea id="better" name="better" rows="3" maxlength="1000000"></textarea>
      <p class="hint">It is preferred to the answer above when the actor is trained next.</p>
      <label class="field" for="comment">A comment; it is not trained on</label>
      <input id="comment" name="comment" type="text" maxlength="1000000" autocomplete="off" />
      <div class="actions"><button class="primary">Send</button></div>
      ${state.error ? html`<p class="notice bad" role="alert">${state.error}</p>` : nothing}
      <p class="good" role="status">${state.said}</p>
    </form>
  `;

  draw();
}
