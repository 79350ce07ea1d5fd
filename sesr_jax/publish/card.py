"""Model cards and the table of results, made of the facts that `publish` wrote and of nothing else.

A figure that the paper prints (`models.published`) stands beside ours with the difference, where it is of
the same network and by the same protocol: on luma. It is reached where ours, rounded as printed, is not
below it.
"""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

from sesr_jax.data.licences import find_licence
from sesr_jax.metrics import RGB, RGB8, Protocol, Y, native_protocol
from sesr_jax.models import VARIANTS
from sesr_jax.models.network import Network
from sesr_jax.models.published import SETS, Quality
from sesr_jax.report import Plot, markdown_table, text_table

FLOAT = "float"
FORMS = {
    FLOAT: "float",
    "QAT": "INT8, trained for it",
    "PTQ, min_max": "INT8, calibrated after training",
}
"""What a card calls the forms of a network; of those in INT8 the one that deploys best comes first."""

FILES = {
    "": "collapsed, float: the network to deploy",
    "_expanded": "expanded, as it was trained: to train on from",
    "_qat": "collapsed, with the ranges of INT8 that it was trained with",
}
"""What is in the weight files that may ship, by what follows the network's name."""

_PROTOCOLS = {
    Y: "Protocol `y`, that of the paper's tables: luma first, bicubic low resolutions without rounding, as "
    "many pixels shaved as the scale.",
    RGB: "Protocol `rgb`: 8-bit RGB down and up, compared over R, G and B, as many pixels shaved as the "
    "scale. No paper's figures stand beside: those of the Mobile AI challenges, which `sesr score` lists, "
    "are of DIV2K.",
}

_CAPTIONS = {
    Y: "PSNR in dB on Y (protocol y); paper: how far float is above what its paper prints",
    RGB: "PSNR in dB on RGB (protocol rgb)",
}

COLUMNS = ("Set5", "Set14", "B100")
"""The sets of the tables of results."""

Facts = Mapping[str, Any]
"""What `publish` gives."""


def card(facts: Facts) -> str:
    """The Markdown text of a model card."""
    name, spent = facts["name"], facts["cost"]
    options = [f"{key}={value}" for key, value in facts.get("options", {}).items()]
    model = facts["model"] + (f" ({', '.join(options)})" if options else "")
    images = "luma" if _protocol(facts) == Y else "RGB"
    sections = [
        f"# {name}",
        f"{model}, which upscales {images} ×{facts['scale']}: {spent['weights']:,} weights "
        f"({spent['parameters']:,} parameters with biases and slopes; {spent['trained_parameters']:,} while "
        f"training), {spent['macs'] / 1e9:.3f} G MACs for an output of 1280×720. The network is that of "
        f"{VARIANTS[facts['model']].paper}; the weights were trained by sesr_jax.",
        f"    sesr upscale photo.jpg large.png --model {name}",
        _files(facts),
        "## Quality",
        _quality(facts),
        "## Training",
        _training(facts),
        f"![PSNR over the steps]({name}.svg)",
        "## Data",
        _data(facts),
        f"Made by `sesr publish` of sesr_jax {facts['version']} from {name}.json; not edited by hand.",
    ]
    return "\n\n".join(sections) + "\n"


def curve(facts: Facts) -> Plot:
    """PSNR over the steps of all legs of the network itself, one behind the other."""
    lines: dict[str, tuple[list[float], list[float]]] = {}
    done = 0
    keys = ("model", "scale")
    shown = [leg for leg in facts["training"] if all(leg[key] == facts[key] for key in keys)]
    for leg in shown:
        for step, psnr in leg["curve"]:
            steps, values = lines.setdefault(leg["run"], ([], []))
            steps.append(done + step)
            values.append(psnr)
        done += leg["steps"]
    watched = ", ".join(dict.fromkeys(leg["watched_on"] for leg in shown))
    return Plot(lines, x="steps", y=f"PSNR on {watched}, dB")


