/* What the style sheet cannot do. */

/* Tables of prose that are too wide for a phone, or have three columns or more, get the names of their columns in each
   cell: on phones the cells are below each other. */
function labelCells(table) {
  const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
  const rows = [...table.querySelectorAll("tbody tr")];
  const isProse = rows.some((row) => [...row.cells].some((cell, place) => place && cell.textContent.trim().length > 25));
  const isWide = names.length > 2 || table.offsetWidth > table.parentElement.clientWidth;
  if (names.length < 2 || !isProse || !isWide) return;
  table.classList.add("stacked");
  for (const row of rows) [...row.cells].forEach((cell, place) => (cell.dataset.column = names[place]));
}

/* Long names in the sidebars may break between their parts; "NaN" may not. */
function breakName(node) {
  const parts = node.textContent.split(/(?<=_)(?=\w)|(?<=[a-z])(?=[A-Z]\w)/);
  if (parts.length < 2) return;
  node.replaceWith(...parts.flatMap((part, place) => (place ? [document.createElement("wbr"), part] : [part])));
}

document.addEventListener("DOMContentLoaded", () => {
  document.querySelectorAll(".bd-article table.table:not(.cards, .autosummary)").forEach(labelCells);
  for (const link of document.querySelectorAll(".bd-links a, .page-toc a")) {
    const walker = document.createTreeWalker(link, NodeFilter.SHOW_TEXT);
    const texts = [];
    while (walker.nextNode()) texts.push(walker.currentNode);
    texts.forEach(breakName);
  }
});
