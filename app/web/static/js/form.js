// From the playground's form to a request; unchanged fields are left out.

/** Show the options that the chosen modes use, and explain each mode. */
export function showOptions(form) {
  const modes = chosenModes(form);
  for (const part of form.querySelectorAll("[data-modes]")) {
    part.hidden = !modes.some((mode) => part.dataset.modes.split(" ").includes(mode));
  }
  for (const name of ["mode", "mode2"]) {
    const [option] = form.elements[name].selectedOptions;
    form.querySelector(`#${name}-hint`).textContent = option.dataset.explanation;
  }
}

/** One mode, or two to compare. */
export function chosenModes(form) {
  const { mode, mode2, compare } = form.elements;
  return compare.checked ? [mode.value, mode2.value] : [mode.value];
}

/** The request's body for one mode. */
export function requestBody(form, mode, constraints) {
  const body = { prompt: form.elements.prompt.value, mode };
  if (constraints.length) body.constraints = constraints;
  for (const input of form.querySelectorAll("input[type=number][name*='.']")) {
    const used = input.closest("[data-modes]").dataset.modes.split(" ").includes(mode);
    if (used && input.value !== "") put(body, input.name, Number(input.value));
  }
  if (mode !== "greedy" && !form.elements["search.early_stop"].checked) {
    put(body, "search.early_stop", false);
  }
  if (mode !== "greedy" && form.elements["search.quick_verdict"].checked) {
    put(body, "search.quick_verdict", true);
  }
  return body;
}

/** Fill the form with a stored search. */
export function fillIn(form, { prompt, mode, options }) {
  form.elements.prompt.value = prompt;
  form.elements.mode.value = mode;
  for (const input of form.querySelectorAll("input[type=number][name*='.']")) {
    const [group, field] = input.name.split(".");
    const asked = options[group]?.[field];
    input.value = asked === null || asked === undefined ? "" : String(asked);
  }
  form.elements["search.early_stop"].checked = options.search.early_stop;
  form.elements["search.quick_verdict"].checked = Boolean(options.search.quick_verdict);
}

/** The first invalid field of the form; null when there is none. */
export function firstInvalid(form) {
  return [...form.elements].find((field) => field.willValidate && !field.validity.valid) ?? null;
}

function put(body, name, value) {
  const [group, field] = name.split(".");
  (body[group] ??= {})[field] = value;
}