def results_table(cards: Iterable[Facts]) -> str:
    """PSNR of networks, in float and in the best INT8; those of luma stand apart, beside their papers."""
    groups: dict[Protocol, list[Facts]] = {protocol: [] for protocol in _CAPTIONS}
    for facts in cards:
        groups[_protocol(facts)].append(facts)
    tables = []
    for protocol, group in groups.items():
        shown = ("INT8", "paper") if protocol == Y else ("INT8",)
        header = ["network", *(name for data in COLUMNS for name in (data, *shown))]
        rows = [
            [facts["name"], *(cell for cells in results(facts) for cell in cells[: 1 + len(shown)])]
            for facts in group
        ]
        if rows:
            tables.append(f"{_CAPTIONS[protocol]}\n\n{text_table(rows, header)}")
    return "\n\n".join(tables)


def results(facts: Facts) -> list[tuple[str, str, str]]:
    """On each of `COLUMNS`: PSNR in float, in the best INT8, and how far float is above the paper's."""
    cells = []
    for data in COLUMNS:
        found = [_figure(facts, form, data) for form in (FLOAT, _best_int8(facts))]
        ours, integer = ("–" if figure is None else f"{figure['psnr']:.2f}" for figure in found)
        cells.append(
            (ours, integer, "–" if found[0] is None else _format_difference(facts, found[0]))
        )
    return cells


def _files(facts: Facts) -> str:
    rows = [
        [f"`{file}`", FILES[file.removesuffix(".safetensors").removeprefix(facts["name"])],
         f"{size / 1e3:.0f}"]
        for file, size in facts["files"].items()
    ]  # fmt: skip
    return markdown_table(rows, ["file", "what", "kB"])


def _quality(facts: Facts) -> str:
    native = _protocol(facts)
    figures = [figure for figure in facts["figures"] if figure["protocol"] == native.name]
    header = ["set", "form", "PSNR (dB) / SSIM"]
    rows = [[f["data"], FORMS[f["form"]], _format_quality(f)] for f in figures]
    if native == Y:
        header += ["paper, float", "difference", ""]
        for row, figure in zip(rows, figures, strict=True):
            row += _comparison(facts, figure)
    rows.sort(key=lambda row: _sort_key(row[0]))
    others = [figure for figure in facts["figures"] if figure["protocol"] == RGB8.name]
    sets = sorted({figure["data"] for figure in others}, key=_sort_key)
    cells = []
    for form in dict.fromkeys(figure["form"] for figure in others):
        by_set = {figure["data"]: figure for figure in others if figure["form"] == form}
        cells.append([FORMS[form], *(_format_quality(by_set[data]) for data in sets)])
    return "\n\n".join(
        [
            f"{_PROTOCOLS[native]} INT8 figures are those of the .tflite file, run by LiteRT.",
            markdown_table(rows, header),
            "Protocol `rgb8`: 8-bit RGB down and up, then luma"
            + ("; the paper prints no such figures." if native == Y else "."),
            markdown_table(cells, ["form", *sets]),
        ]
    )


def _comparison(facts: Facts, figure: Facts) -> list[str]:
    """What the paper prints, the difference, and whether that is reached."""
    paper = _paper_quality(facts).get(figure["data"])
    if paper is None:
        return ["–", "–", "not published"]
    reached = "reached" if _difference(figure, paper) >= 0 else "**not reached**"
    against = f"{_format_difference(facts, figure)} / {figure['ssim'] - paper[1]:+.4f}"
    return [f"{paper[0]:.2f} / {paper[1]:.4f}", against, reached]


