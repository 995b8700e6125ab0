"""The page's style sheet: one column, tables that become cards on a narrow screen, and rules for printing."""

STYLE = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 70rem; font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b;
  background: #fff; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; border-bottom: 1px solid #ccc; }
p, figcaption, .note { max-width: 45rem; }
.note, figcaption { color: #555; font-size: 0.875rem; }
table { border-collapse: collapse; margin: 0.5rem 0; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #e4e4e4;
  overflow-wrap: normal; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
small { display: block; color: #555; font-size: 0.75rem; }
td.long { overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid #888; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem; }
figure { margin: 0; }
figure img { max-width: 100%; height: auto; display: block; }
figure.grid img { image-rendering: pixelated; }
.wide { overflow-x: auto; }
@media (max-width: 45rem) {
  .cards, .cards tbody, .cards tr, .cards td { display: block; width: 100%; }
  .cards thead { display: none; }
  .cards tr { border: 1px solid #ccc; border-radius: 6px; padding: 0.25rem 0.5rem; margin: 0.5rem 0; }
  .cards td { display: flex; justify-content: space-between; gap: 1rem; text-align: right; white-space: normal;
    border: 0; padding: 0.125rem 0; overflow-wrap: anywhere; }
  .cards td::before { content: attr(data-name); color: #555; text-align: left; flex: 0 1 45%; }
  .cards td:empty { display: none; }
}
@media print {
  @page { margin: 12mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  table { font-size: 8pt; }
  .wide { overflow: visible; }
  tr, figure { break-inside: avoid; }
  h2 { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
