// Labels, and formatted numbers and times.
const { modes, stop_reasons, stages, statuses } = JSON.parse(document.documentElement.dataset.labels);

const grouped = new Intl.NumberFormat("en");
const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60]];

/** `Best of N` for `best_of_n`. */
export const modeTitle = (mode) => modes[mode] ?? mode;

/** Why a search ended. */
export const stopReason = (reason) => stop_reasons[reason] ?? reason;

/** `Respond` for `respond`. */
export const stageTitle = (stage) => stages[stage] ?? stage;

/** `finished` for `succeeded`. */
export const statusWord = (status) => statuses[status] ?? status;

/** The colour of a status. */
export const statusTone = (status) =>
  ({ succeeded: "good", promoted: "good", failed: "bad", rejected: "bad" })[status] ?? "";

/** `1,234`. */
export const grouping = (number) => grouped.format(number);

/** `62 %`; a dash where there is none. */
export const percent = (value, digits = 0) =>
  (value === null || value === undefined ? "–" : `${(100 * value).toFixed(digits)} %`);

/** A difference of shares in percentage points, with its sign: `+2.5`. */
export const points = (value) => `${value < 0 ? "−" : "+"}${Math.abs(100 * value).toFixed(1)}`;

/** `1 node`, `1,234 nodes`. */
export const count = (number, noun) =>
  `${grouped.format(number)} ${noun}${number === 1 ? "" : noun.endsWith("ch") ? "es" : "s"}`;

/** A value or probability: `0.60`; a dash where there is none. */
export const share = (value) => (value === null ? "–" : value.toFixed(2));

/** Milliseconds as `80 ms`, `4.2 s`, `3 min 5 s` or `2 h 10 min`. */
export function duration(ms) {
  if (ms < 100) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
}

/** `3 minutes ago`. */
export function ago(moment, now = Date.now()) {
  const seconds = (now - new Date(moment)) / 1000;
  const unit = UNITS.find(([, length]) => seconds >= length);
  if (!unit) return "just now";
  return relative.format(-Math.floor(seconds / unit[1]), unit[0]);
}

/** A full date and time in the local time zone. */
export const moment = (text) =>
  new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });

/** The text on one line, cut to `length` characters. */
export function firstWords(text, length) {
  const line = text.slice(0, 8 * length).replace(/\s+/gu, " ").trim();
  const characters = Array.from(line);
  return characters.length > length ? `${characters.slice(0, length - 1).join("")}…` : line;
}

/** `Response 3`. */
export const nodeTitle = (node) =>
  node.kind === "prompt" ? "Instruction" : `${node.kind === "response" ? "Response" : "Refinement"} ${node.id}`;

/** Whether the node has been judged or checked. */
export const isJudged = (node) =>
  node.critique !== null || node.value !== null || node.accepted || node.constraints.length > 0;

/** `accepted`, `rejected`, `pending` or `prompt`. */
export function nodeState(node, running = false) {
  if (node.kind === "prompt") return "prompt";
  if (!isJudged(node)) return running ? "pending" : "unjudged";
  return node.accepted ? "accepted" : "rejected";
}
