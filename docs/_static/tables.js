/* On phones, tables of prose that are too wide, or have three columns or more, show each cell under its column's name. */
document.addEventListener("DOMContentLoaded", () => {
  for (const table of document.querySelectorAll(".bd-article table.table:not(.cards, .autosummary)")) {
    const names = [...table.querySelectorAll("thead th")].map((cell) => cell.textContent.trim());
    const rows = [...table.querySelectorAll("tbody tr")];
    const isProse = rows.some((row) => [...row.cells].some((cell, place) => place && cell.textContent.trim().length > 25));
    const isWide = names.length > 2 || table.offsetWidth > table.parentElement.clientWidth;
    if (names.length < 2 || !isProse || !isWide) continue;
    table.classList.add("stacked");
    for (const row of rows) [...row.cells].forEach((cell, place) => (cell.dataset.column = names[place]));
  }
});
