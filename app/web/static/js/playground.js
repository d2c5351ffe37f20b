// The playground: a form on one side, one or two searches on the other.
import { ask } from "./api.js";
import { Constraints } from "./constraints.js";
import { Copy } from "./copy.js";
import { chosenModes, fillIn, firstInvalid, requestBody, showOptions } from "./form.js";
import { Lane, facts, verdict } from "./lane.js";
import { Progress } from "./progress.js";
import { Run } from "./run.js";
import { welcome } from "./welcome.js";
import { modeTitle } from "./words.js";

const form = document.getElementById("ask");
const results = document.getElementById("results");
const error = document.getElementById("form-error");
const start = document.getElementById("start");
const stop = document.getElementById("stop");
const progress = new Progress(document.getElementById("progress"));
const copy = new Copy(document.getElementById("snippet"));
const constraints = new Constraints(document.getElementById("constraints"), refresh);
let lanes = [];

function refresh() {
  showOptions(form);
  document.getElementById("second").hidden = !form.elements.compare.checked;
  if (!document.getElementById("copy").open) return;
  try {
    copy.update(requestBody(form, form.elements.mode.value, constraints.value));
  } catch (problem) {
    showError(problem.message);
  }
}

function showError(message) {
  error.textContent = message;
  error.hidden = !message;
}

/** The requests to send, or null when the form is invalid; the error is then shown. */
function requests() {
  showError("");
  const wrong = firstInvalid(form);
  if (wrong) {
    wrong.closest("details")?.setAttribute("open", "");
    const name = wrong.labels?.[0]?.firstElementChild?.firstChild.textContent ?? "";
    showError(wrong.id === "prompt" ? "Write an instruction first." : `${name.trim()}: ${wrong.validationMessage}`);
    wrong.focus();
    return null;
  }
  try {
    return chosenModes(form).map((mode) => requestBody(form, mode, constraints.value));
  } catch (problem) {
    showError(problem.message);
    return null;
  }
}

function search(event) {
  event?.preventDefault();
  const bodies = requests();
  if (!bodies) return;
  halt();
  const sections = bodies.map(() => document.createElement("section"));
  results.replaceChildren(...sections);
  results.dataset.lanes = String(sections.length);
  lanes = bodies.map((body, index) => new Lane(sections[index], new Run(body, onChange)));
  for (const lane of lanes) lane.run.start();
  progress.sayNow("Searching");
  showButtons();
}

function halt() {
  for (const lane of lanes) {
    lane.run.stop();
    lane.close();
  }
}

function onChange(run) {
  const lane = lanes.find((one) => one.run === run);
  if (!lane) return;
  lane.update();
  if (run.running) progress.say(summary(run));
  else progress.sayNow(summary(run));
  showButtons();
}

const summary = (run) => `${modeTitle(run.mode)}: ${run.error?.message ?? verdict(run)}. ${facts(run)}`;

function showButtons() {
  const running = lanes.some((lane) => lane.run.running);
  stop.disabled = !running;
  start.textContent = running ? "Search again" : "Search";
}

form.addEventListener("submit", search);
form.addEventListener("input", refresh);
form.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) search(event);
});
document.getElementById("copy").addEventListener("toggle", refresh);
stop.addEventListener("click", () => lanes.forEach((lane) => lane.run.stop()));

welcome(results, (example) => {
  form.elements.prompt.value = example.prompt;
  form.elements.mode.value = example.mode;
  constraints.replace(example.constraints);
  form.elements.prompt.focus();
});
refresh();

/** Fill the form with a stored search, if the URL names one. */
async function prepare() {
  constraints.offer(await ask("/constraints"));
  const again = new URLSearchParams(location.search).get("again");
  if (!again) return;
  const before = await ask(`/searches/${encodeURIComponent(again)}`);
  fillIn(form, before);
  constraints.replace(before.asked);
}

prepare().catch((problem) => showError(problem.message));
