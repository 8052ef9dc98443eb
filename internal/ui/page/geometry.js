// The lines between workloads: where they leave and arrive, and where their
// labels have room.

import { node } from "./layout.js";

// routes gives each edge its curve and the place of its label. Several edges at
// one side of a workload share it out, in the order of where they lead.
export function routes(edges, nodes) {
  const ends = edges.map((edge) => sides(nodes.get(edge.from), nodes.get(edge.to)));
  const ports = spread(edges, ends, nodes);
  const taken = [...nodes.values()].map((at) => ({ x: at.x, y: at.y, width: node.width, height: node.height }));
  return new Map(edges.map((edge, i) => {
    const curve = bend(ports[i].from, ports[i].to);
    return [edge.id, { path: pathOf(curve), label: room(curve, edge.width, taken) }];
  }));
}

// sides tells at which side of each node an edge ends: -1 left, 1 right.
function sides(from, to) {
  if (to.x >= from.x + node.width) return { from: 1, to: -1 };
  if (from.x >= to.x + node.width) return { from: -1, to: 1 };
  return { from: 1, to: 1 };
}

function spread(edges, ends, nodes) {
  const at = new Map();
  const note = (id, side, other, edge, end) => {
    const key = `${id} ${side}`;
    if (!at.has(key)) at.set(key, []);
    at.get(key).push({ edge, end, id, side, y: nodes.get(other).y, x: nodes.get(other).x });
  };
  edges.forEach((edge, i) => {
    note(edge.from, ends[i].from, edge.to, i, "from");
    note(edge.to, ends[i].to, edge.from, i, "to");
  });
  const ports = edges.map(() => ({}));
  for (const list of at.values()) {
    list.sort((a, b) => a.y - b.y || a.x - b.x || a.edge - b.edge);
    list.forEach((port, i) => {
      const corner = nodes.get(port.id);
      ports[port.edge][port.end] = {
        x: corner.x + (port.side > 0 ? node.width : 0), side: port.side,
        y: corner.y + ((i + 1) / (list.length + 1)) * node.height,
      };
    });
  }
  return ports;
}

// bend gives the four points of a cubic curve that leaves and arrives level.
function bend(from, to) {
  const arrow = 9; // room for its head
  const end = { x: to.x + to.side * arrow, y: to.y };
  const reach = from.side === to.side
    ? 70 + Math.abs(from.y - to.y) * 0.18
    : Math.min(160, Math.max(46, Math.abs(end.x - from.x) * 0.45));
  return [from, { x: from.x + from.side * reach, y: from.y }, { x: end.x + to.side * reach, y: end.y }, end];
}

const pathOf = ([a, b, c, d]) => `M${r(a.x)} ${r(a.y)}C${r(b.x)} ${r(b.y)} ${r(c.x)} ${r(c.y)} ${r(d.x)} ${r(d.y)}`;

const r = (n) => Math.round(n * 10) / 10;

const height = 20;

// room looks along the curve for the place where the label covers least.
function room(curve, width, taken) {
  const places = [0.5, 0.43, 0.57, 0.36, 0.64, 0.29, 0.71, 0.22, 0.78, 0.15, 0.85].map((t) => boxAt(curve, t, width));
  const covers = places.map((box) => taken.reduce((sum, other) => sum + shared(box, other), 0));
  const best = places[covers.indexOf(Math.min(...covers))];
  taken.push(best);
  return { x: r(best.x + width / 2), y: r(best.y + height / 2) };
}

function boxAt([a, b, c, d], t, width) {
  const u = 1 - t;
  const at = (axis) => u * u * u * a[axis] + 3 * u * u * t * b[axis] + 3 * u * t * t * c[axis] + t * t * t * d[axis];
  return { x: at("x") - width / 2, y: at("y") - height / 2, width, height };
}

// shared is the area that two boxes have in common.
function shared(a, b) {
  const air = 3;
  const across = Math.min(a.x + a.width, b.x + b.width) - Math.max(a.x, b.x) + air;
  const down = Math.min(a.y + a.height, b.y + b.height) - Math.max(a.y, b.y) + air;
  return Math.max(0, across) * Math.max(0, down);
}
