"""Makes model cards and the table of results from the facts that `publish` wrote, and from nothing else.

The published figure (`models.published`) stands beside ours, with the difference, where it was measured on
the same network by the same protocol, which is on luma. It counts as reached where our figure, rounded to
the digits that the paper prints, is not below it.
"""

import collections
from collections.abc import Iterable, Mapping
from typing import Any

from sesr_jax.compare import FLOAT, QAT, QAT_IN_FLOAT
from sesr_jax.data.licences import find_licence
from sesr_jax.metrics import DEGRADED, RGB, RGB8, Protocol, Y, find_protocol
from sesr_jax.models import VARIANTS
from sesr_jax.models.published import SETS, Quality
from sesr_jax.report import Plot, format_markdown_table, format_table

FORMS = {
    FLOAT: "float",
    QAT_IN_FLOAT: "float, by the weights trained for INT8",
    QAT: "INT8, trained for it",
    "PTQ, min_max": "INT8, calibrated after training",
}
"""The names of a network's forms on a card; of those in INT8 the one that deploys best comes first."""

FILES = {
    "": "collapsed, float: the network to deploy",
    "_expanded": "expanded, as it was trained: to train on from",
    "_qat": "collapsed, with the ranges of INT8 that it was trained with",
}
"""What the weight files hold, by the suffix that follows the network's name."""

_FILES_FOR_INT8 = FILES | {
    "": "collapsed, the weights trained for INT8 without their ranges: to be run in float",
    "_expanded": "expanded, as it was trained, without the ranges: to train on from",
    "_qat": f"{FILES['_qat']}: the network to deploy",
}
"""The same for a network without one that was trained in float."""

_MARK = "†"
_NOTE = f"{_MARK} in float by the weights that were trained for INT8: none trained in float are published"

_NO_FLOAT_NETWORK = (
    "The recipe trains for INT8, and no weights that were trained in float are published: the float figures "
    "are those of the weights that were trained for INT8, run in float."
)

_PROTOCOLS = {
    Y: "The figures follow protocol `y`, which the paper's tables use: images become luma first, low "
    "resolutions are bicubic without rounding, and a border as wide as the scale factor is cut.",
    RGB: "The figures follow protocol `rgb`: images are reduced and upscaled as 8-bit RGB and compared over "
    "R, G and B, and a border as wide as the scale factor is cut. No paper's figures stand beside them: "
    "those of the Mobile AI challenges, which `sesr score` lists, were measured on DIV2K.",
    DEGRADED: "The figures follow protocol `degraded`: images are degraded as Real-ESRGAN degrades its "
    "training images, by a seed that depends on the image's name, and the outputs are compared over R, G and "
    "B with the original images, a border as wide as the scale factor cut.",
}

_CAPTIONS = {
    Y: "PSNR in dB on Y (protocol y); paper: the difference between float and the published figure",
    RGB: "PSNR in dB on RGB (protocol rgb)",
    DEGRADED: "PSNR in dB on RGB, from degraded photos (protocol degraded)",
}

COLUMNS = ("Set5", "Set14", "B100")
"""The data sets of the table of results."""

Facts = Mapping[str, Any]
"""The dictionary that `publish` returns."""


def make_card(facts: Facts) -> str:
    """Returns the Markdown text of a model card."""
    name, spent = facts["name"], facts["cost"]
    options = [f"{key}={value}" for key, value in facts.get("options", {}).items()]
    model = facts["model"] + (f" ({', '.join(options)})" if options else "")
    images = "luma" if _find_protocol(facts) == Y else "RGB"
    sections = [
        f"# {name}",
        f"{model}, which upscales {images} ×{facts['scale']}: {spent['weights']:,} weights "
        f"({spent['parameters']:,} parameters with biases and slopes; {spent['trained_parameters']:,} while "
        f"training), {spent['macs'] / 1e9:.3f} G MACs for an output of 1280×720. The network is that of "
        f"{VARIANTS[facts['model']].paper}; the weights were trained by sesr_jax.",
        f"    sesr upscale photo.jpg large.png --model {name}",
        _describe_files(facts),
        "## Quality",
        _describe_quality(facts),
        "## Training",
        _describe_training(facts),
        f"![PSNR over the steps]({name}.svg)",
        "## Data",
        _describe_data(facts),
        f"`sesr publish` of sesr_jax {facts['version']} made this card from {name}.json.",
    ]
    return "\n\n".join(sections) + "\n"


