"""Model cards and the table of results, made of the facts that `publish` wrote and of nothing else.

A figure that the paper prints (`models.published`) stands beside ours with the difference. It is reached
where ours, rounded as printed, is not below it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sesr_jax.data.terms import terms
from sesr_jax.metrics import RGB8, Y
from sesr_jax.models import VARIANTS
from sesr_jax.models.published import SETS
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

Facts = Mapping[str, Any]


def card(facts: Facts) -> str:
    """The Markdown text of a model card."""
    name, spent = facts["name"], facts["cost"]
    sections = [
        f"# {name}",
        f"{facts['model']}, which upscales luma ×{facts['scale']}: {spent['weights']:,} weights "
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
    lines = {}
    done = 0
    keys = ("model", "scale")
    shown = [leg for leg in facts["training"] if all(leg[key] == facts[key] for key in keys)]
    for leg in shown:
        if leg["curve"]:
            steps, psnr = zip(*leg["curve"], strict=True)
            lines[leg["run"]] = ([done + step for step in steps], list(psnr))
        done += leg["steps"]
    watched = ", ".join(dict.fromkeys(leg["watched_on"] for leg in shown))
    return Plot(lines, x="steps", y=f"PSNR on {watched}, dB")


def results_table(cards: Iterable[Facts]) -> str:
    """What the shipped networks reach, in float and INT8, beside what their papers print."""
    sets = ("Set5", "Set14", "B100")
    rows = []
    for facts in cards:
        forms = [
            form for form in FORMS if any(figure["form"] == form for figure in facts["figures"])
        ]
        for form in forms[:2]:
            rows.append([facts["name"], "float" if form == FLOAT else "INT8"])
            for data in sets:
                found = _figure(facts, form, Y.name, data)
                rows[-1] += ["–", "–"] if found is None else [_pair(found), _against(facts, found)]
    header = ["network", "form"]
    for data in sets:
        header += [data, "paper"]
    return text_table(rows, header, "<<" + ">" * 6)


def _files(facts: Facts) -> str:
    rows = [
        [f"`{file}`", FILES[file.removesuffix(".safetensors").removeprefix(facts["name"])],
         f"{size / 1e3:.0f}"]
        for file, size in facts["files"].items()
    ]  # fmt: skip
    return markdown_table(rows, ["file", "what", "kB"])


def _quality(facts: Facts) -> str:
    printed = VARIANTS[facts["model"]].published.get(facts["scale"], {})
    rows = []
    for figure in facts["figures"]:
        if figure["protocol"] == Y.name:
            paper = printed.get(figure["data"])
            reached = "not published"
            if paper:
                reached = "reached" if _difference(figure, paper) >= 0 else "**not reached**"
            told = "–" if paper is None else f"{paper[0]:.2f} / {paper[1]:.4f}"
            rows.append([figure["data"], FORMS[figure["form"]], _pair(figure, " / "), told,
                         _against(facts, figure, ssim=True), reached])  # fmt: skip
    rows.sort(key=lambda row: _order(row[0]))
    table = markdown_table(
        rows, ["set", "form", "PSNR (dB) / SSIM", "paper, float", "difference", ""]
    )
    others = [figure for figure in facts["figures"] if figure["protocol"] == RGB8.name]
    sets = sorted({figure["data"] for figure in others}, key=_order)
    cells = []
    for form in dict.fromkeys(figure["form"] for figure in others):
        by_set = {figure["data"]: figure for figure in others if figure["form"] == form}
        cells.append([FORMS[form], *(_pair(by_set[data], " / ") for data in sets)])
    return "\n\n".join(
        [
            "Protocol `y`, that of the paper's tables: luma first, bicubic low resolutions without rounding, "
            "as many pixels shaved as the scale. INT8 figures are those of the .tflite file, run by LiteRT.",
            table,
            "Protocol `rgb8`: 8-bit RGB down and up, then luma; the paper prints no such figures.",
            markdown_table(cells, ["form", *sets]),
        ]
    )


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
        what = f"{leg['batch']} crops of {leg['patch']}×{leg['patch']}"
        if (leg["model"], leg["scale"]) != (facts["model"], facts["scale"]):
            what += f", {leg['model']} ×{leg['scale']}"
        rows.append([f"`{leg['run']}`", f"{leg['steps']:,}", what, leg["loss"], rate, begins,
                     leg["seed"], f"{leg['hours']:.1f}", leg["hardware"]])  # fmt: skip
    quantised = sum(leg["steps"] for leg in legs if "quantise" in leg["stages"])
    total = sum(leg["steps"] for leg in legs) - quantised
    told = f"{total:,} steps in float" + (f", and {quantised:,} for INT8." if quantised else ".")
    return f"{told}\n\n{markdown_table(rows, header)}"


def _data(facts: Facts) -> str:
    rows = [
        [use, data, "–" if images is None else images, terms(data)]
        for use, sets in facts["data"].items()
        for data, images in sets.items()
    ]
    table = markdown_table(rows, ["for", "set", "images", "terms, as the set's source states them"])
    return (
        f"{table}\n\nThe files hold no image; whether a set's terms bind weights is not said here."
    )


def _figure(facts: Facts, form: str, protocol: str, data: str) -> Facts | None:
    wanted = (form, protocol, data)
    keys = ("form", "protocol", "data")
    return next((f for f in facts["figures"] if tuple(f[key] for key in keys) == wanted), None)


def _pair(figure: Facts, between: str = "/") -> str:
    return f"{figure['psnr']:.2f}{between}{figure['ssim']:.4f}"


def _difference(figure: Facts, paper: tuple[float, float]) -> float:
    """In dB, of what is printed."""
    return round(round(figure["psnr"], 2) - paper[0], 2)


def _against(facts: Facts, figure: Facts, *, ssim: bool = False) -> str:
    """How far our figure is above the paper's; "–" where that prints none."""
    paper = VARIANTS[facts["model"]].published.get(facts["scale"], {}).get(figure["data"])
    if paper is None:
        return "–"
    text = f"{_difference(figure, paper):+.2f}"
    return f"{text} / {figure['ssim'] - paper[1]:+.4f}" if ssim else text


def _order(data: str) -> tuple[int, str]:
    return (SETS.index(data) if data in SETS else len(SETS), data)
