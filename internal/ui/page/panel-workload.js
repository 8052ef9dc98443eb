// Details of a workload: pods, labels, identities, policies and flows.

import { h } from "./dom.js";
import { fullName, kindName, number, plural, portOf } from "./words.js";

export function workloadDetails(model, w, onPick) {
  const edges = [...model.edges.values()].filter((edge) => !edge.settled);
  return {
    title: fullName(w),
    over: [kindName(w), w.namespace ? ` in namespace ${w.namespace}` : ""],
    body: [
      ...(w.kind === "Outside" ? [h("p", { class: "muted" }, meaning[w.name] ?? "")] : [...policies(model, w), ...labels(w), ...identities(w), ...pods(w)]),
      ...flows(model, "Flows to it", edges.filter((edge) => edge.to === w.id), "from", onPick),
      ...flows(model, "Flows from it", edges.filter((edge) => edge.from === w.id), "to", onPick),
    ],
  };
}

const meaning = {
  world: "Every address that belongs neither to a pod nor to a node of the cluster.",
  host: "The node on which the pod runs: its kubelet, its probes, its own processes.",
  "remote-node": "Other nodes' own addresses: the API server, processes outside of pods.",
  unmanaged: "Pods that Signet does not connect.",
  unknown: "Addresses of which nobody said yet whose they are.",
};

function policies(model, w) {
  const isolating = w.policies ?? [];
  const head = h("h3", {}, "Policies");
  if (!isolating.length) return [head, h("p", { class: "muted" }, w.pods?.length ? "No policy isolates it: everything may reach it, and it may reach everything." : "Not known: it has no pod now.")];
  const names = [...new Set(isolating.map((p) => p.policy))];
  return [head, ...names.map((name) => h("div", { class: "case admitted" },
    h("div", { class: "head" }, h("span", {}, name)),
    ...isolating.filter((p) => p.policy === name).map((p) => direction(p.direction, model.policies.get(name)?.[p.direction] ?? []))))];
}

function direction(name, rules) {
  const verb = name === "ingress" ? "lets in" : "lets out";
  if (!rules.length) return h("p", {}, `Isolates for ${name}, and ${verb} nothing.`);
  return [h("p", {}, `Isolates for ${name}, and ${verb}:`), h("ul", {}, ...rules.map((rule) => h("li", {}, rule)))];
}

function labels(w) {
  const list = Object.entries(w.labels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  return [h("h3", {}, "Labels"), list.length ? h("ul", { class: "chips" }, ...list.map(([key, value]) => h("li", {}, `${key}=${value}`))) : h("p", { class: "muted" }, "None that count.")];
}

function identities(w) {
  const list = w.identities ?? [];
  if (!list.length) return [];
  return [h("h3", {}, list.length > 1 ? "Identities" : "Identity"), h("ul", { class: "chips" }, ...list.map((id) => h("li", {}, String(id))))];
}

function pods(w) {
  if (!w.pods?.length) return [];
  return [
    h("h3", {}, plural(w.pods.length, "pod")),
    h("table", { class: "facts" }, h("thead", {}, h("tr", {}, ...["Name", "Address", "Node"].map((t) => h("th", {}, t)))),
      h("tbody", {}, ...w.pods.map((pod) => h("tr", {}, h("td", {}, pod.name), h("td", { class: "num" }, pod.addr ?? ""), h("td", {}, pod.node))))),
  ];
}

function flows(model, title, edges, end, onPick) {
  if (!edges.length) return [];
  edges.sort((a, b) => (a.verdict === "dropped" ? 0 : 1) - (b.verdict === "dropped" ? 0 : 1) || b.count - a.count);
  return [h("h3", {}, title), h("ul", { class: "links" }, ...edges.map((edge) => {
    const other = model.workloads.get(edge[end]);
    return h("li", {}, h("button", { type: "button", onclick: () => onPick({ kind: "edge", id: edge.id }) },
      h("span", { class: `dot ${edge.verdict}`, "aria-hidden": "true" }),
      h("span", { class: "what" }, `${other ? fullName(other) : ""} ${[...new Set(edge.cases.map(portOf))].slice(0, 3).join(", ")}`),
      h("span", { class: "muted num" }, `× ${number(edge.count)}`)));
  }))];
}
