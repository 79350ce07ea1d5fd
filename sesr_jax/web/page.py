"""The text of the page, in the style of all pages of this package."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from sesr_jax.report.html import escape, make_document

_STYLE = """
#drop {
  display: block; margin-top: 1.5rem; padding: 2rem 1rem; border: 2px dashed var(--rule);
  border-radius: 6px; text-align: center;
  cursor: pointer;
}
#drop:hover, #drop:focus-within { border-color: var(--accent); }
#photo { position: absolute; opacity: 0; }
button, select { font: inherit; padding: .2rem .6rem; color: inherit; background: var(--paper);
  border: 1px solid var(--soft); border-radius: 4px; cursor: pointer; }
button:disabled { opacity: .4; cursor: default; }
progress { width: 100%; accent-color: var(--accent); }
#status { min-height: 1.6em; color: var(--soft); }
#result {
  position: relative; left: 50%; transform: translateX(-50%); width: calc(100vw - 2 * var(--edge) - 1rem);
}
#view { overflow: auto; max-height: 85vh; }
#compare { margin: 0 auto; }
#compare canvas { display: block; width: 100%; height: auto; }
#compare .handle {
  position: absolute; top: 50%; left: var(--at); width: 2.4rem; height: 2.4rem; margin: -1.2rem;
  border-radius: 50%; background: #fffc; color: #000; text-align: center; line-height: 2.3rem;
  pointer-events: none;
}
#choices { display: flex; flex-wrap: wrap; gap: .5rem 1.5rem; justify-content: center; margin-top: .75rem; }
"""

_HEAD = """<link rel="icon" href="data:,">
<script type="importmap">
{"imports": {"@litertjs/core": "./litert/core/dist/index.js",
  "@litertjs/wasm-utils": "./litert/wasm-utils/dist/index.js"}}
</script>"""

_SCRIPTS = """<script>
const slider = document.querySelector("#compare input");
slider.addEventListener("input", () => slider.parentElement.style.setProperty("--at", slider.value + "%"));
if (location.protocol === "file:") document.getElementById("status").textContent =
  "Browsers open this page only from a server, such as: python3 -m http.server --directory FOLDER";
</script>
<script type="module" src="page.js"></script>"""


def to_html(title: str, facts: Mapping[str, Any], sizes: Sequence[int]) -> str:
    """Returns the page's text.

    Args:
      title: its headline.
      facts: those of facts.json.
      sizes: the bytes of each file.
    """
    names = [file["name"] for file in facts["files"]]
    pairs = [("photo", name) for name in names] + list(itertools.pairwise(names))
    options = "".join(
        f'<option value="{escape(",".join(pair))}">{escape(" | ".join(pair))}</option>'
        for pair in pairs
    )
    columns = range(len(names))
    rows = (
        ("runs on", [f'<span id="place{i}">–</span>' for i in columns]),
        ("network", [f'<span id="network{i}">–</span>' for i in columns]),
        ("in all", [f'<span id="seconds{i}">–</span>' for i in columns]),
        ("result", [f'<button id="save{i}" disabled>Save PNG</button>' for i in columns]),
        (
            "file",
            [
                f'<a href="{escape(file["path"])}" download>{size / 1e3:.1f} kB</a>'
                for file, size in zip(facts["files"], sizes, strict=True)
            ],
        ),
    )
    head = "".join(f'<th class="number" scope="col">{escape(name)}</th>' for name in names)
    body = "\n".join(
        f'<tr><th scope="row">{name}</th>'
        + "".join(f'<td class="number">{cell}</td>' for cell in cells)
        + "</tr>"
        for name, cells in rows
    )
    lead = f"""Your photo is upscaled ×{facts["scale"]} on this machine, by the files that would run on a
phone or an NPU. Nothing is uploaded."""
    main = f"""\
<label id="drop"><input id="photo" type="file" accept="image/*">Drop a photo here, or choose one</label>
<p id="status" role="status">Loading …</p>
<progress id="progress" max="1" value="0" hidden aria-label="How much is done"></progress>
<figure id="result" hidden>
<div id="view"><div class="compare" id="compare">
<div class="after"></div><div class="before"></div>
<span class="label left"></span><span class="label right"></span>
<span class="handle" aria-hidden="true">↔</span>
<input type="range" min="0" max="100" value="50" step="0.5"
  aria-label="How much of the left image covers the right">
</div></div>
<div id="choices">
<label>Compare <select id="pair">{options}</select></label>
<label><input id="whole" type="checkbox"> every pixel</label>
</div>
</figure>
<figure id="times" class="table" hidden>
<div class="scroll"><table><thead><tr><th></th>{head}</tr></thead>
<tbody>
{body}
</tbody></table></div>
<figcaption>Seconds for this photo, in tiles of {facts["tile"][1]}×{facts["tile"][0]} pixels that overlap by
{facts["halo"]} on each side. INT8 is made for NPUs; on a CPU, float may be faster.</figcaption>
</figure>
<p>Transparent photos are shown on white. The saved images are in sRGB and without metadata, which
<code>sesr upscale</code> keeps. LiteRT.js runs the files; it is licensed under Apache-2.0.</p>"""
    return make_document(title, lead, main, head=_HEAD, style=_STYLE, scripts=_SCRIPTS)
