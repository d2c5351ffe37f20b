// The API key. It is kept for the browser tab's lifetime and sent only to this server.
import { html, nothing, render } from "./vendor.js";

const STORED = "spar-key";
let asking = null;

/** The key, or null. */
export const key = () => sessionStorage.getItem(STORED);

/** Show the button that removes the key. */
function showRemove() {
  const remove = document.getElementById("remove-key");
  remove.hidden = !key();
  remove.onclick = () => {
    sessionStorage.removeItem(STORED);
    location.reload();
  };
}

/** Ask for a key; resolves to whether one was given. Concurrent calls share one dialog. */
export function askKey(reason) {
  asking ??= show(reason).finally(() => {
    asking = null;
  });
  return asking;
}

async function show(reason) {
  const dialog = document.createElement("dialog");
  dialog.className = "key";
  dialog.setAttribute("aria-labelledby", "key-title");
  render(form(reason), dialog);
  document.body.append(dialog);
  dialog.showModal();
  await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
  const given = dialog.returnValue === "use" ? dialog.querySelector("input").value.trim() : "";
  dialog.remove();
  if (given) sessionStorage.setItem(STORED, given);
  showRemove();
  return given !== "";
}

const form = (reason) => html`
  <form method="dialog">
    <h2 id="key-title">This server requires a key</h2>
    <p>${reason}</p>
    ${key() ? html`<p class="hint">The previous key was not accepted.</p>` : nothing}
    <label class="field" for="key">Key</label>
    <input id="key" type="password" autocomplete="off" required autofocus />
    <p class="hint">It is kept in this tab only, until you close it.</p>
    <div class="actions">
      <button class="primary" value="use">Use this key</button>
      <button value="cancel" formnovalidate>Cancel</button>
    </div>
  </form>
`;

showRemove();
