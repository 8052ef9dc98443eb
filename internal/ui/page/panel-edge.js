// Details of an edge: the verdict, its reason, the policies and rules.

import { h } from "./dom.js";
import { age, bytes, clock, fullName, number, plural, portOf, verdictMeaning, verdictName } from "./words.js";

export function edgeDetails(model, edge, onPick, now) {
  const from = model.workloads.get(edge.from);
  const to = model.workloads.get(edge.to);
  if (!from || !to) return null;
  return {
    title: `${fullName(from)} → ${fullName(to)}`,
    over: [h("span", { class: `badge ${edge.verdict}` }, verdictName[edge.verdict]), ` ${plural(edge.count, "verdict")}, last ${age(edge.last, now)}`],
    body: [
      h("p", { class: "muted" }, verdictMeaning[edge.verdict]),
      h("h3", {}, edge.verdict === "dropped" ? "What was denied, and why" : "What, and why"),
      ...edge.cases.map((c) => caseCard(model, edge, c, now)),
      edge.uncounted ? h("p", { class: "muted" }, `${plural(edge.uncounted, "earlier verdict")} on other ports`) : null,
      ...traffic(edge),
      ...command(edge),
      h("h3", {}, "Ends"),
      h("ul", { class: "links" }, ...[from, to].map((w) => h("li", {},
        h("button", { type: "button", onclick: () => onPick({ kind: "workload", id: w.id }) }, h("span", { class: "what" }, fullName(w)), h("span", { class: "muted" }, w === from ? "from" : "to"))))),
      h("h3", {}, "Latest flows"),
      samples(edge),
    ].filter(Boolean),
  };
}

function caseCard(model, edge, c, now) {
  return h("div", { class: `case ${edge.verdict}` },
    h("div", { class: "head" }, h("span", {}, portOf(c) + (c.service ? ` via Service ${c.service}` : "")), h("span", { class: "num" }, `× ${number(c.count)}, ${age(c.last, now)}`)),
    c.reason ? h("p", {}, h("span", { class: "reason" }, c.reason), c.reasonText ? `: ${c.reasonText}` : "") : null,
    policies(model, edge, c));
}

function policies(model, edge, c) {
  const decided = c.policies ?? [];
  if (!decided.length) {
    const text = { admitted: "No policy isolates the pods, so nothing had to admit it.", forwarded: "" }[edge.verdict] ?? "";
    return text ? h("p", { class: "muted" }, text) : null;
  }
  return h("ul", {}, ...decided.flatMap((part) => {
    const name = `${part.namespace}/${part.name}`;
    if (!part.rules?.length) {
      return [h("li", {}, h("b", {}, name), ` isolates ${part.direction === "ingress" ? "the receiver (ingress)" : "the sender (egress)"}, and no rule admits this`)];
    }
    return part.rules.map((rule) => {
      const text = model.policies.get(name)?.[part.direction]?.[rule];
      return h("li", {}, h("b", {}, name), ` ${part.direction} rule ${rule} admits it`, text ? `: ${text}` : "");
    });
  }));
}

function traffic(edge) {
  if (!edge.sent.packets && !edge.answered.packets) return [];
  const row = (what, carried) => h("tr", {}, h("td", {}, what), h("td", { class: "num" }, number(carried.packets)), h("td", { class: "num" }, bytes(carried.bytes)));
  return [
    h("h3", {}, "Carried by flows that have ended"),
    h("table", { class: "facts" }, h("thead", {}, h("tr", {}, ...["", "Packets", "Bytes"].map((t) => h("th", {}, t)))),
      h("tbody", {}, row("Sent", edge.sent), row("Answered", edge.answered))),
  ];
}

// command offers the question that explains the verdict in full.
function command(edge) {
  const flow = edge.samples.find((f) => f.srcPod || f.dstPod);
  const protocol = flow?.protocol.toLowerCase();
  if (!flow || !["tcp", "udp", "sctp"].includes(protocol)) return [];
  const [from, to] = [flow.srcPod || address(flow.src), flow.dstPod || address(flow.dst)];
  const text = `signet policy why --from ${from} --to ${to} --port ${port(flow.dst)}/${protocol}`;
  return [
    h("h3", {}, "Ask for the whole story"),
    h("div", { class: "command" }, h("code", {}, text), h("button", { type: "button", class: "ghost", onclick: (event) => copy(text, event.currentTarget) }, "Copy")),
  ];
}

async function copy(text, button) {
  await navigator.clipboard.writeText(text);
  button.textContent = "Copied";
}

const address = (at) => at.slice(0, at.lastIndexOf(":")).replace(/^\[|\]$/g, "");

const port = (at) => at.slice(at.lastIndexOf(":") + 1);

function samples(edge) {
  const end = (pod, at) => (pod ? `${pod.split("/")[1]}:${port(at)}` : at);
  return h("table", { class: "facts" },
    h("thead", {}, h("tr", {}, ...["Time", "From", "To", "Told by"].map((t) => h("th", {}, t)))),
    h("tbody", {}, ...edge.samples.map((f) => h("tr", { title: [`${f.src} to ${f.dst}`, f.tcpFlags, `policy revision ${f.revision}`].filter(Boolean).join(", ") },
      h("td", { class: "num" }, clock(f.time)), h("td", {}, end(f.srcPod, f.src)), h("td", {}, end(f.dstPod, f.dst)), h("td", {}, f.node)))));
}
