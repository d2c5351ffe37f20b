// A confirmation dialog.
import { html, render } from "./vendor.js";

/** Ask with a title, a description (a template) and the button's label; resolves to a boolean. */
export async function confirm({ title, what, yes }) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "confirm-title");
  render(html`
    <form method="dialog">
      <h2 id="confirm-title">${title}</h2>
      ${what}
      <div class="actions">
        <button class="primary" value="yes">${yes}</button>
        <button value="no" autofocus>Do nothing</button>
      </div>
    </form>
  `, dialog);
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const chosen = dialog.returnValue;
  dialog.remove();
  return chosen === "yes";
}
