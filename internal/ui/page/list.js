// The same as a table: for screen readers, for long lists, for the keyboard.

import { byID, h } from "./dom.js";
import { policyNames } from "./visible.js";
import { age, fullName, number, portOf, verdictName } from "./words.js";

const order = { dropped: 0, audit: 1, forwarded: 2, admitted: 3 };

// newList gives a function that shows the visible edges, denied ones first.
export function newList(onPick) {
  const list = byID("list");
  let shown = "";

  return function show(model, visible, selected, now) {
    const edges = [...visible.edges].sort((a, b) => order[a.verdict] - order[b.verdict] || Date.parse(b.last) - Date.parse(a.last));
    const table = h("table", {},
      h("thead", {}, h("tr", {}, ...["Verdict", "From", "To", "Ports", "Verdicts", "Last", "Because"].map((t) => h("th", { scope: "col" }, t)))),
      h("tbody", {}, ...edges.map((edge) => row(model, edge, selected, onPick, now))));
    if (table.textContent === shown && !selected === !list.querySelector(".selected")) return;
    shown = table.textContent;
    const focused = document.activeElement?.closest?.("tr")?.dataset.edge;
    list.replaceChildren(edges.length ? table : h("p", { class: "muted" }, "No flows to show."));
    if (focused) list.querySelector(`tr[data-edge="${CSS.escape(focused)}"] button`)?.focus();
  };
}

function row(model, edge, selected, onPick, now) {
  const pick = () => onPick({ kind: "edge", id: edge.id });
  const because = [...new Set(edge.cases.flatMap((c) => [c.reason, ...policyNames(c)]).filter(Boolean))];
  return h("tr", { "data-edge": edge.id, class: selected?.id === edge.id ? "selected" : null, onclick: pick },
    h("td", {}, h("span", { class: `badge ${edge.verdict}` }, verdictName[edge.verdict])),
    h("td", {}, h("button", { type: "button" }, fullName(model.workloads.get(edge.from)))),
    h("td", {}, fullName(model.workloads.get(edge.to))),
    h("td", {}, [...new Set(edge.cases.map(portOf))].join(", ")),
    h("td", { class: "num" }, number(edge.count)),
    h("td", { class: "num" }, age(edge.last, now)),
    h("td", {}, because.join(", ")));
}
