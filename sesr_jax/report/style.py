"""The style sheet and the script of a page."""

STYLE = """
:root {
  --edge: 1.25rem;
  --paper: #fdfdfc; --ink: #1d2126; --soft: #626a73; --rule: #e3e5e7; --accent: #1f6feb;
}
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171a; --ink: #e4e6e8; --soft: #9aa3ac; --rule: #2c3137; --accent: #6aa6ff; }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 3rem var(--edge) 5rem; max-width: calc(46rem + 2 * var(--edge));
  background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif;
  overflow-wrap: break-word; -webkit-text-size-adjust: 100%;
}
h1 { margin: 0 0 .5rem; font-size: clamp(1.6rem, 5vw, 2.2rem); line-height: 1.2; letter-spacing: -.015em; }
h2 { margin: 3rem 0 .75rem; font-size: 1.3rem; line-height: 1.3; letter-spacing: -.01em; }
p { margin: .75rem 0; }
.lead { color: var(--soft); font-size: 1.15rem; }
figure { margin: 1.5rem 0; }
figcaption { margin-top: .6rem; color: var(--soft); font-size: .9rem; line-height: 1.45; }
img { display: block; max-width: 100%; height: auto; border-radius: 4px; }
/* A table takes the column's width or more, up to the window's; beyond, it scrolls in its own box. */
.table {
  position: relative; left: 50%; transform: translateX(-50%);
  width: max-content; min-width: 100%; max-width: calc(100vw - 2 * var(--edge) - 1rem);
}
.table figcaption { max-width: 46rem; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .95rem; }
th, td { padding: .45rem .9rem; border-bottom: 1px solid var(--rule); text-align: left; white-space: nowrap; }
th.number, td.number { text-align: right; }
th.long, td.long { white-space: normal; min-width: 16rem; max-width: 46rem; }
th:last-child, td:last-child { padding-right: 0; }
th { font-weight: 400; }
tr > th:first-child { position: sticky; left: 0; padding-left: 0; background: var(--paper); }
thead th { color: var(--soft); font-size: .85rem; }
.plot svg { display: block; width: 100%; max-width: 36rem; height: auto; }
.plot svg text { font-family: inherit !important; }
.compare { position: relative; --at: 50%; border-radius: 4px; overflow: hidden; }
.compare .before { position: absolute; inset: 0; clip-path: inset(0 calc(100% - var(--at)) 0 0); }
.compare img { width: 100%; border-radius: 0; }
.compare::after {
  content: ""; position: absolute; top: 0; bottom: 0; left: var(--at); width: 2px; margin-left: -1px;
  background: #fff; box-shadow: 0 0 3px #0008; pointer-events: none;
}
.compare:focus-within { outline: 3px solid var(--accent); outline-offset: 2px; }
.compare input {
  position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: ew-resize;
  touch-action: pan-y;
}
.label {
  position: absolute; top: .6rem; padding: .1rem .55rem; border-radius: 1rem;
  background: #000a; color: #fff; font-size: .8rem; pointer-events: none;
}
.left { left: .6rem; }
.right { right: .6rem; }
@media (max-width: 34rem) {
  :root { --edge: 1rem; }
  body { padding-top: 1.5rem; font-size: 1rem; }
  .lead { font-size: 1.05rem; }
  .table { position: static; transform: none; width: auto; max-width: none; }
  tr > th:first-child { white-space: normal; min-width: 6.5rem; max-width: 40vw; }
  th, td { padding: .45rem .6rem; }
}
@media print {
  .table { position: static; transform: none; width: auto; }
  .compare .before { position: static; clip-path: none; }
  .compare::after, .label { display: none; }
}
"""

SCRIPT = """
for (const slider of document.querySelectorAll(".compare input")) {
  slider.hidden = false;
  slider.addEventListener("input", () =>
    slider.parentElement.style.setProperty("--at", slider.value + "%"));
}
"""
