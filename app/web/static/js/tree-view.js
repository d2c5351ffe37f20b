// The tree as SVG. Only what changed is drawn again, at most once per frame.
import { CARD, layOut } from "./layout.js";
import { guard, html, nothing, render, repeat, svg } from "./vendor.js";
import { count, duration, firstWords, nodeState, nodeTitle, share } from "./words.js";

const MARKS = { accepted: "✓", rejected: "✗", pending: "…", unjudged: "", prompt: "" };
// For screen readers, which read a card's texts: a mark alone is not understandable.
const SAID = {
  accepted: "accepted", rejected: "not accepted", pending: "being judged", unjudged: "not judged",
};
const SNIPPET = 26;
const ZOOMS = [0.25, 0.4, 0.6, 0.8, 1];

/** Draws into `container`; `onSelect(id)` when a node is chosen, `onOpen(id)` on Enter. */
export class TreeView {
  constructor(container, { onSelect, onOpen, label }) {
    this.container = container;
    this.onSelect = onSelect;
    this.onOpen = onOpen;
    this.label = label;
    this.state = { nodes: new Map(), best: null, running: false };
    this.selected = null;
    this.zoom = ZOOMS.length - 1;
    this.laid = null;
    this.waiting = false;
  }

  /** Show this state of a search in the next frame. */
  update(state) {
    this.state = state;
    if (!this.waiting) requestAnimationFrame(() => this.draw());
    this.waiting = true;
  }

