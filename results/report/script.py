"""The page's script: sort and search tables, and show the values of curves below the pointer. It fetches nothing.

The page is complete without it. Text is only ever set as text, never as markup.
"""

import base64
import hashlib

SCRIPT = """
"use strict";
for (const table of document.querySelectorAll("table.cards, table.list")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, i) => row.cells[i].dataset.sort ?? row.cells[i].textContent.trim();
  const compare = (a, b) => {
    const [x, y] = [parseFloat(a), parseFloat(b)];
    if (!isNaN(x) && !isNaN(y) && x !== y) return x - y;
    return isNaN(x) - isNaN(y) || a.localeCompare(b, undefined, {numeric: true});
  };
  heads.forEach((head, i) => {
    head.tabIndex = 0;
    head.title = "Sort by this column";
    const sort = () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => compare(value(a, i), value(b, i)));
      body.append(...(down ? rows.reverse() : rows));
    };
    head.addEventListener("click", sort);
    head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
  });
  if (body.rows.length > 5) {
    const search = document.createElement("input"), shown = document.createElement("span");
    search.type = "search";
    search.placeholder = "Search";
    search.setAttribute("aria-label", "Search the table");
    search.addEventListener("input", () => {
      const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
      let n = 0;
      for (const row of body.rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every(word => text.includes(word));
        n += !row.hidden;
      }
      shown.textContent = words.length ? ` ${n} of ${body.rows.length}` : "";
    });
    const line = document.createElement("p");
    line.className = "search";
    line.append(search, shown);
    table.parentElement.before(line);
  }
}
for (const figure of document.querySelectorAll("figure.plot")) {
  const source = figure.querySelector("script"), image = figure.querySelector("img");
  if (!source) continue;
  const {box, x, y, lines} = JSON.parse(source.textContent);
  const tip = document.createElement("output"), mark = document.createElement("i");
  tip.hidden = mark.hidden = true;
  figure.append(mark, tip);
  const number = value => Number(value.toPrecision(4)).toLocaleString("en");
  const move = event => {
    const area = image.getBoundingClientRect();
    const left = (px => (px - box[0]) / (box[2] - box[0]))((event.clientX - area.left) / area.width);
    const top = (event.clientY - area.top) / area.height;
    const at = x[0] + left * (x[1] - x[0]);
    let best = null;
    for (const line of lines) {
      let i = -1;
      line.x.forEach((position, j) => {
        if (line.y[j] !== null && (i < 0 || Math.abs(position - at) < Math.abs(line.x[i] - at))) i = j;
      });
      if (i < 0) continue;
      const px = box[0] + (line.x[i] - x[0]) / (x[1] - x[0]) * (box[2] - box[0]);
      const py = box[3] - (line.y[i] - y[0]) / (y[1] - y[0]) * (box[3] - box[1]);
      const far = Math.abs(py - top) + Math.abs(px - (event.clientX - area.left) / area.width);
      if (!best || far < best.far) best = {line, i, px, py, far};
    }
    tip.hidden = mark.hidden = !best;
    if (!best) return;
    const {line, i} = best, step = line.x[i].toLocaleString("en");
    const interval = line.low[i] === null ? "" : ` [${number(line.low[i])}, ${number(line.high[i])}]`;
    tip.textContent = `${line.name}, step ${step}: ${number(line.y[i])}${interval}, n = ${line.n}`;
    mark.style.left = `${image.offsetLeft + best.px * area.width}px`;
    mark.style.top = `${image.offsetTop + best.py * area.height}px`;
    mark.style.background = line.colour;
  };
  image.addEventListener("pointermove", move);
  image.addEventListener("pointerdown", move);
  image.addEventListener("pointerleave", () => { tip.hidden = mark.hidden = true; });
}
"""
SCRIPT_HASH = f"'sha256-{base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()}'"
