// Where everything stands: namespaces as boxes in layers, workloads in layers
// within them. Pure, and the same for the same graph.

import { layers } from "./layers.js";

export const node = { width: 196, height: 56 };

const gap = { column: 142, row: 26 };
const boxGap = { column: 150, row: 44 };
const padding = { top: 46, side: 24, bottom: 24 };
const mostRows = 6; // of one column of workloads
const shape = 1.7; // width to height that the whole should have

// layout places workloads; edges are pairs of their ids.
export function layout(workloads, edges) {
  const groups = new Map();
  for (const w of workloads) {
    const name = w.namespace ?? "";
    if (!groups.has(name)) groups.set(name, []);
    groups.get(name).push(w.id);
  }
  const home = new Map(workloads.map((w) => [w.id, w.namespace ?? ""]));
  const boxes = new Map([...groups].map(([name, ids]) => [name, inside(name, ids, edges)]));
  const between = edges.map(({ from, to }) => ({ from: home.get(from), to: home.get(to) }));
  return arrange(boxes, between);
}

// inside lays out one namespace, from its own corner. In a chain every other
// workload stands lower, so that a line to the one after the next passes it.
function inside(name, ids, edges) {
  const columns = layers(ids, edges).flatMap((column) => split(column, Math.max(mostRows, Math.ceil(Math.sqrt(ids.length)))));
  const pitch = node.height + gap.row;
  const heightOf = (column) => column.length * pitch - gap.row;
  const tallest = Math.max(...columns.map(heightOf));
  const step = columns.length > 2 && tallest === node.height ? pitch * 1.2 : 0;
  const spots = new Map();
  columns.forEach((column, x) => column.forEach((id, y) => spots.set(id, {
    x: padding.side + x * (node.width + gap.column),
    y: padding.top + (x % 2) * step + (tallest - heightOf(column)) / 2 + y * pitch,
  })));
  return {
    name, spots, width: 2 * padding.side + columns.length * (node.width + gap.column) - gap.column,
    height: padding.top + tallest + step + padding.bottom,
  };
}

function split(list, most) {
  const parts = Math.ceil(list.length / most);
  const size = Math.ceil(list.length / parts);
  return Array.from({ length: parts }, (_, i) => list.slice(i * size, (i + 1) * size));
}

// arrange sets the boxes in rows, in the order of their layers, in as many as
// make the whole largest on a screen. Low boxes of a layer stand on each other.
function arrange(boxes, between) {
  const tallest = Math.max(0, ...[...boxes.values()].map((box) => box.height));
  const stacks = layers([...boxes.keys()], between).flatMap((column) => stack(column.map((name) => boxes.get(name)), tallest));
  const tries = stacks.map((_, i) => rowsOf(stacks, i + 1));
  const rows = tries.reduce((best, rows) => (zoomOf(rows) > zoomOf(best) * 1.05 ? rows : best), tries[0] ?? []);
  const placed = { boxes: [], nodes: new Map(), width: Math.max(0, ...rows.map(widthOf)), height: heightOf(rows) };
  let y = 0;
  for (const row of rows) {
    const height = tallestOf(row);
    let x = (placed.width - widthOf(row)) / 2;
    for (const { items, width, height: own } of row) {
      let top = y + (height - own) / 2;
      for (const box of items) {
        place(placed, box, x + (width - box.width) / 2, top);
        top += box.height + boxGap.row;
      }
      x += width + boxGap.column;
    }
    y += height + boxGap.row;
  }
  return placed;
}

const widthOf = (row) => row.reduce((sum, part) => sum + part.width + boxGap.column, -boxGap.column);

const tallestOf = (row) => Math.max(...row.map((part) => part.height));

const heightOf = (rows) => Math.max(0, rows.reduce((sum, row) => sum + tallestOf(row) + boxGap.row, -boxGap.row));

const zoomOf = (rows) => 1 / Math.max(Math.max(...rows.map(widthOf)) / shape, heightOf(rows));

// rowsOf breaks the list into so many rows of about the same width, or fewer.
function rowsOf(stacks, count) {
  const wanted = widthOf(stacks) / count;
  const rows = [[]];
  for (const part of stacks) {
    const row = rows.at(-1);
    if (row.length && rows.length < count && widthOf([...row, part]) > wanted * 1.12) rows.push([part]);
    else row.push(part);
  }
  return rows;
}

function stack(column, tallest) {
  const stacks = [];
  for (const box of column) {
    const last = stacks.at(-1);
    if (last && last.height + boxGap.row + box.height <= tallest) {
      last.items.push(box);
      last.height += boxGap.row + box.height;
      last.width = Math.max(last.width, box.width);
    } else stacks.push({ items: [box], width: box.width, height: box.height });
  }
  return stacks;
}

function place(placed, box, x, y) {
  placed.boxes.push({ name: box.name, x, y, width: box.width, height: box.height });
  for (const [id, spot] of box.spots) placed.nodes.set(id, { x: x + spot.x, y: y + spot.y });
}
