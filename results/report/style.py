"""The page's style sheet: tables that become cards on a narrow screen, dark mode, and rules for printing."""

STYLE = """
:root { color-scheme: light; --text: #1b1b1b; --dim: #555; --page: #fff; --line: #ccc;
  --faint: #e4e4e4; --link: #0b57a4; }
@media screen and (prefers-color-scheme: dark) {
  :root { color-scheme: dark; --text: #e6e6e6; --dim: #a8a8a8; --page: #151515; --line: #555;
    --faint: #333; --link: #8ab8ff; }
  figure.plot img, .legend svg, figure.plot i { filter: invert(1) hue-rotate(180deg); }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 80rem; font: 16px/1.5 system-ui, sans-serif; color: var(--text);
  background: var(--page); overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2rem 0 0.5rem; border-bottom: 1px solid var(--line); }
a { color: var(--link); }
p, figcaption, .note, ul { max-width: 50rem; }
.note, figcaption { color: var(--dim); font-size: 0.875rem; }
ul { padding-left: 1.25rem; margin: 0.5rem 0; }
table { border-collapse: collapse; margin: 0.5rem 0; font-size: 0.875rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.25rem 0.75rem 0.25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--faint); overflow-wrap: normal; }
td.number, th.number { text-align: right; }
td.number { white-space: nowrap; }
small { display: block; color: var(--dim); font-size: 0.75rem; }
td.long { overflow-wrap: anywhere; }
thead th { border-bottom: 2px solid var(--dim); }
th[tabindex] { cursor: pointer; }
th[aria-sort=ascending]::after { content: " \\25B2"; }
th[aria-sort=descending]::after { content: " \\25BC"; }
tr[hidden] { display: none !important; }
.search { margin: 0.5rem 0 0; font-size: 0.875rem; color: var(--dim); }
.search input { font: inherit; width: 16rem; max-width: 100%; padding: 0.25rem 0.5rem; }
.legend { list-style: none; padding: 0; max-width: none; display: flex; flex-wrap: wrap; gap: 0.125rem 1.25rem;
  font-size: 0.875rem; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 22rem), 1fr)); gap: 1rem; }
figure { margin: 0; position: relative; max-width: 40rem; }
figure img { width: 100%; height: auto; display: block; }
figure.grid img { width: auto; max-width: 100%; image-rendering: pixelated; }
figure output { position: absolute; left: 0; right: 0; top: 0; text-align: center; font-size: 0.8125rem;
  background: var(--page); pointer-events: none; }
figure i { position: absolute; width: 9px; height: 9px; margin: -4.5px; border-radius: 50%; pointer-events: none; }
.wide { overflow-x: auto; }
.print { display: none; }
@media (max-width: 45rem) {
  .cards, .cards tbody, .cards tr, .cards td { display: block; width: 100%; }
  .cards thead, .list thead { display: none; }
  .cards tr { border: 1px solid var(--line); border-radius: 6px; padding: 0.25rem 0.5rem; margin: 0.5rem 0; }
  .cards td { display: flex; justify-content: space-between; gap: 1rem; text-align: right; white-space: normal;
    border: 0; padding: 0.125rem 0; overflow-wrap: anywhere; }
  .cards td::before { content: attr(data-name); color: var(--dim); text-align: left; flex: 0 1 45%; }
  .cards td:empty { display: none; }
  .list, .list tbody, .list tr { display: block; }
  .list tr { border-bottom: 1px solid var(--faint); padding: 0.25rem 0; }
  .list td { display: inline-block; border: 0; padding: 0 0.5rem 0 0; max-width: 100%; overflow-wrap: anywhere; }
}
@media print {
  @page { margin: 12mm; size: A4; }
  body { max-width: none; padding: 0; font-size: 9pt; line-height: 1.3; }
  h1 { font-size: 14pt; } h2 { font-size: 11pt; margin: 8pt 0 3pt; }
  p, ul, .note { max-width: none; margin: 2pt 0; }
  .note, .legend, figcaption { font-size: 7.5pt; }
  table { font-size: 6.5pt; line-height: 1.15; margin: 2pt 0; }
  li { font-size: 8pt; line-height: 1.2; }
  th, td { padding: 0.5pt 5pt 0.5pt 0; }
  small { display: inline; font-size: 6pt; margin-left: 3pt; }
  table:has(th:nth-child(8)) small { display: block; }  /* too wide for one line on paper */
  table:has(th:nth-child(10)) td.number { white-space: normal; }
  small span { display: none; }
  small::before { content: "("; }
  small::after { content: ")"; }
  .print { display: block; }
  .search, figure output, figure i { display: none; }
  th[aria-sort]::after { content: "" !important; }
  .wide { overflow: visible; }
  .figures { grid-template-columns: repeat(auto-fit, minmax(58mm, 1fr)); gap: 6pt; }
  figure { max-width: 95mm; }
  .list thead { display: none; }
  .list { display: block; columns: 2; column-gap: 12pt; font-size: 6pt; line-height: 1.15; }
  .list tbody { display: contents; }
  .list tr { display: block; }
  .list td { display: inline-block; border: 0; padding: 0 3pt 0 0; }
  .list td.age { display: none; }  /* the start is printed */
  a { color: inherit; text-decoration: none; }
  tr, figure { break-inside: avoid; }
  h2 { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
