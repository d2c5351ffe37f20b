// HTTP requests to the server: adds the key, and turns failures into `Problem`s.
import { createParser } from "./vendor.js";
import { askKey, key } from "./key.js";

/** An error to show; `field` is the request's field it is about, where there is one. */
export class Problem extends Error {
  constructor(message, { status = 0, field = null } = {}) {
    super(message);
    this.status = status;
    this.field = field;
  }
}

/** The JSON answer to a request. Throws `Problem`; an aborted request throws an `AbortError`. */
export async function ask(path, options = {}) {
  const response = await send(path, options);
  return response.json();
}

/** Calls `onEvent(name, data)` for each server-sent event until the stream ends. */
export async function follow(path, options, onEvent) {
  const response = await send(path, options);
  const parser = createParser({
    onEvent: ({ event, data }) => onEvent(event ?? "message", JSON.parse(data)),
  });
  const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
  try {
    for (let part = await text.read(); !part.done; part = await text.read()) {
      parser.feed(part.value);
    }
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The connection to the server was lost.");
  }
}

async function send(path, { method = "GET", body, signal } = {}) {
  const response = await attempt(path, method, body, signal);
  if (response.status !== 401) return checked(response);
  const problem = await problemOf(response);
  if (!(await askKey(problem.message))) throw problem;
  return send(path, { method, body, signal });
}

async function attempt(path, method, body, signal) {
  const headers = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key()) headers.Authorization = `Bearer ${key()}`;
  const content = body === undefined ? undefined : JSON.stringify(body);
  try {
    return await fetch(path, { method, headers, body: content, signal });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem("The server cannot be reached. Is it running?");
  }
}

async function checked(response) {
  if (!response.ok) throw await problemOf(response);
  return response;
}

async function problemOf(response) {
  const details = await response.json().catch(() => ({}));
  const message = details.message ?? `The server answered ${response.status}.`;
  return new Problem(message, { status: response.status, field: details.field });
}
