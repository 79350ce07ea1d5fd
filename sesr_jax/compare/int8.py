"""What INT8 costs a network: its float form beside the files that integer hardware runs.

    cases = [Case(network=m5, trained=m5_qat)]
    rows = measure_int8_cost(cases, ["Set5", "Set14"], open_embedded("train"), "runs/int8")
    print(format_table(*make_table(rows)))

Every INT8 figure is that of the .tflite file, run by LiteRT: with ranges that each observer measures after
training ("PTQ"), and with weights and ranges that were trained for it ("QAT"). A network whose recipe
trains for INT8 itself has no float network beside it. It is then compared with its own weights, run in float
("QAT in float"), and has no PTQ files: weights that were trained for INT8 do not tell what PTQ costs.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence

from sesr_jax import report
from sesr_jax.compare.layers import make_layer_section, measure_layers
from sesr_jax.compare.sets import Score, measure
from sesr_jax.data import ImagePair, open_source
from sesr_jax.errors import InputError
from sesr_jax.export import export_network, read_metadata
from sesr_jax.files import make_folder
from sesr_jax.metrics import choose_protocol, drop
from sesr_jax.models.network import Network
from sesr_jax.quant import OBSERVERS, Sensitivity
from sesr_jax.upscale import Upscaler, from_network, from_tflite

PAGE = "index.html"
"""The page's name in the folder of a comparison."""

FLOAT, QAT, QAT_IN_FLOAT = "float", "QAT", "QAT in float"
"""The forms of a network beside those of PTQ; see `Row`."""

_SIZE = (64, 64)  # LiteRT runs the files at each image's own size


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A network to be compared with its INT8 files.

    Attributes:
      network: trained in float; None where the recipe of `trained` begins with fresh weights and ends with
        quantisation-aware training.
      trained: the same network after quantisation-aware training; None where there is none.

    Raises:
      InputError: `network` has ranges, or `trained` has none, or they are different networks, or both are
        None.
    """

    network: Network | None = None
    trained: Network | None = None

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.network is not None and self.network.ranges is not None:
            raise InputError(
                f"The network {self.network.title} has ranges, since it was trained quantised: it must stand "
                "alone, or as the QAT of a float network."
            )
        if self.trained is None:
            if self.network is None:
                raise InputError(
                    "A case has no network: it must have one in float, or QAT, or both."
                )
            return
        other = self.trained.title
        if self.trained.ranges is None:
            raise InputError(
                f"The QAT network {other} has no ranges; it must have been trained quantised, as by the "
                'variant "qat".'
            )
        if other != self.title:
            raise InputError(
                f"The QAT network is {other} and the float network {self.title}; they must be one network."
            )

    @property
    def in_float(self) -> Network:
        """The network of the float form: `network` or, where that is None, `trained` without its ranges."""
        if self.network is not None:
            return self.network
        assert self.trained is not None  # as __post_init__ checked
        return self.trained.without_ranges()

    @property
    def float_form(self) -> str:
        """What the form of `in_float` is called: "float" or "QAT in float"."""
        return FLOAT if self.network is not None else QAT_IN_FLOAT

    @property
    def title(self) -> str:
        """The network's title."""
        return self.in_float.title


@dataclasses.dataclass(frozen=True, kw_only=True)
class Row:
    """One form of a network.

    Attributes:
      model: the network's title.
      form: "float", "PTQ" with its observer, or "QAT"; for a case without a float network "QAT in float" in
        the place of "float", and no "PTQ".
      scores: on each set.
      drops: on each set, the PSNR in dB that is lost against the float form; negative where it is gained.
      layers: what each part of it costs, the dearest first, where that was measured.
    """

    model: str
    form: str
    scores: tuple[Score, ...]
    drops: tuple[float, ...]
    layers: tuple[Sensitivity, ...] = ()


def pair_cases(networks: Sequence[Network], trained: Sequence[Network]) -> list[Case]:
    """Returns a case for each of `networks`, with that of the `trained` ones which has its title.

    Args:
      networks: trained in float, or with ranges by their own recipes.
      trained: float ones of `networks` after quantisation-aware training.

    Raises:
      InputError: two trained networks have one title, or one has that of no float network; or as `Case`.
    """
    by_title = {network.title: network for network in trained}
    if len(by_title) < len(trained):
        raise InputError(
            f"Two QAT networks have one title, of {', '.join(by_title)}; give one for each."
        )
    cases = []
    for one in networks:
        twin = by_title.pop(one.title, None)
        alone = twin is None and one.ranges is not None
        cases.append(Case(trained=one) if alone else Case(network=one, trained=twin))
    if by_title:
        raise InputError(
            f"The QAT network {', '.join(by_title)} must go with a float network of its title, or stand "
            "alone as one of the networks."
        )
    return cases


def choose_calibration(cases: Sequence[Case], name: str | None = None) -> str | None:
    """Returns the name of the images on which the ranges of PTQ files are measured.

    It is `name`, or "embedded:train" where that is None; and None where no case has such files.

    Raises:
      InputError: `name` is given, and no case has such files.
    """
    if any(case.network is not None for case in cases):
        return name or "embedded:train"
    if name is not None:
        titles = ", ".join(case.title for case in cases)
        raise InputError(
            f"{name} calibrates nothing, since {titles} has ranges of its own training: calibration images "
            "are for networks that were trained in float."
        )
    return None


