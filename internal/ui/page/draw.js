// The map itself.

import { byID, keyed, s, set } from "./dom.js";
import { layout, node } from "./layout.js";
import { routes } from "./geometry.js";
import { cut, fullName, kindBadge, kindName, number, plural, portOf, shortName, verdictName, verdicts } from "./words.js";

const fresh = 900; // ms for which a changed edge is lit
const old = 60000; // ms after which an edge fades

// newMap gives a function that draws what is visible and gives the area that
// it takes. onPick is told what was clicked.
export function newMap(onPick) {
  const parts = { boxes: new Map(), nodes: new Map(), edges: new Map(), labels: new Map() };
  let shape = "";
  let placed = layout([], []);
  byID("arrows").append(...verdicts.map(arrow));

  return function draw(shown, selected, now) {
    const next = JSON.stringify([shown.workloads.map((w) => w.id), shown.edges.map((e) => [e.from, e.to])]);
    if (next !== shape) {
      shape = next;
      placed = layout(shown.workloads, shown.edges);
    }
    const labelled = shown.edges.map((edge) => ({ ...edge, text: labelText(edge) }));
    for (const edge of labelled) edge.width = 16 + edge.text.length * 7.2;
    const lines = routes(labelled, placed.nodes);
    const focus = focusOf(shown, selected);
    byID("world").classList.toggle("focused", Boolean(focus));
    const state = { selected, focus, lines, now, workloads: new Map(shown.workloads.map((w) => [w.id, w])), denied: deniedEnds(shown.edges) };
    drawBoxes(parts.boxes, placed);
    keyed(byID("nodes"), parts.nodes, shown.workloads, (w) => w.id, (w) => makeNode(w, onPick), (g, w) => updateNode(g, w, placed.nodes.get(w.id), state));
    keyed(byID("edges"), parts.edges, labelled, (e) => e.id, (e) => makeEdge(e, onPick), (g, e) => updateEdge(g, e, state));
    keyed(byID("labels"), parts.labels, labelled, (e) => e.id, (e) => makeLabel(e, onPick), (g, e) => updateLabel(g, e, state));
    return placed;
  };
}

const arrow = (verdict) => s("marker", {
  id: `arrow-${verdict}`, viewBox: "0 0 10 10", refX: 1, refY: 5, markerWidth: 10, markerHeight: 10, orient: "auto", markerUnits: "userSpaceOnUse", class: verdict,
}, s("path", { d: "M0 0.8L10 5L0 9.2z", class: "arrow" }));

// focusOf gives the ids that the selection is about, null for everything.
function focusOf(shown, selected) {
  if (!selected) return null;
  const ids = new Set([selected.id]);
  for (const edge of shown.edges) {
    if (edge.id !== selected.id && edge.from !== selected.id && edge.to !== selected.id) continue;
    ids.add(edge.id).add(edge.from).add(edge.to);
  }
  return ids;
}

const deniedEnds = (edges) => new Set(edges.filter((e) => e.verdict === "dropped").flatMap((e) => [e.from, e.to]));

function drawBoxes(known, placed) {
  keyed(byID("boxes"), known, placed.boxes, (box) => box.name, () => s("g", {}, s("rect", { rx: 14 }), s("text", { x: 18, y: 28 })), (g, box) => {
    set(g, { class: box.name ? "box" : "box outside", transform: `translate(${box.x} ${box.y})` });
    set(g.firstChild, { width: box.width, height: box.height });
    g.lastChild.textContent = box.name ? cut(box.name, Math.floor(box.width / 8.5)) : "Outside the pods";
  });
}

// pickable makes a group that is clicked, or focused and entered.
function pickable(group, pick) {
  group.addEventListener("click", pick);
  group.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    pick();
  });
  return group;
}