  /** Select a node, and focus it if `focus`. */
  select(id, { focus = false } = {}) {
    this.selected = id;
    this.onSelect(id);
    this.draw();
    const card = this.container.querySelector(`[data-id="${id}"]`);
    if (focus) card.focus({ preventScroll: true });
    card.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  draw() {
    this.waiting = false;
    const { nodes } = this.state;
    if (!this.isLaid(nodes)) this.laid = layOut(nodes);
    render(this.template(), this.container);
  }

  /** Nodes never change their parent: the same ids have the same layout. */
  isLaid(nodes) {
    const places = this.laid?.places;
    return places?.size === nodes.size && [...nodes.keys()].every((id) => places.has(id));
  }

  template() {
    const { width, height, places } = this.laid;
    const scale = ZOOMS[this.zoom];
    return html`
      ${places.size > 8 ? this.zoomTemplate() : nothing}
      <div class="canvas" @keydown=${(event) => this.onKey(event)}>
        <svg role="tree" aria-label=${this.label} width=${width * scale} height=${height * scale}
          viewBox="0 0 ${width} ${height}">
          ${guard([this.laid], () => svg`<g class="links">${repeat(places.keys(), (id) => id,
            (id) => svg`<path d=${link(places, id)}></path>`)}</g>`)}
          ${repeat(this.state.nodes.values(), (node) => node.id, (node) => this.card(node))}
        </svg>
      </div>
    `;
  }

  zoomTemplate() {
    const step = (by) => () => {
      this.zoom += by;
      this.draw();
    };
    return html`
      <div class="zoom" role="group" aria-label="Size of the tree">
        <button type="button" class="quiet" aria-label="Smaller" ?disabled=${this.zoom === 0}
          @click=${step(-1)}>−</button>
        <button type="button" class="quiet" aria-label="Larger"
          ?disabled=${this.zoom === ZOOMS.length - 1} @click=${step(1)}>+</button>
      </div>
    `;
  }

  card(node) {
    const place = this.laid.places.get(node.id);
    const state = nodeState(node, this.state.running);
    const selected = node.id === this.selected;
    const best = node.id === this.state.best;
    const reachable = this.selected === null ? node.id === 0 : selected;
    return guard([node, this.laid, state, selected, best, reachable], () => {
      const { siblings, position } = this.family(node.id);
      return svg`
        <g class="card ${state}${best ? " best" : ""}" role="treeitem" data-id=${node.id}
          tabindex=${reachable ? 0 : -1} aria-level=${node.depth + 1} aria-setsize=${siblings}
          aria-posinset=${position} aria-selected=${selected}
          transform="translate(${place.x} ${place.y})" @click=${() => this.select(node.id)}>
          <rect class="face" width=${CARD.width} height=${CARD.height} rx="8"></rect>
          <text class="title" x="12" y="20">${nodeTitle(node)}</text>
          <text class="mark" x=${CARD.width - 12} y="20" text-anchor="end">${headline(node, state, best)}</text>
          <text class="said" x="12" y="20">${SAID[state] ?? ""}</text>
          <svg role="presentation" x="12" y="25" width=${CARD.width - 24} height="18">
            <text class="words" y="13">${firstWords(node.text, SNIPPET) || "(empty)"}</text>
          </svg>
          ${node.kind === "prompt" ? nothing : figures(node)}
        </g>
      `;
    });
  }

  family(id) {
    const { places } = this.laid;
    const { parent } = places.get(id);
    const siblings = parent === null ? [id] : places.get(parent).children;
    return { siblings: siblings.length, position: siblings.indexOf(id) + 1 };
  }

  onKey(event) {
    const card = event.target.closest("[data-id]");
    if (!card || event.altKey || event.ctrlKey || event.metaKey) return;
    const id = Number(card.dataset.id);
    // A key moves in the current tree, which may be newer than the last frame.
    this.draw();
    if (event.key === "Enter" || event.key === " ") {
      this.select(id, { focus: true });
      this.onOpen(id);
    } else {
      const next = this.neighbour(id, event.key);
      if (next === undefined) return;
      this.select(next ?? id, { focus: true });
    }
    event.preventDefault();
  }

  /** The node a key moves to: null is none, undefined means that the key is not handled. */
  neighbour(id, key) {
    const { places, columns } = this.laid;
    const { parent, children } = places.get(id);
    const column = columns.find((ids) => ids.includes(id));
    const row = column.indexOf(id);
    switch (key) {
      case "ArrowLeft": return parent;
      case "ArrowRight": return children[0] ?? null;
      case "ArrowUp": return column[row - 1] ?? null;
      case "ArrowDown": return column[row + 1] ?? null;
      case "Home": return 0;
      case "End": return [...places.keys()].reduce((a, b) => Math.max(a, b));
      default: return undefined;
    }
  }
}

function link(places, id) {
  const { x, y, parent } = places.get(id);
  if (parent === null) return "";
  const from = places.get(parent);
  const [x0, y0, y1] = [from.x + CARD.width, from.y + CARD.height / 2, y + CARD.height / 2];
  const middle = (x0 + x) / 2;
  return `M${x0},${y0}C${middle},${y0} ${middle},${y1} ${x},${y1}`;
}

function headline(node, state, best) {
  const value = node.value === null ? "" : share(node.value);
  return `${best ? "best  " : ""}${value} ${MARKS[state]}`.trim();
}

function figures(node) {
  const full = CARD.width - 24;
  return svg`
    <text class="figures" x="12" y="56">${judged(node).join(" · ")}</text>
    <text class="figures" x="12" y="71">${spent(node).join(" · ")}</text>
    ${node.value === null ? nothing : svg`
      <rect class="gauge" x="12" y="76" width=${full} height="2" rx="1"></rect>
      <rect class="value" x="12" y="76" width=${full * node.value} height="2" rx="1"></rect>`}
  `;
}

function judged(node) {
  const yes = node.votes.filter((vote) => vote.verdict).length;
  const met = node.constraints.filter((result) => result.satisfied).length;
  return [
    ...(node.votes.length ? [`${yes}/${node.votes.length} votes`] : []),
    ...(node.constraints.length ? [`${met}/${node.constraints.length} checks`] : []),
  ];
}

const spent = (node) => [count(node.completion_tokens, "token"), duration(node.created_ms)];
