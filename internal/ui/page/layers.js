// Layers of a directed graph: who opens flows stands left of whom they reach.

// layers gives the ids in columns. Edges that close a cycle count the other
// way around; of two ids that talk to each other, the one with more targets
// stands left.
export function layers(ids, edges) {
  const targets = new Map(ids.map((id) => [id, new Set()]));
  for (const { from, to } of edges) {
    if (from !== to && targets.has(from) && targets.has(to)) targets.get(from).add(to);
  }
  const order = [...ids].sort((a, b) => score(targets, b) - score(targets, a) || (a < b ? -1 : 1));
  const acyclic = withoutCycles(order, targets);
  const rank = new Map(ids.map((id) => [id, 0]));
  for (let round = 0, moved = true; moved && round <= ids.length; round++) {
    moved = false;
    for (const [from, to] of acyclic) {
      if (rank.get(to) > rank.get(from)) continue;
      rank.set(to, rank.get(from) + 1);
      moved = true;
    }
  }
  const columns = [];
  for (const id of order) (columns[rank.get(id)] ??= []).push(id);
  const full = columns.filter(Boolean);
  untangle(full, acyclic);
  return full;
}

function score(targets, id) {
  let incoming = 0;
  for (const of of targets.values()) if (of.has(id)) incoming++;
  return targets.get(id).size - incoming;
}

// withoutCycles gives the edges, those that lead back in a depth-first walk
// turned around.
function withoutCycles(order, targets) {
  const edges = [];
  const state = new Map(); // 1: on the path, 2: done
  const walk = (id) => {
    state.set(id, 1);
    for (const to of [...targets.get(id)].sort()) {
      if (state.get(to) === 1) {
        if (!targets.get(to).has(id)) edges.push([to, id]);
        continue;
      }
      edges.push([id, to]);
      if (!state.has(to)) walk(to);
    }
    state.set(id, 2);
  };
  for (const id of order) if (!state.has(id)) walk(id);
  return edges;
}

// untangle sorts each column by the middle of its neighbours, to and fro.
function untangle(columns, edges) {
  const near = new Map(columns.flat().map((id) => [id, []]));
  for (const [from, to] of edges) {
    near.get(from).push(to);
    near.get(to).push(from);
  }
  const place = new Map();
  const note = () => columns.forEach((column) => column.forEach((id, row) => place.set(id, (row + 0.5) / column.length)));
  const middle = (id) => {
    const rows = near.get(id).map((other) => place.get(other));
    return rows.length ? rows.reduce((sum, row) => sum + row, 0) / rows.length : place.get(id);
  };
  note();
  for (let sweep = 0; sweep < 6; sweep++) {
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const wanted = new Map(column.map((id) => [id, middle(id)]));
      column.sort((a, b) => wanted.get(a) - wanted.get(b) || (a < b ? -1 : 1));
      note();
    }
  }
}