def _training(facts: Facts) -> str:
    legs = facts["training"]
    header = ["run", "steps", "a step", "loss", "rate", "begins with", "seed", "hours", "hardware"]
    rows = []
    for leg in legs:
        begins = f"`{leg['from']}`" if leg["from"] else "fresh weights"
        if "quantise" in leg["stages"]:
            begins += ", quantised"
        rate = f"{leg['optimiser']}, {leg['learning_rate']:g} {leg['schedule']}"
        if leg["schedule"] != "constant" and leg["planned_steps"] != leg["steps"]:
            rate += f" over {leg['planned_steps']:,} steps, cut short"
        if leg["ema"]:
            rate += f", averaged by {leg['ema']:g}"
        rows.append([f"`{leg['run']}`", f"{leg['steps']:,}", _step(facts, leg), leg["loss"], rate,
                     begins, leg["seed"], f"{leg['hours']:.1f}", leg["hardware"]])  # fmt: skip
    quantised = sum(leg["steps"] for leg in legs if "quantise" in leg["stages"])
    total = sum(leg["steps"] for leg in legs) - quantised
    summary = f"{total:,} steps in float" + (f", and {quantised:,} for INT8." if quantised else ".")
    return f"{summary}\n\n{markdown_table(rows, header)}"


def recipe(facts: Facts) -> str:
    """The training in a line: steps and what they were of, hours and hardware."""
    steps: dict[str, int] = collections.defaultdict(int)
    hours: dict[str, float] = collections.defaultdict(float)
    for leg in facts["training"]:
        use = ", for INT8" if "quantise" in leg["stages"] else ""
        steps[_step(facts, leg) + use] += leg["steps"]
        hours[leg["hardware"]] += leg["hours"]
    parts = [f"{count:,} steps of {what}" for what, count in steps.items()]
    parts += [f"{spent:.1f} h on {hardware}" for hardware, spent in hours.items()]
    return "; ".join(parts)


def _step(facts: Facts, leg: Facts) -> str:
    what = f"{leg['batch']} crops of {leg['patch']}×{leg['patch']}"
    if (leg["model"], leg["scale"]) != (facts["model"], facts["scale"]):
        what += f", {leg['model']} ×{leg['scale']}"
    return what


def _data(facts: Facts) -> str:
    rows = [
        [use, data, "–" if images is None else images, find_licence(data)]
        for use, sets in facts["data"].items()
        for data, images in sets.items()
    ]
    table = markdown_table(rows, ["for", "set", "images", "terms, as the set's source states them"])
    return (
        f"{table}\n\nThe files hold no image; whether a set's terms bind weights is not said here."
    )


def _protocol(facts: Facts) -> Protocol:
    """That which measures the network on what it writes."""
    options = facts.get("options", {})
    network = Network(name=facts["model"], scale=facts["scale"], variables={}, options=options)
    return native_protocol(network.channels)


def _paper_quality(facts: Facts) -> Mapping[str, Quality]:
    """What the paper prints of this very network, by set, in the protocol `Y`."""
    if facts.get("options") or _protocol(facts) != Y:
        return {}
    return VARIANTS[facts["model"]].published.get(facts["scale"], {})


def _figure(facts: Facts, form: str, data: str) -> Facts | None:
    wanted = (form, _protocol(facts).name, data)
    keys = ("form", "protocol", "data")
    return next((f for f in facts["figures"] if tuple(f[key] for key in keys) == wanted), None)


def _best_int8(facts: Facts) -> str:
    measured = {figure["form"] for figure in facts["figures"]}
    return next(form for form in FORMS if form != FLOAT and form in measured)


def _format_quality(figure: Facts) -> str:
    return f"{figure['psnr']:.2f} / {figure['ssim']:.4f}"


def _difference(figure: Facts, paper: Quality) -> float:
    """In dB, of what is printed."""
    return round(round(figure["psnr"], 2) - paper[0], 2)


def _format_difference(facts: Facts, figure: Facts) -> str:
    """How far our PSNR is above the paper's; "–" where that prints none."""
    paper = _paper_quality(facts).get(figure["data"])
    return "–" if paper is None else f"{_difference(figure, paper):+.2f}"


def _sort_key(data: str) -> tuple[int, str]:
    return (SETS.index(data) if data in SETS else len(SETS), data)
