// Curves drawn by uPlot in the page's colours, with a table of the values.
import { html, render, uPlot } from "./vendor.js";

const HEIGHT = 200;
const DASHES = [[], [6, 4], [2, 3]];

/**
 * Draws into `container`: `title`, `xLabel`, and `series` of `{label, tone, interval}`. With
 * `interval` a value is `{value, low, high}` and its interval is drawn. `tone` is one of the page's colours.
 */
export class Chart {
  constructor(container, { title, xLabel, series, format = (value) => value.toPrecision(3) }) {
    Object.assign(this, { container, title, xLabel, series, format });
    this.rows = [];
    this.plot = null;
    const redraw = () => this.draw();
    new ResizeObserver(redraw).observe(container);
    new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  }

  /** Show these rows: `[x, one value of each series]`, in order of x. */
  update(rows) {
    this.rows = rows;
    this.draw();
  }

  draw() {
    if (!this.rows.length) return;
    if (!this.plot) this.frame();
    const plot = this.container.querySelector(".plot");
    this.plot?.destroy();
    this.plot = new uPlot(this.options(plot.clientWidth), this.columns(), plot);
    plot.setAttribute("aria-label", this.said());
    render(this.table(), this.container.querySelector(".rows"));
  }

  frame() {
    render(html`
      <figcaption>${this.title}</figcaption>
      <div class="plot" role="img"></div>
      <details><summary>As a table</summary><div class="rows" tabindex="0" role="region"
        aria-label="${this.title}: table"></div></details>
    `, this.container);
  }

  columns() {
    const values = this.series.map((_, at) => this.rows.map((row) => plain(row[at + 1])));
    return [this.rows.map(([x]) => x), ...values];
  }

  options(width) {
    const [soft, line] = [colour(this.container, "soft"), colour(this.container, "line")];
    const axis = { stroke: soft, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 } };
    return {
      width: Math.max(width, 120),
      height: HEIGHT,
      scales: { x: { time: false, range: around }, y: { range: (_, low, high) => this.yRange(low, high) } },
      axes: [
        { ...axis, label: this.xLabel, labelSize: 22, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000] },
        { ...axis, size: 58, values: (_, ticks) => ticks.map(this.format) },
      ],
      series: [
        { label: this.xLabel },
        ...this.series.map(({ label, tone, interval }, at) => ({
          label,
          stroke: colour(this.container, tone),
          width: 2,
          dash: DASHES[at % DASHES.length],
          points: { show: interval || this.rows.length < 30, size: interval ? 8 : 5 },
          spanGaps: true,
          value: (_, value) => (value === null || value === undefined ? "–" : this.format(value)),
        })),
      ],
      cursor: { drag: { x: false, y: false } },
      hooks: { draw: [(plot) => this.drawIntervals(plot)] },
    };
  }

  /** The range of what is drawn, intervals included, with a margin. */
  yRange(low, high) {
    const drawn = this.rows.flatMap((row) => row.slice(1)).flatMap((value) => [value?.low, value?.high]);
    const all = [low, high, ...drawn].filter((value) => typeof value === "number");
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const room = (most - least) * 0.08 || Math.abs(most) * 0.1 || 0.1;
    return [least - room, most + room];
  }

  drawIntervals(plot) {
    const { ctx } = plot;
    ctx.save();
    this.series.forEach(({ interval, tone }, at) => {
      if (!interval) return;
      ctx.strokeStyle = colour(this.container, tone);
      ctx.lineWidth = 1.5 * devicePixelRatio;
      for (const row of this.rows) {
        const value = row[at + 1];
        if (!value) continue;
        const x = plot.valToPos(row[0], "x", true);
        const [low, high] = [value.low, value.high].map((one) => plot.valToPos(one, "y", true));
        const cap = 4 * devicePixelRatio;
        ctx.beginPath();
        for (const [y, from, to] of [[low, x - cap, x + cap], [high, x - cap, x + cap]]) {
          ctx.moveTo(from, y);
          ctx.lineTo(to, y);
        }
        ctx.moveTo(x, low);
        ctx.lineTo(x, high);
        ctx.stroke();
      }
    });
    ctx.restore();
  }

  /** The first and last value of every curve, for screen readers. */
  said() {
    const curves = this.series.map(({ label }, at) => {
      const values = this.rows.map((row) => plain(row[at + 1])).filter((value) => value !== null);
      if (!values.length) return `${label}: none`;
      return `${label} from ${this.format(values[0])} to ${this.format(values.at(-1))}`;
    });
    return `${this.title}. ${curves.join("; ")}.`;
  }

  table() {
    const cell = (value) => {
      if (plain(value) === null) return "–";
      if (typeof value === "number") return this.format(value);
      return `${this.format(value.value)} (${this.format(value.low)} to ${this.format(value.high)})`;
    };
    return html`
      <table class="grid">
        <thead><tr><th>${this.xLabel}</th>${this.series.map(({ label }) => html`<th>${label}</th>`)}</tr></thead>
        <tbody>${this.rows.map((row) => html`
          <tr><td>${row[0]}</td>${row.slice(1).map((value) => html`<td>${cell(value)}</td>`)}</tr>`)}
        </tbody>
      </table>
    `;
  }
}

/** A range with a margin, so that no point lies on an edge. */
function around(_, low, high) {
  const room = Math.max((high - low) * 0.04, 0.25);
  return [low - room, high + room];
}

const plain = (value) => (value === null || value === undefined ? null : value.value ?? value);

/** A CSS variable's colour, resolved: a canvas does not support variables. */
function colour(container, name) {
  const probe = document.createElement("span");
  probe.style.color = `var(--${name})`;
  container.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}
