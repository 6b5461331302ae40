// Before anything is drawn: the colours that this reader chose. "" is what the system says.
"use strict";
(() => {
  let chosen = "";
  try {
    chosen = localStorage.getItem("licet-theme") || "";
  } catch { /* A browser may keep nothing. */ }
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
