// The state of a running search, updated by its events.
import { Problem, follow } from "./api.js";
import { isJudged } from "./words.js";

/** One search. `onChange` is called after every event. */
export class Run {
  constructor(body, onChange) {
    this.body = body;
    this.mode = body.mode;
    this.status = "waiting";
    this.id = null;
    this.error = null;
    this.result = null;
    this.text = "";
    this.nodes = new Map([[0, root(body.prompt)]]);
    this.startedAt = performance.now();
    this.endedAt = null;
    this.onChange = onChange;
    this.abort = new AbortController();
  }

  get running() {
    return this.status === "waiting" || this.status === "searching";
  }

  /** Milliseconds since the start. */
  get elapsed() {
    return (this.endedAt ?? performance.now()) - this.startedAt;
  }

  /** The best node so far, ranked as the server ranks; null when there is none. */
  get best() {
    const answers = [...this.nodes.values()].filter((node) => node.kind !== "prompt");
    return answers.reduce((best, node) => (best && !better(node, best) ? best : node), null);
  }

  /** Search until the end; never throws. */
  async start() {
    const body = { ...this.body, stream: true, include_tree: true };
    try {
      const options = { method: "POST", body, signal: this.abort.signal };
      await follow("/generate", options, (name, data) => this.apply(name, data));
      if (this.running) throw new Problem("The connection to the server was lost.");
    } catch (error) {
      if (error.name === "AbortError") this.end("stopped");
      else if (error instanceof Problem) this.fail(error);
      else throw error;
    }
  }

  /** Stop: closing the connection makes the server cancel the search. */
  stop() {
    this.abort.abort();
  }

  apply(name, data) {
    if (name === "start") {
      this.id = data.id;
      this.status = "searching";
    } else if (name === "node" || name === "judged") this.nodes.set(data.id, data);
    else if (name === "delta") this.text += data.text;
    else if (name === "final") {
      this.result = data;
      this.nodes = new Map(data.tree.map((node) => [node.id, node]));
      return this.end("done");
    } else if (name === "error") return this.fail(new Problem(data.message, data));
    this.onChange(this);
  }

  fail(error) {
    this.error = error;
    this.end("failed");
  }

  end(status) {
    this.status = status;
    this.endedAt = performance.now();
    this.onChange(this);
  }
}

const root = (text) => ({
  id: 0, parent: null, depth: 0, kind: "prompt", text, value: null, accepted: false,
  critique: null, constraints: [], votes: [], partial: false, completion_tokens: 0, created_ms: 0,
});

function better(node, other) {
  const [mine, theirs] = [rank(node), rank(other)];
  const differs = mine.findIndex((part, index) => part !== theirs[index]);
  return differs >= 0 && mine[differs] > theirs[differs];
}

function rank(node) {
  if (!isJudged(node)) return [0, -1, -1, -node.id];
  const met = node.constraints.filter((result) => result.satisfied).length;
  const satisfied = node.constraints.length ? met / node.constraints.length : 1;
  return [Number(node.accepted), satisfied, node.value ?? -1, -node.id];
}
