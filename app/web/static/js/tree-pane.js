// A tree beside the panel of the selected node.
import { nodePanel } from "./node-panel.js";
import { TreeView } from "./tree-view.js";
import { html, nothing, render } from "./vendor.js";

/** Draws into `container`. */
export class TreePane {
  constructor(container, label) {
    render(html`<div class="tree"></div><div class="chosen"></div>`, container);
    const [tree, chosen] = container.children;
    this.chosen = chosen;
    this.view = "changes";
    this.nodes = new Map();
    this.tree = new TreeView(tree, {
      label,
      onSelect: () => this.drawPanel(),
      onOpen: () => this.chosen.querySelector("h3").focus(),
    });
  }

  /** Show a state of a search: its nodes by id, the best one's id, whether it still runs. */
  update({ nodes, best, running }) {
    this.nodes = nodes;
    this.tree.update({ nodes, best, running });
    if (this.tree.selected !== null) this.drawPanel();
  }

  /** Select a node. */
  select(id) {
    this.tree.select(id);
  }

  drawPanel() {
    const node = this.nodes.get(this.tree.selected);
    const panel = node && nodePanel({
      node,
      parent: this.nodes.get(node.parent),
      view: this.view,
      onView: (view) => {
        this.view = view;
        this.drawPanel();
      },
      onLeave: () => this.tree.select(node.id, { focus: true }),
    });
    render(panel ?? nothing, this.chosen);
  }
}