def plot_curve(facts: Facts) -> Plot:
    """Returns PSNR over the steps, with all stages of this network in a row.

    Stages that trained another network, whose weights this one began with, are left out, and so is PSNR on
    other images than those that the last stage was watched on.
    """
    lines: dict[str, tuple[list[float], list[float]]] = {}
    done = 0
    keys = ("model", "scale")
    shown = [stage for stage in facts["training"] if all(stage[key] == facts[key] for key in keys)]
    watched = shown[-1]["watched_on"]
    for stage in shown:
        for step, psnr in stage["curve"] if stage["watched_on"] == watched else []:
            steps, values = lines.setdefault(stage["run"], ([], []))
            steps.append(done + step)
            values.append(psnr)
        done += stage["steps"]
    return Plot(lines, x="steps", y=f"PSNR on {watched}, dB")


def make_results_table(cards: Iterable[Facts]) -> str:
    """Returns a table of PSNR in float and in the best INT8 for each protocol of networks.

    The table of luma also has the differences from the published figures.
    """
    groups: dict[Protocol, list[Facts]] = {protocol: [] for protocol in _CAPTIONS}
    for facts in cards:
        groups[_find_protocol(facts)].append(facts)
    tables = []
    for protocol, group in groups.items():
        shown = ("INT8", "paper") if protocol == Y else ("INT8",)
        header = ["network", *(name for data in COLUMNS for name in (data, *shown))]
        rows = [
            [
                facts["name"],
                *(cell for cells in list_figures(facts) for cell in cells[: 1 + len(shown)]),
            ]
            for facts in group
        ]
        if rows:
            tables.append(f"{_CAPTIONS[protocol]}\n\n{with_note(format_table(rows, header))}")
    return "\n\n".join(tables)


def list_figures(facts: Facts) -> list[tuple[str, str, str]]:
    """Returns PSNR in float, PSNR in the best INT8 and the gain over the paper, for each of `COLUMNS`.

    † marks figures in float of weights that were trained for INT8; `with_note` explains it.
    """
    cells = []
    own, mark = (FLOAT, "") if has_float_network(facts) else (QAT_IN_FLOAT, _MARK)
    for data in COLUMNS:
        found, int8 = (_find_figure(facts, form, data) for form in (own, _find_best_int8(facts)))
        ours = "–" if found is None else f"{found['psnr']:.2f}{mark}"
        integer = "–" if int8 is None else f"{int8['psnr']:.2f}"
        cells.append((ours, integer, "–" if found is None else _format_difference(facts, found)))
    return cells


def with_note(table: str) -> str:
    """Returns a table of `list_figures` with a line behind it about †, where that is in the table."""
    return f"{table}\n\n{_NOTE}" if _MARK in table else table


def has_float_network(facts: Facts) -> bool:
    """Returns whether the weights without ranges were trained in float, rather than for INT8."""
    return all(figure["form"] != QAT_IN_FLOAT for figure in facts["figures"])


def _describe_files(facts: Facts) -> str:
    content = FILES if has_float_network(facts) else _FILES_FOR_INT8
    rows = [
        [f"`{file}`", content[file.removesuffix(".safetensors").removeprefix(facts["name"])],
         f"{size / 1e3:.0f}"]
        for file, size in facts["files"].items()
    ]  # fmt: skip
    return format_markdown_table(rows, ["file", "content", "kB"])


def _describe_quality(facts: Facts) -> str:
    own = _find_protocol(facts)
    figures = [figure for figure in facts["figures"] if figure["protocol"] == own.name]
    header = ["set", "form", "PSNR (dB) / SSIM"]
    rows = [[f["data"], FORMS[f["form"]], _format_quality(f)] for f in figures]
    if own == Y:
        header += ["paper, float", "difference", ""]
        for row, figure in zip(rows, figures, strict=True):
            row += _compare_with_paper(facts, figure)
    rows.sort(key=lambda row: _sort_key(row[0]))
    others = [figure for figure in facts["figures"] if figure["protocol"] == RGB8.name]
    sets = sorted({figure["data"] for figure in others}, key=_sort_key)
    cells = []
    for form in dict.fromkeys(figure["form"] for figure in others):
        by_set = {figure["data"]: figure for figure in others if figure["form"] == form}
        cells.append([FORMS[form], *(_format_quality(by_set[data]) for data in sets)])
    return "\n\n".join(
        [
            *([] if has_float_network(facts) else [_NO_FLOAT_NETWORK]),
            f"{_PROTOCOLS[own]} INT8 figures are measured with the .tflite file, which LiteRT runs.",
            format_markdown_table(rows, header),
            "By protocol `rgb8`, images are reduced and upscaled as 8-bit RGB and compared on luma"
            + ("; the paper prints no such figures." if own == Y else "."),
            format_markdown_table(cells, ["form", *sets]),
        ]
    )


