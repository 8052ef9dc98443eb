// What surrounds the map: notices, the line of state, the legend, what is said
// when there is nothing to show.

import { byID, h, s } from "./dom.js";
import { failed, lost, unready } from "./model.js";
import { number, plural, verdictMeaning, verdictName, verdicts } from "./words.js";

const losses = { tooFast: "came faster than they could be told", ringFull: "met a full ring to the agent", suppressed: "are drops over the rate limit, only counted" };

const lossWords = (lost) => Object.entries(losses).filter(([key]) => lost[key]).map(([key, words]) => `${number(lost[key])} ${words}`).join(", ");

export function showNotices(model) {
  const notices = [];
  const add = (kind, title, text) => notices.push(h("div", { class: `notice ${kind}` }, h("b", {}, title), h("span", {}, text)));
  if (model.connection === "refused") add("dropped", "No access.", "The token is missing or of another run: open the address that \"signet ui\" printed.");
  if (model.connection === "closed") add("dropped", "Disconnected.", "\"signet ui\" does not answer; what you see is how it was. This page goes on by itself when it does.");
  for (const node of failed(model)) add("audit", `Partial: node ${node.node} is missing.`, `${node.error}. It is asked again and again.`);
  for (const node of lost(model)) add("audit", `Flows of node ${node.node} are missing:`, `${lossWords(node.lost)}.`);
  if (model.forgotten) add("audit", "The map is full:", `${plural(model.forgotten, "line")} unused for longest gave way to newer ones.`);
  replace(byID("notices"), notices);
}

// showStatus says how things are; missed counts verdicts in a pause, null for
// none.
export function showStatus(model, missed) {
  const waiting = unready(model).length;
  const [kind, word] = stateOf(model, missed !== null, waiting);
  const parts = [h("span", { class: `dot ${kind}` }), h("strong", {}, word)];
  const add = (text) => parts.push(h("span", { class: "sep" }, "|"), h("span", {}, text));
  if (model.nodes.length) add(waiting ? `${model.nodes.length - waiting} of ${plural(model.nodes.length, "node")}` : plural(model.nodes.length, "node"));
  if (missed !== null) add(`${plural(missed, "verdict")} since the pause`);
  else add(`${number(model.rate)} verdicts/s`);
  add(`${plural(model.flows, "verdict")} in all`);
  if (model.info.version) add(`signet ${model.info.version}`);
  replace(byID("status"), parts);
  byID("cluster").textContent = model.info.cluster ?? "";
}

function stateOf(model, paused, waiting) {
  if (model.connection === "refused") return ["dropped", "No access"];
  if (model.connection === "closed") return ["dropped", "Disconnected"];
  if (paused) return ["audit", "Paused"];
  if (failed(model).length) return ["audit", "Partial"];
  if (model.connection !== "live" || waiting || !model.nodes.length) return ["forwarded", "Connecting"];
  return ["admitted", "Live"];
}

// makeLegend makes a button for each verdict, which hides and shows it.
export function makeLegend(choice, onChange) {
  byID("legend").append(...verdicts.map((verdict) => h("button", {
    type: "button", class: verdict, "aria-pressed": "true", "data-verdict": verdict, title: `${verdictMeaning[verdict]} Click to hide or show.`,
    onclick: (event) => {
      const on = choice.verdicts.has(verdict);
      if (on) choice.verdicts.delete(verdict);
      else choice.verdicts.add(verdict);
      event.currentTarget.setAttribute("aria-pressed", String(!on));
      onChange();
    },
  }, s("svg", { width: 22, height: 8, "aria-hidden": "true" }, s("line", { x1: 0, y1: 4, x2: 22, y2: 4 })), verdictName[verdict], h("b"))));
}

export function showCounts(counts) {
  for (const button of byID("legend").children) button.querySelector("b").textContent = number(counts[button.dataset.verdict]);
}

export function showEmpty(model, visible, choice) {
  const empty = byID("empty");
  empty.hidden = visible.workloads.length > 0;
  if (empty.hidden) return;
  const [title, text] = emptyWords(model, choice);
  replace(empty, [h("h2", {}, title), h("p", {}, text)]);
}

function emptyWords(model, choice) {
  if (model.connection === "refused") return ["No access", "Open the address that \"signet ui\" printed: the token is part of it."];
  if (model.workloads.size) return ["Nothing fits", `No workload and no flow fits the filter${choice.filter ? ` “${choice.filter}”` : ""}.`];
  const nodes = model.nodes;
  if (nodes.length && nodes.every((node) => node.state === "failed")) return ["No agent answers", "Nothing can be shown until one does. “signet status” says more."];
  if (nodes.length && nodes.every((node) => node.state === "live")) return ["Nothing to see yet", "There are no pods. Workloads appear here as their pods start, flows as they happen."];
  return ["Asking the agents…", "Workloads appear as soon as they answer."];
}

// replace puts parts into an element, unless they say the same already: a
// screen reader then has nothing to repeat.
function replace(element, parts) {
  const text = parts.map((part) => part.className + part.textContent).join();
  if (element.dataset.shown === text) return;
  element.dataset.shown = text;
  element.replaceChildren(...parts);
}
