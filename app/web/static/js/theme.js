// Runs before the first paint, so that the page never flashes in the other theme.
"use strict";
(() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const stored = () => localStorage.getItem("spar-theme");
  const isDark = () => (stored() ?? (system.matches ? "dark" : "light")) === "dark";

  const apply = () => {
    if (stored()) root.dataset.theme = stored();
    document.getElementById("theme")?.setAttribute("aria-pressed", String(isDark()));
  };
  apply();
  system.addEventListener("change", apply);
  document.addEventListener("DOMContentLoaded", () => {
    apply();
    document.getElementById("theme").addEventListener("click", () => {
      localStorage.setItem("spar-theme", isDark() ? "light" : "dark");
      apply();
    });
  });
})();
