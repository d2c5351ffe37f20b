// What the pages that watch have in common: errors in words, and asking again and again.

/** Show an error in the page's notice, or hide it (null). */
export function complain(problem) {
  const notice = document.getElementById("error");
  notice.hidden = problem === null;
  if (problem === null) return;
  notice.textContent = problem.status === 403
    ? `${problem.message}. "Forget the key" lets you give another one.` : problem.message;
}

/**
 * Calls `load()` now and `pause` milliseconds after each end of it, while the page is looked at.
 * What it throws is shown. Returns a function that calls it at once.
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
    // Who has no key, or the wrong one, is not asked for it every few seconds.
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

/** Do something that a button started: the button waits for its end, errors are said in words. */
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
