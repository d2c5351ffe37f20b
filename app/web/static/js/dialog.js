// A question that is answered before something is done.
import { html, render } from "./vendor.js";

/** Ask with a title, what will happen (a template), and the button's word; resolves to yes or no. */
export async function confirm({ title, what, yes }) {
  const dialog = document.createElement("dialog");
  dialog.setAttribute("aria-labelledby", "confirm-title");
  render(html`
    <form method="dialog">
      <h2 id="confirm-title">${title}</h2>
      ${what}
      <div class="actions">
        <button class="primary" value="yes">${yes}</button>
        <button value="no" autofocus>Leave it as it is</button>
      </div>
    </form>
  `, dialog);
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const said = dialog.returnValue;
  dialog.remove();
  return said === "yes";
}