def _compare_with_paper(facts: Facts, figure: Facts) -> list[str]:
    """Returns the published figure, the difference from it, and whether it is reached."""
    paper = _find_published(facts).get(figure["data"])
    if paper is None:
        return ["–", "–", "not published"]
    reached = "reached" if _compute_difference(figure, paper) >= 0 else "**not reached**"
    against = f"{_format_difference(facts, figure)} / {figure['ssim'] - paper[1]:+.4f}"
    return [f"{paper[0]:.2f} / {paper[1]:.4f}", against, reached]


def _describe_training(facts: Facts) -> str:
    stages = facts["training"]
    header = ["run", "steps", "crops per step", "loss", "learning rate", "begins with", "seed", "hours",
              "hardware"]  # fmt: skip
    rows = []
    for stage in stages:
        begins = f"`{stage['from']}`" if stage["from"] else "fresh weights"
        if "quantise" in stage["stages"]:
            begins += ", quantised"
        rate = f"{stage['optimiser']}, {stage['learning_rate']:g} {stage['schedule']}"
        if stage["schedule"] != "constant" and stage["planned_steps"] != stage["steps"]:
            rate += f" over {stage['planned_steps']:,} steps, cut short"
        if stage["ema"]:
            rate += f", averaged by {stage['ema']:g}"
        rows.append([f"`{stage['run']}`", f"{stage['steps']:,}", _describe_step(facts, stage), stage["loss"],
                     rate, begins, stage["seed"], f"{stage['hours']:.2g}", stage["hardware"]])  # fmt: skip
    quantised = sum(stage["steps"] for stage in stages if "quantise" in stage["stages"])
    total = sum(stage["steps"] for stage in stages) - quantised
    summary = f"{total:,} steps in float" + (f", and {quantised:,} for INT8." if quantised else ".")
    return f"{summary}\n\n{format_markdown_table(rows, header)}"


def describe_training(facts: Facts) -> str:
    """Returns one line about the training: steps and their crops, hours and hardware."""
    steps: dict[str, int] = collections.defaultdict(int)
    hours: dict[str, float] = collections.defaultdict(float)
    for stage in facts["training"]:
        use = ", for INT8" if "quantise" in stage["stages"] else ""
        steps[_describe_step(facts, stage) + use] += stage["steps"]
        hours[stage["hardware"]] += stage["hours"]
    parts = [f"{count:,} steps of {crops}" for crops, count in steps.items()]
    parts += [f"{spent:.2g} h on {hardware}" for hardware, spent in hours.items()]
    return "; ".join(parts)


def _describe_step(facts: Facts, stage: Facts) -> str:
    crops = f"{stage['batch']} crops of {stage['patch']}×{stage['patch']}"
    if (stage["model"], stage["scale"]) != (facts["model"], facts["scale"]):
        crops += f", {stage['model']} ×{stage['scale']}"
    return crops


def _describe_data(facts: Facts) -> str:
    rows = [
        [use, data, "–" if images is None else images, find_licence(data)]
        for use, sets in facts["data"].items()
        for data, images in sets.items()
    ]
    table = format_markdown_table(rows, ["for", "set", "images", "licence that the source states"])
    return (
        f"{table}\n\nThe weight files hold no image. Whether the licence of a data set extends to weights "
        "that were trained on it is not said here."
    )


def _find_protocol(facts: Facts) -> Protocol:
    """Returns the protocol that the network is measured by, beside `RGB8`."""
    return find_protocol(facts["protocol"])


def _find_published(facts: Facts) -> Mapping[str, Quality]:
    """Returns the published figures of exactly this network, by data set, in the protocol `Y`."""
    if facts.get("options") or _find_protocol(facts) != Y:
        return {}
    return VARIANTS[facts["model"]].published.get(facts["scale"], {})


def _find_figure(facts: Facts, form: str, data: str) -> Facts | None:
    wanted = (form, _find_protocol(facts).name, data)
    keys = ("form", "protocol", "data")
    return next((f for f in facts["figures"] if tuple(f[key] for key in keys) == wanted), None)


def _find_best_int8(facts: Facts) -> str:
    measured = {figure["form"] for figure in facts["figures"]}
    return next(form for form in FORMS if form not in (FLOAT, QAT_IN_FLOAT) and form in measured)


def _format_quality(figure: Facts) -> str:
    return f"{figure['psnr']:.2f} / {figure['ssim']:.4f}"


def _compute_difference(figure: Facts, paper: Quality) -> float:
    """Returns the difference in dB between the rounded figures."""
    return round(round(figure["psnr"], 2) - paper[0], 2)


def _format_difference(facts: Facts, figure: Facts) -> str:
    """Returns our PSNR minus the published one as text; "–" where none is published."""
    paper = _find_published(facts).get(figure["data"])
    return "–" if paper is None else f"{_compute_difference(figure, paper):+.2f}"


def _sort_key(data: str) -> tuple[int, str]:
    return (SETS.index(data) if data in SETS else len(SETS), data)
