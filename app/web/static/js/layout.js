// The layout of a tree: the prompt on the left, each level one column further right.
import { stratify, tree } from "./vendor.js";

export const CARD = { width: 196, height: 82 };
const GAP = { x: 40, y: 12 };
const MARGIN = 8;

const hierarchy = stratify().id((node) => node.id).parentId((node) => node.parent);
const tidy = tree()
  .nodeSize([CARD.height + GAP.y, CARD.width + GAP.x])
  .separation(() => 1);

/**
 * Positions in a drawing of `width` by `height`: `places` by node id, each with the ids of its
 * children in order, and `columns`, the ids of each depth from top to bottom.
 */
export function layOut(nodes) {
  const laid = tidy(hierarchy([...nodes.values()].sort((a, b) => a.id - b.id)));
  const all = laid.descendants();
  const top = Math.min(...all.map((one) => one.x));
  const places = new Map();
  const columns = [];
  for (const one of all) {
    const place = {
      x: one.y + MARGIN,
      y: one.x - top + MARGIN,
      parent: one.parent && Number(one.parent.id),
      children: (one.children ?? []).map((child) => Number(child.id)),
    };
    places.set(Number(one.id), place);
    (columns[one.depth] ??= []).push(Number(one.id));
  }
  for (const column of columns) column.sort((a, b) => places.get(a).y - places.get(b).y);
  const right = Math.max(...all.map((one) => one.y));
  const bottom = Math.max(...all.map((one) => one.x));
  return {
    places,
    columns,
    width: right + CARD.width + 2 * MARGIN,
    height: bottom - top + CARD.height + 2 * MARGIN,
  };
}
