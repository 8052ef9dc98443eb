// Light or dark: as the system has it until the user chooses.

import { byID } from "./dom.js";

const dark = matchMedia("(prefers-color-scheme: dark)");

export function startTheme() {
  byID("theme").addEventListener("click", toggleTheme);
  dark.addEventListener("change", show);
  show();
}

export function toggleTheme() {
  localStorage.setItem("theme", theme() === "dark" ? "light" : "dark");
  show();
}

const theme = () => localStorage.getItem("theme") ?? (dark.matches ? "dark" : "light");

function show() {
  document.documentElement.dataset.theme = theme();
  byID("theme").textContent = theme() === "dark" ? "Light" : "Dark";
}
