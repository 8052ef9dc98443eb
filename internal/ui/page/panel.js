// The panel at the side: all that is known of what was clicked.

import { byID, h } from "./dom.js";
import { edgeDetails } from "./panel-edge.js";
import { workloadDetails } from "./panel-workload.js";

// newPanel gives a function that shows the selection, or nothing. It leaves
// the panel alone while what it shows has not changed.
export function newPanel(onPick) {
  const panel = byID("panel");
  let shown = "";
  let subject = null;

  return function show(model, selected, now) {
    const details = selected && detailsOf(model, selected, onPick, now);
    panel.hidden = !details;
    if (!details) {
      shown = subject = "";
      return;
    }
    const id = `${selected.kind} ${selected.id}`;
    if (panel.contains(document.activeElement) && document.activeElement !== panel && id === subject) return;
    const next = h("div", {}, heading(details, onPick), ...details.body);
    if (next.textContent === shown && id === subject) return;
    const top = id === subject ? panel.scrollTop : 0;
    panel.replaceChildren(...next.childNodes);
    panel.scrollTop = top;
    if (id !== subject) panel.setAttribute("aria-label", `Details of ${details.title}`);
    shown = panel.textContent;
    subject = id;
  };
}

function detailsOf(model, selected, onPick, now) {
  if (selected.kind === "edge") {
    const edge = model.edges.get(selected.id);
    return edge && edgeDetails(model, edge, onPick, now);
  }
  const workload = model.workloads.get(selected.id);
  return workload && workloadDetails(model, workload, onPick, now);
}

function heading(details, onPick) {
  return h("header", {},
    h("div", {}, h("div", { class: "over" }, ...details.over), h("h2", {}, details.title)),
    h("button", { type: "button", class: "close", "aria-label": "Close details", title: "Close (Esc)", onclick: () => onPick(null) }, "✕"));
}