def measure_int8_cost(
    cases: Sequence[Case],
    data: Sequence[str],
    calibration: Sequence[ImagePair],
    folder: str | os.PathLike[str],
    *,
    layers: bool = False,
) -> list[Row]:
    """Measures all `cases` and writes their files and a page to `folder`.

    Args:
      cases: the networks to compare.
      data: folders of images, or "embedded:eval".
      calibration: images for the observers' ranges, which must not be those of `data`; unused where no case
        has a float network.
      folder: where the .tflite files and `PAGE` are written.
      layers: whether the best PTQ form of each network, or the QAT form where that is the only one, also
        tells what each of its layers costs, which is measured on the first set by `measure_layers`.

    Raises:
      InputError: two cases have one title; or as `export_network` and `measure`.
    """
    titles = [case.title for case in cases]
    if twice := [title for title in titles if titles.count(title) > 1]:
        raise InputError(
            f"{twice[0]} is given twice; each network of a comparison must have a name of its own."
        )
    folder = make_folder(folder)
    rows: list[Row] = []
    for case in cases:
        anchor = tuple(_measure_scores(from_network(case.in_float), data))
        files = export_int8_files(case, calibration, folder)
        integer = {
            form: tuple(_measure_scores(from_tflite(path), data)) for form, path in files.items()
        }
        for form, scores in {case.float_form: anchor, **integer}.items():
            pairs = zip(anchor, scores, strict=True)
            drops = tuple(drop(a.mean["psnr"], b.mean["psnr"]) for a, b in pairs)
            rows.append(Row(model=case.title, form=form, scores=scores, drops=drops))
        if layers:
            forms = [form for form in files if case.network is None or form != QAT]
            own = [row for row in rows if row.model == case.title and row.form in forms]
            best = min(own, key=lambda row: sum(row.drops))
            ranges = read_metadata(files[best.form])["ranges"]
            images = open_source(data[0], case.in_float.scale)
            found = measure_layers(case.in_float, ranges, images)
            rows[rows.index(best)] = dataclasses.replace(best, layers=tuple(found))
    report.write_page(_make_page(rows), folder / PAGE)
    return rows


def export_int8_files(
    case: Case,
    calibration: Sequence[ImagePair],
    folder: pathlib.Path,
    observers: Sequence[str] = tuple(OBSERVERS),
) -> dict[str, pathlib.Path]:
    """Writes the INT8 .tflite files of `case` to `folder`, and returns them by form, as in `Row`."""
    network = case.in_float
    options = (f"{key}-{value}" for key, value in network.options.items())
    stem = "_".join([f"{network.name}_x{network.scale}", *options])
    forms = {}
    for observer in observers if case.network is not None else ():
        path = forms[f"PTQ, {observer}"] = folder / f"{stem}_ptq_{observer}.tflite"
        export_network(network, path, size=_SIZE, calibration=calibration, observer=observer)
    if case.trained is not None:
        path = forms[QAT] = folder / f"{stem}_qat.tflite"
        export_network(case.trained, path, size=_SIZE)
    return forms


def _measure_scores(upscaler: Upscaler, data: Sequence[str]) -> Iterator[Score]:
    return measure(upscaler, data, choose_protocol(upscaler.channels))


def make_table(rows: Sequence[Row]) -> tuple[list[list[str]], list[str]]:
    """Returns rows and header: PSNR in dB / SSIM on each set, and the dB lost against float."""
    header = ["model", "form"]
    for score in rows[0].scores:
        header += [score.title, "lost"]
    cells = []
    for row in rows:
        cells.append([row.model, row.form])
        for score, lost in zip(row.scores, row.drops, strict=True):
            cells[-1] += [
                str(score),
                "" if _is_float(row) else f"{round(lost, 2) + 0:.2f}",
            ]  # no -0.00
    return cells, header


def describe_forms(rows: Sequence[Row]) -> list[str]:
    """Returns what stands in the table of `rows`, as lines of text."""
    about = [
        "PSNR in dB / SSIM on Y (RGB networks: on RGB); lost: dB against float; PTQ and QAT: the .tflite "
        "files by LiteRT"
    ]
    if any(row.form == QAT_IN_FLOAT for row in rows):
        about.append(
            f"{QAT_IN_FLOAT}: the weights trained for INT8, run in float, where there are no others"
        )
    return about


def _is_float(row: Row) -> bool:
    return row.form in (FLOAT, QAT_IN_FLOAT)


def _make_page(rows: Sequence[Row]) -> report.Page:
    cells, header = make_table(rows)
    blocks: list[report.Block] = [
        report.Table(
            header,
            cells,
            ". ".join([*describe_forms(rows), "A loss is negative where INT8 is better."]),
        )
    ]
    floats = {row.model: row for row in rows if _is_float(row)}
    for i, score in enumerate(rows[0].scores):
        lost = {
            f"{row.model}, {row.form}": [
                drop(floats[row.model].scores[i].images[name]["psnr"], of_it["psnr"])
                for name, of_it in row.scores[i].images.items()
            ]
            for row in rows
            if not _is_float(row)
        }
        blocks.append(
            report.Dots(
                lost,
                x="PSNR lost, in dB",
                caption=f"{score.title}: one dot per image.",
            )
        )
    layers = [make_layer_section(f"{r.model}, {r.form}", r.layers) for r in rows if r.layers]
    return report.Page(
        "What INT8 costs",
        [report.Section("Quality", blocks), *layers],
        lead="Float networks beside their INT8 .tflite files, which LiteRT runs.",
    )
