// The page: a stream fills the model, and what is visible of it is drawn.

import { newCamera } from "./camera.js";
import { byID } from "./dom.js";
import { newMap } from "./draw.js";
import { makeLegend, showCounts, showEmpty, showNotices, showStatus } from "./frame.js";
import { newList } from "./list.js";
import { apply, newModel, snapshot } from "./model.js";
import { newPanel } from "./panel.js";
import { read } from "./stream.js";
import { startTheme, toggleTheme } from "./theme.js";
import { visible } from "./visible.js";
import { verdicts } from "./words.js";

const live = newModel();
const choice = { filter: "", window: 900, verdicts: new Set(verdicts) };
let selected = null;
let paused = null; // the model and the time as they were when the pause began
let asList = false;
let area = null;

const camera = newCamera(byID("map"), byID("world"));
const drawMap = newMap(pick);
const showPanel = newPanel(pick);
const showList = newList(pick);

// show draws everything anew. In a pause the picture stays as it is, but for
// what the user does to it.
function show() {
  const { model, now } = paused ?? { model: live, now: Date.now() };
  const shown = visible(model, choice, now);
  if (asList) showList(model, shown, selected, now);
  else redraw(shown, now);
  showPanel(model, selected, now);
  showEmpty(model, shown, choice);
  showCounts(shown.counts);
  frame();
}

function redraw(shown, now) {
  const next = drawMap(shown, selected, now);
  if (next === area) return;
  area = next;
  camera.fit(area);
}

function frame() {
  showNotices(live);
  showStatus(live, paused && live.flows - paused.model.flows);
}

function pick(what) {
  selected = what;
  show();
  if (what) byID("panel").focus({ preventScroll: true });
}

// pause keeps the picture; what comes goes into the live model all the same.
function pause() {
  paused = paused ? null : { model: snapshot(live), now: Date.now() };
  byID("pause").setAttribute("aria-pressed", String(Boolean(paused)));
  byID("pause").textContent = paused ? "Go on" : "Pause";
  show();
}

function onLine(line) {
  apply(live, line, Date.now());
  if (paused) frame();
  else show();
}

function view(list) {
  asList = list;
  byID("show-map").setAttribute("aria-pressed", String(!list));
  byID("show-list").setAttribute("aria-pressed", String(list));
  byID("stage").hidden = list;
  byID("list").hidden = !list;
  show();
}

const keys = {
  "/": () => byID("filter").focus(), p: pause, t: toggleTheme, l: () => view(!asList),
  0: () => camera.fit(area, true), "+": () => camera.zoomBy(1.25), "-": () => camera.zoomBy(0.8),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (event.target === byID("filter")) event.target.blur();
    return pick(null);
  }
  if (event.target.matches("input, select") || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

function listen() {
  byID("filter").addEventListener("input", (event) => { choice.filter = event.target.value; show(); });
  byID("window").addEventListener("change", (event) => { choice.window = Number(event.target.value); show(); });
  byID("pause").addEventListener("click", pause);
  byID("show-map").addEventListener("click", () => view(false));
  byID("show-list").addEventListener("click", () => view(true));
  byID("zoom-in").addEventListener("click", keys["+"]);
  byID("zoom-out").addEventListener("click", keys["-"]);
  byID("zoom-fit").addEventListener("click", keys[0]);
  addEventListener("keydown", onKey);
  new ResizeObserver(() => area && camera.fit(area)).observe(byID("stage"));
}

startTheme();
makeLegend(choice, show);
listen();
show();
setInterval(() => paused || show(), 1000); // ages go on
read(onLine, (state) => { live.connection = state; show(); });