function makeNode(w, onPick) {
  const group = s("g", { role: "button", tabindex: 0, "data-workload": w.id },
    s("title"),
    s("rect", { class: "card", width: node.width, height: node.height, rx: 10 }),
    s("rect", { class: "badge", x: 10, y: 12, width: 32, height: 32, rx: 8 }),
    s("text", { class: "kind", x: 26, y: 32 }),
    s("text", { class: "name", x: 52, y: 25 }),
    s("text", { class: "sub", x: 52, y: 42 }),
    s("circle", { class: "mark", cx: node.width - 12, cy: 12, r: 4 }));
  return pickable(group, () => onPick({ kind: "workload", id: w.id }));
}

function updateNode(group, w, at, state) {
  const [title, , , kind, name, sub] = group.children;
  const gone = w.kind !== "Outside" && !w.pods?.length;
  const words = [kindName(w), w.kind === "Outside" ? "" : gone ? "gone" : plural(w.pods.length, "pod")].filter(Boolean).join(" · ");
  const classes = ["node", gone && "gone", w.policies?.length && "isolated", state.denied.has(w.id) && "denied", ...marks(w.id, state)];
  set(group, {
    class: classes.filter(Boolean).join(" "), transform: `translate(${at.x} ${at.y})`,
    "aria-label": `${kindName(w)} ${fullName(w)}${state.denied.has(w.id) ? ", has denied flows" : ""}`,
  });
  title.textContent = `${fullName(w)}\n${words}`;
  kind.textContent = kindBadge(w.kind);
  name.textContent = cut(shortName(w), 18);
  sub.textContent = cut(words, 24);
}

function marks(id, state) {
  return [state.selected?.id === id && "selected", state.focus && !state.focus.has(id) && "dim"].filter(Boolean);
}

function makeEdge(edge, onPick) {
  const group = s("g", { role: "button", tabindex: 0, "data-edge": edge.id },
    s("title"), s("path", { class: "hit" }), s("path", { class: "line", "marker-end": `url(#arrow-${edge.verdict})` }));
  return pickable(group, () => onPick({ kind: "edge", id: edge.id }));
}

function updateEdge(group, edge, state) {
  const { path } = state.lines.get(edge.id);
  const said = describe(edge, state);
  set(group, { class: edgeClass("edge", edge, state), "aria-label": said });
  const [title, hit, line] = group.children;
  title.textContent = said;
  set(hit, { d: path });
  set(line, { d: path });
}

function makeLabel(edge, onPick) {
  const group = s("g", { "aria-hidden": "true", "data-label": edge.id }, s("rect", { y: -10, height: 20, rx: 10 }), s("text", { y: 4 }));
  group.addEventListener("click", () => onPick({ kind: "edge", id: edge.id }));
  return group;
}

function updateLabel(group, edge, state) {
  const { label } = state.lines.get(edge.id);
  const lit = edge.changed && state.now - edge.changed < fresh ? " fresh" : "";
  set(group, { class: edgeClass("pill", edge, state) + lit, transform: `translate(${label.x} ${label.y})` });
  set(group.firstChild, { x: -edge.width / 2, width: edge.width });
  group.lastChild.textContent = edge.text;
}

function edgeClass(kind, edge, state) {
  const faded = state.now - Date.parse(edge.last) > old && "old";
  return [kind, edge.verdict, faded, ...marks(edge.id, state)].filter(Boolean).join(" ");
}

// labelText says what an edge asks for and how often; a sign tells a denied one
// to those who cannot tell red.
function labelText(edge) {
  const ports = [...new Set(edge.cases.map(portOf))];
  const what = ports.length === 1 ? ports[0] : `${ports.length} ports`;
  const sign = { dropped: "✕ ", audit: "! ", forwarded: "? " }[edge.verdict] ?? "";
  return `${sign}${what} × ${number(edge.count)}`;
}

function describe(edge, state) {
  const [from, to] = [edge.from, edge.to].map((id) => fullName(state.workloads.get(id)));
  const reasons = [...new Set(edge.cases.map((c) => c.reason).filter(Boolean))];
  return `${verdictName[edge.verdict]}: ${from} to ${to}, ${[...new Set(edge.cases.map(portOf))].join(", ")}, ${plural(edge.count, "verdict")}`
    + (reasons.length ? `, ${reasons.join(", ")}` : "");
}
