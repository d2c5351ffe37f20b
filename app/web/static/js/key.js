// The reader's key. It lives as long as the browser tab, and goes only to this server.
import { html, nothing, render } from "./vendor.js";

const STORED = "spar-key";
let asking = null;

/** The key, or null. */
export const key = () => sessionStorage.getItem(STORED);

/** Offer to forget the key, in the frame. */
function showForget() {
  const forget = document.getElementById("forget-key");
  forget.hidden = !key();
  forget.onclick = () => {
    sessionStorage.removeItem(STORED);
    location.reload();
  };
}

/** Ask for a key; resolves to whether one was given. Asked twice at once, it shows one dialog. */
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
  showForget();
  return given !== "";
}

const form = (reason) => html`
  <form method="dialog">
    <h2 id="key-title">This server asks for a key</h2>
    <p>${reason}</p>
    ${key() ? html`<p class="hint">The key given before was not accepted.</p>` : nothing}
    <label class="field" for="key">Key</label>
    <input id="key" type="password" autocomplete="off" required autofocus />
    <p class="hint">It is kept in this tab only, and forgotten when you close it.</p>
    <div class="actions">
      <button class="primary" value="use">Use this key</button>
      <button value="cancel" formnovalidate>Cancel</button>
    </div>
  </form>
`;

showForget();
