// Shared by the pages that poll: showing errors, and polling.

/** Show an error in the page's notice, or hide it (null). */
export function complain(problem) {
  const notice = document.getElementById("error");
  notice.hidden = problem === null;
  if (problem === null) return;
  notice.textContent = problem.status === 403
    ? `${problem.message}. Choose "Remove the key" to enter another one.` : problem.message;
}

/**
 * Calls `load()` now and `pause` milliseconds after each end of it, while the page is visible.
 * Shows what it throws. Returns a function that calls it at once.
 */
export function keepLoading(load, pause) {
  let waiting = 0;
  let loading = null;
  async function once() {
    clearTimeout(waiting);
    let refused = false;
    try {
      await load();
      complain(null);
    } catch (problem) {
      complain(problem);
      refused = [401, 403].includes(problem.status);
    }
    loading = null;
    // Without a valid key there is no polling: it would open the key dialog every few seconds.
    if (!refused) waiting = setTimeout(next, pause);
  }
  function next() {
    if (document.hidden) return null;
    loading ??= once();
    return loading;
  }
  document.addEventListener("visibilitychange", next);
  next();
  return async () => {
    await loading;
    await next();
  };
}

/** Run the action of a button, which is disabled meanwhile; errors are shown. */
export async function act(button, work) {
  button.disabled = true;
  try {
    await work();
    complain(null);
  } catch (problem) {
    complain(problem);
  }
  button.disabled = false;
}
