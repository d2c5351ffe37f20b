// A request as a `curl` command, a Python program or a `spar` command.
import { key } from "./key.js";

/** A request as a `curl` command. */
export function curl(body, origin) {
  const authorization = key() ? ` \\\n  -H "Authorization: Bearer $SPAR_API_KEY"` : "";
  const json = quoted(JSON.stringify(body, null, 2));
  return `curl ${origin}/generate -H 'content-type: application/json'${authorization} \\\n  -d ${json}`;
}

/** A request as a Python program that uses the OpenAI client. */
export function python(body, origin) {
  const { prompt, mode, sampling = {}, ...extra } = body;
  const key_ = key() ? 'os.environ["SPAR_API_KEY"]' : '"none"';
  const sampled = Object.entries(sampling).map(([name, value]) => `    ${name}=${literal(value)},`);
  const lines = [
    ...(key() ? ["import os", ""] : []),
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url=${literal(`${origin}/v1`)}, api_key=${key_})`,
    "answer = client.chat.completions.create(",
    `    model=${literal(`actor:${mode}`)},`,
    `    messages=[{"role": "user", "content": ${literal(prompt)}}],`,
    ...sampled,
    ...(Object.keys(extra).length ? [`    extra_body=${literal(extra, 1)},`] : []),
    ")",
    "print(answer.choices[0].message.content)",
  ];
  return lines.join("\n");
}

const FLAGS = {
  "sampling.max_tokens": "--length",
  "budget.deadline_ms": "--deadline",
};

/** A request as a `spar` command. */
export function spar(body, origin) {
  const { prompt, mode, constraints = [] } = body;
  const parts = [`spar generate --url ${origin} --mode ${mode}`];
  for (const group of ["search", "budget", "sampling"]) {
    for (const [name, value] of Object.entries(body[group] ?? {})) {
      parts.push(option(`${group}.${name}`, name, value));
    }
  }
  for (const { id, kwargs } of constraints) {
    const bare = Object.keys(kwargs).length === 0;
    parts.push(`--constraint ${quoted(bare ? id : `${id}=${JSON.stringify(kwargs)}`)}`);
  }
  return [...parts, `-- ${quoted(prompt)}`].join(" \\\n  ");
}

function option(path, name, value) {
  const flag = FLAGS[path] ?? `--${name.replace(/_/gu, "-")}`;
  if (value === true) return flag;
  return value === false ? flag.replace("--", "--no-") : `${flag} ${value}`;
}

/** For a POSIX shell. */
const quoted = (text) => `'${text.replace(/'/gu, `'\\''`)}'`;

/** A JSON value as Python writes it; lines are broken down to `depth` levels of indentation. */
function literal(value, depth = 0) {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value !== "object") return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((one) => literal(one)).join(", ")}]`;
  const entries = Object.entries(value).map(([name, one]) => `${JSON.stringify(name)}: ${literal(one)}`);
  if (depth === 0) return `{${entries.join(", ")}}`;
  const indent = "    ".repeat(depth);
  return `{\n${entries.map((entry) => `${indent}    ${entry},\n`).join("")}${indent}}`;
}
