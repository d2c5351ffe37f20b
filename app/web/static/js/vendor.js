// The libraries, which scripts/vendor.py copies out of their packages, and what is used of them.
export { html, nothing, render, svg } from "../vendor/lit-html/lit-html.js";
export { guard } from "../vendor/lit-html/directives/guard.js";
export { live } from "../vendor/lit-html/directives/live.js";
export { repeat } from "../vendor/lit-html/directives/repeat.js";
export { stratify, tree } from "../vendor/d3-hierarchy/dist/d3-hierarchy.min.mjs";
export { diffWords } from "../vendor/diff/libesm/diff/word.js";
export { default as uPlot } from "../vendor/uplot/dist/uPlot.esm.js";
export { createParser } from "../vendor/eventsource-parser/dist/index.js";
