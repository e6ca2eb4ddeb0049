/**
 * The page's one style sheet: light, dark and print, no picture and no font from elsewhere. The drawings take their colours from the variables. The trap: the page's policy allows this text by its hash, so
 * nothing may be added to it later, and style attributes have no effect.
 */

export const REPORT_STYLE = `
:root { color-scheme: light dark; --page: #fff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --band: rgba(31, 35, 40, 0.06); --curve: #0550ae; --refresh: #8c5a00; --right: #116329; --wrong: #a40e26; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) {
  :root { --page: #0d1117; --text: #e6edf3; --quiet: #9aa4af; --line: #3d444d; --band: rgba(230, 237, 243, 0.09); --curve: #79c0ff; --refresh: #e3b341; --right: #7ee787; --wrong: #ffa198; --card: #161b22; }
}
* { box-sizing: border-box; }
html { background: var(--page); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 76rem; margin: 0 auto; padding: 1rem 1.25rem 4rem; overflow-wrap: anywhere; }
h1 { font-size: 1.7rem; margin: 0.5rem 0; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 0.75rem; padding-top: 0.75rem; border-top: 1px solid var(--line); }
h3 { font-size: 1.08rem; margin: 1.75rem 0 0.5rem; }
h4 { font-size: 1rem; margin: 0; }
h5 { font-size: 0.85rem; margin: 0 0 0.25rem; color: var(--quiet); font-weight: 600; }
a { color: var(--curve); }
a:focus-visible, summary:focus-visible, [tabindex]:focus-visible { outline: 2px solid var(--curve); outline-offset: 2px; }
nav ul { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; padding: 0; list-style: none; }
.note, .count, small, .mark { color: var(--quiet); font-weight: 400; }
.note, .count { font-size: 0.88rem; }
.verdict { padding: 0.6rem 1rem; border-left: 4px solid var(--curve); background: var(--card); }
.verdict p { margin: 0.2rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; margin: 0.75rem 0; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
caption { text-align: left; padding-bottom: 0.4rem; color: var(--quiet); }
th, td { padding: 0.3rem 0.7rem; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; }
thead th { font-size: 0.85rem; }
table.figures { font-size: 0.92rem; }
table.figures th { white-space: nowrap; }
table.figures small { display: block; font-size: 0.78rem; white-space: nowrap; }
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: 0.2rem 1.25rem; }
dt { font-weight: 600; }
dd { margin: 0; }
ol.phases { columns: 18rem; margin: 0.25rem 0 1rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 30rem), 1fr)); gap: 1.25rem; }
.chart { margin: 0.75rem 0 0; min-width: 0; }
.chart figcaption { font-size: 0.88rem; color: var(--quiet); min-height: 2.6em; }
.chart figcaption strong { color: var(--text); }
.chart.wide figcaption { min-height: 0; }
.chart svg { display: block; width: 100%; max-width: 100%; height: auto; overflow: visible; }
.chart.wide svg { min-width: 42rem; max-width: 54rem; }
.chart svg { font-size: 11px; }
.chart svg text { white-space: pre; }
.chart details { font-size: 0.82rem; }
summary { cursor: pointer; color: var(--quiet); font-size: 0.85rem; }
article { margin: 0.75rem 0; padding: 0.75rem 1rem; background: var(--card); border-radius: 6px; }
article p { margin: 0.25rem 0; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0.75rem 1.5rem; margin-top: 0.5rem; }
.pair section { border-left: 3px solid var(--wrong); padding-left: 0.75rem; min-width: 0; }
.pair section.right { border-color: var(--right); }
.pair ol { margin: 0.25rem 0; padding-left: 1.25rem; font-size: 0.88rem; }
.answer { font-weight: 600; }
.passage { white-space: pre-line; }
pre { padding: 0.75rem 1rem; background: var(--card); border-radius: 6px; overflow-x: auto; font: 0.85rem/1.45 ui-monospace, monospace; white-space: pre-wrap; }
@media print {
  :root { color-scheme: light; --page: #fff; --text: #000; --quiet: #444; --line: #bbb; --band: rgba(0, 0, 0, 0.06); --curve: #0550ae; --refresh: #8c5a00; --right: #116329; --wrong: #a40e26; --card: #fff; }
  html { font-size: 11px; }
  body { max-width: none; padding: 0; }
  nav { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  figure, article, tr { break-inside: avoid; }
  h2, h3, h4, h5, h2 + p { break-after: avoid; }
  .chart.wide svg { min-width: 0; }
  .charts { grid-template-columns: 1fr 1fr; }
  .scroll { overflow: visible; }
  article { border: 1px solid var(--line); }
}
`;
