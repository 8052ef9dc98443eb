// What the page knows: the sum of all lines of the stream.

export function newModel() {
  return {
    connection: "connecting", info: {}, workloads: new Map(), policies: new Map(), edges: new Map(),
    nodes: [], flows: 0, forgotten: 0, rate: 0, rateFrom: null,
  };
}

// apply takes in a line; a heartbeat is an empty one.
export function apply(model, line, now) {
  if (line.info) model.info = line.info;
  if (line.full) {
    model.edges.clear();
    model.workloads.clear();
    model.rateFrom = null;
  }
  if (line.workloads) model.workloads = new Map(line.workloads.map((w) => [w.id, w]));
  if (line.policies) model.policies = new Map(line.policies.map((p) => [p.name, p]));
  for (const edge of line.edges ?? []) {
    edge.changed = line.full ? 0 : now;
    model.edges.set(edge.id, edge);
  }
  if (line.nodes) {
    model.nodes = line.nodes;
    model.flows = line.flows;
    model.forgotten = line.forgotten ?? 0;
  }
  measure(model, now);
}

// measure keeps the rate of verdicts over the last seconds.
function measure(model, now) {
  const from = model.rateFrom;
  if (!from) model.rateFrom = { flows: model.flows, at: now };
  else if (now - from.at >= 3000) {
    model.rate = Math.round((model.flows - from.flows) / ((now - from.at) / 1000));
    model.rateFrom = { flows: model.flows, at: now };
  }
}

// snapshot is a copy that later lines leave alone: they replace what they
// change.
export const snapshot = (model) => ({ ...model, edges: new Map(model.edges), workloads: new Map(model.workloads) });

export const lost = (model) => model.nodes.filter((node) => node.lost);

export const failed = (model) => model.nodes.filter((node) => node.state === "failed");

export const unready = (model) => model.nodes.filter((node) => node.state !== "live");
