// Light or dark, before anything is painted: as the system has it, or as was chosen.
"use strict";
const chosen = localStorage.getItem("everact.theme");
if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
