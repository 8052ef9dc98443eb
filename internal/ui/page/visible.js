// Which workloads and edges are shown: pure functions of the model and of what
// the user chose.

import { fullName, kindName, portOf, verdictName } from "./words.js";

// visible gives the workloads and edges that fit. A workload fits if its own
// words do, or if an edge of it does.
export function visible(model, choice, now) {
  const words = parse(choice.filter);
  const edges = [...model.edges.values()].filter((edge) => recent(edge, choice.window, now) && !edge.settled
    && model.workloads.has(edge.from) && model.workloads.has(edge.to));
  const counts = tally(edges);
  const kept = edges.filter((edge) => choice.verdicts.has(edge.verdict) && fits(words, edgeText(model, edge)));
  const ends = new Set(kept.flatMap((edge) => [edge.from, edge.to]));
  const alone = (w) => w.pods?.length && fits(words, workloadText(w));
  const workloads = [...model.workloads.values()].filter((w) => ends.has(w.id) || alone(w));
  return { workloads, edges: kept, counts };
}

function recent(edge, seconds, now) {
  return !seconds || now - Date.parse(edge.last) <= seconds * 1000;
}

function tally(edges) {
  const counts = { admitted: 0, dropped: 0, audit: 0, forwarded: 0 };
  for (const edge of edges) counts[edge.verdict] += edge.count;
  return counts;
}

function parse(filter) {
  return filter.toLowerCase().split(/\s+/).filter(Boolean).map((word) => (
    word.length > 1 && word[0] === "-" ? { text: word.slice(1), not: true } : { text: word, not: false }
  ));
}

const fits = (words, text) => words.every((word) => text.includes(word.text) !== word.not);

function workloadText(w) {
  const labels = Object.entries(w.labels ?? {}).map(([key, value]) => `${key}=${value}`);
  const pods = (w.pods ?? []).flatMap((pod) => [pod.name, pod.node, pod.addr]);
  const policies = (w.policies ?? []).map((p) => p.policy);
  return [fullName(w), kindName(w), ...labels, ...pods, ...policies, ...(w.identities ?? [])].join(" ").toLowerCase();
}

function edgeText(model, edge) {
  const cases = edge.cases.flatMap((c) => [portOf(c), String(c.port ?? ""), c.service, c.reason, ...policyNames(c)]);
  const ends = [edge.from, edge.to].map((id) => workloadText(model.workloads.get(id)));
  return [...ends, edge.verdict, verdictName[edge.verdict], ...cases].join(" ").toLowerCase();
}

export const policyNames = (c) => (c.policies ?? []).map((p) => `${p.namespace}/${p.name}`);
