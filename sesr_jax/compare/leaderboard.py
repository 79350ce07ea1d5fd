"""A challenge's table, ours beside the published rows.

    timing = estimated_time(MOBILE_AI_2021, find_target("vs680"))
    ours = [enter(MOBILE_AI_2021, "runs/xlsr", "DIV2K_valid", timing=timing, by="estimate, vs680")]
    print(format_table(*make_leaderboard(MOBILE_AI_2021, ours)))

Scores compare where the images do: the published ones are of `Challenge.data`. A time is that of the
challenge's frame, estimated for an NPU, measured by LiteRT on this CPU, or known.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence

import jax
import numpy as np
from flax import linen as nn
from tqdm import tqdm

from sesr_jax import ops
from sesr_jax.challenges import Challenge, Measures
from sesr_jax.compare.sets import measure
from sesr_jax.data import open_source
from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, to_tflite
from sesr_jax.graph import Graph, count_cost, eval_shapes, trace
from sesr_jax.metrics import NiqeModel, niqe
from sesr_jax.models.network import Network
from sesr_jax.npu import Layer, estimate, layers_from_graph, layers_from_tflite
from sesr_jax.pretrained import find_network
from sesr_jax.quant import find_points
from sesr_jax.targets import Target
from sesr_jax.upscale import Upscaler, load_upscaler, upscale_photo

_TIMED_RUNS = 5
_LONG = 1e5  # from which on a score is printed with three digits

Timing = Callable[[str], float]
"""From a model's name or file to the milliseconds of a frame."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ours:
    """A model of ours, measured as a challenge measures its entries.

    Attributes:
      model: its name, as the caller gave it.
      measures: by the challenge's protocol and for its frame.
      by: the clock or the simulator that the time is from.
    """

    model: str
    measures: Measures
    by: str


def enter(
    challenge: Challenge,
    model: str,
    data: str,
    *,
    timing: Timing,
    by: str,
    niqe_model: NiqeModel | None = None,
) -> Ours:
    """Measures `model` on the images of `data` and times it.

    Args:
      challenge: the challenge that it enters.
      model: as `upscale.load_upscaler`; "bicubic_x3" is the baseline of a challenge of ×3.
      data: a folder of images, or "embedded:eval".
      timing: gives the milliseconds.
      by: the name of that clock or simulator.
      niqe_model: what NIQE compares with, where the challenge is judged by it.

    Raises:
      InputError: as `load_upscaler`, `measure`, `niqe` and `timing`, the model is not of the challenge's
        scale, or `niqe_model` is missing.
    """
    if challenge.takes_niqe and niqe_model is None:
        raise InputError(
            f"{challenge.title} is judged by NIQE: its parameters must be given, niqe_pris_params.npz of "
            "BasicSR (`read_niqe_model`; `sesr score --niqe`)."
        )
    upscaler = load_upscaler(model, "xla")
    if upscaler.scale != challenge.scale:
        raise InputError(
            f"{model} upscales ×{upscaler.scale}, where the challenge is of ×{challenge.scale}."
        )
    milliseconds = timing(model)
    if upscaler.channels == 1 and not _is_bicubic(challenge, model):
        by += ", luma alone"  # colours are for who runs the network, at no time here
    if niqe_model is not None and challenge.takes_niqe:
        quality: Measures = {"niqe": _measure_niqe(upscaler, data, niqe_model)}
    else:
        (found,) = measure(upscaler, [data], challenge.protocol)
        quality = found.mean
    measures = {**quality, "milliseconds": milliseconds, **_count_costs(challenge, model)}
    return Ours(model=model, measures=measures, by=by)


def _measure_niqe(upscaler: Upscaler, data: str, model: NiqeModel) -> float:
    """Returns the mean NIQE of the images of `data`, upscaled as they are."""
    images = open_source(data)
    shown = tqdm(images, desc=f"{upscaler.name} on {data}", leave=False, disable=None)
    return statistics.fmean(niqe(upscale_photo(upscaler, image.hr), model) for image in shown)


def count_costs(challenge: Challenge, network: Network) -> dict[str, float]:
    """Returns those costs of a network's graph that the challenge measures, for its frame."""
    shape = (1, *challenge.frame, network.channels)
    cost = eval_shapes(lambda: count_cost(network.collapse().trace(shape)))
    counted = {
        "parameters": cost.parameters / 1e6,
        "macs": cost.macs / 1e9,
        "flops": cost.flops / 1e9,
        "activations": cost.activations / 1e6,
        "convolutions": float(cost.convolutions),
    }
    return {one.key: counted[one.key] for one in challenge.measures if one.key in counted}


def _count_costs(challenge: Challenge, model: str) -> dict[str, float]:
    """Returns the costs of a network; files that hold none, and interpolations, have none."""
    if _is_bicubic(challenge, model) or model.endswith((".tflite", ".onnx")):
        return {}
    return count_costs(challenge, find_network(model))


def estimated_time(challenge: Challenge, target: Target) -> Timing:
    """Returns a timing by the simulator, on `target`.

    The baseline is timed as a bilinear resizing, since TFLite has no bicubic one.
    """
    return lambda model: estimate(_make_layers(challenge, model), target).seconds * 1e3


def known_time(challenge: Challenge, milliseconds: float) -> Timing:
    """Returns a timing that gives `milliseconds` to each model, for the challenge's frame.

    Raises:
      InputError: the timing is called with a .tflite file for another size.
    """

    def timing(model: str) -> float:
        if model.endswith(".tflite"):
            _check_frame(challenge, model, TFLiteModel(model).input_shape)
        return milliseconds

    return timing


def measured_time(challenge: Challenge) -> Timing:
    """Returns a timing on this CPU by LiteRT alone: the median of several runs of a .tflite file.

    It times the baseline as `estimated_time` does.

    Raises:
      InputError: the timing is called with what is no .tflite file for the challenge's frame.
    """

    def timing(model: str) -> float:
        if _is_bicubic(challenge, model):
            graph = _trace_resizing(challenge)
            file = TFLiteModel(to_tflite(graph, ranges=find_points(graph).fixed))
        elif model.endswith(".tflite"):
            file = TFLiteModel(model)
        else:
            raise InputError(
                f"{model} is no .tflite file, and only these run here; export it first."
            )
        _check_frame(challenge, model, file.input_shape)
        frame = np.zeros(file.input_shape, file.input.dtype if file.input else np.float32)
        return statistics.median(file.time(frame, _TIMED_RUNS)) * 1e3

    return timing


def make_leaderboard(
    challenge: Challenge, ours: Sequence[Ours]
) -> tuple[list[list[str]], list[str]]:
    """Returns rows and header, with the best score first and entries without one last.

    Where the challenge has no score, its entries stand in the order of its report, and ours follow. Behind a
    value stands its rank: the printed one, and for ours the one that it would have among the printed ranks.
    Entries that do not reach the challenge's gate are marked. The last column compares with the baseline,
    where the challenge has one: by its measures on our images for our rows, where `ours` has it, and by the
    published ones for the others.
    """
    printed = [(e.team, f"published, {e.edition}", e.measures, e.ranks) for e in challenge.entries]
    own = [(one.model, one.by, one.measures, _rank(challenge, one.measures)) for one in ours]
    scores = challenge.score_all([measures for *_, measures, _ in (*printed, *own)])
    baseline = challenge.baseline
    header = ["entry", "time", *(column.title for column in challenge.measures)]
    header += ["score"] if challenge.scoring else []
    header += ["gate"] if challenge.gate else []
    anchors: list[Measures | None] = [None] * len(scores)
    if baseline:
        header.append(baseline.title)
        theirs = {e.team: e.measures for e in challenge.entries}.get(baseline.team)
        mine = {one.model: one.measures for one in ours}.get(baseline.model)
        anchors = [theirs] * len(printed) + [mine] * len(own)
    rows = []
    for (name, by, measures, ranks), score, anchor in zip(
        (*printed, *own), scores, anchors, strict=True
    ):
        cells = [name, by]
        for column in challenge.measures:
            value = measures.get(column.key)
            rank = f" ({ranks[column.key]})" if column.key in ranks else ""
            cells.append("–" if value is None else f"{value:.{column.digits}f}{rank}")
        if challenge.scoring:
            cells.append(_format_score(score))
        if challenge.gate:
            cells.append("" if challenge.gate(measures) else "below")
        if baseline:
            if score is None or anchor is None:
                cells.append("–")
            else:
                cells.append(f"{baseline.equal(measures, anchor):.1f} {baseline.unit}")
        rows.append(cells)
    sign = -1 if challenge.best == "highest" else 1
    places = [math.inf if score is None else sign * score for score in scores]
    order = sorted(range(len(rows)), key=places.__getitem__)
    return [rows[i] for i in order], header


def _format_score(score: float | None) -> str:
    if score is None:
        return "–"
    return f"{score:.2f}" if score < _LONG else f"{score:.3g}"


def _rank(challenge: Challenge, measures: Measures) -> dict[str, int]:
    """Returns the ranks that an entry would have in the columns in which the report prints ranks."""
    ranked = [e for e in challenge.entries if e.ranks]
    keys = {key for e in ranked for key in e.ranks} & measures.keys()
    return {key: 1 + sum(e.measures[key] < measures[key] for e in ranked) for key in keys}


def make_correlations(
    challenge: Challenge, ours: Sequence[Ours]
) -> tuple[list[list[str]], list[str]]:
    """Returns rows and header: Spearman's correlation of time with each cost, as published and of ours.

    There is a row for each clock that timed three entries or more.
    """
    tables = {f"published, {challenge.edition}": [e.measures for e in challenge.entries]}
    for one in ours:
        tables.setdefault(one.by, []).append(one.measures)
    titles = {column.key: column.title for column in challenge.measures}
    rows = [
        [by, *(f"{found[key]:.4f}" if key in found else "–" for key in challenge.correlated)]
        for by, table in tables.items()
        if (found := challenge.correlate(table))
    ]
    return rows, ["time", *(titles[key] for key in challenge.correlated)]


def _make_layers(challenge: Challenge, model: str) -> Sequence[Layer]:
    if _is_bicubic(challenge, model):
        return layers_from_graph(_trace_resizing(challenge))
    if model.endswith(".tflite"):
        _check_frame(challenge, model, TFLiteModel(model).input_shape)
        return layers_from_tflite(model)
    network = find_network(model)
    shape = (1, *challenge.frame, network.channels)
    return eval_shapes(lambda: layers_from_graph(network.collapse().trace(shape)))


def _check_frame(challenge: Challenge, model: str, shape: tuple[int, ...]) -> None:
    height, width = challenge.frame
    if shape[1:3] != challenge.frame:
        raise InputError(
            f"{model} takes {shape[2]}×{shape[1]}, where the challenge times {width}×{height}; export it "
            f"with --size {width}x{height}."
        )


def _is_bicubic(challenge: Challenge, model: str) -> bool:
    return model == f"bicubic_x{challenge.scale}"


def _trace_resizing(challenge: Challenge) -> Graph:
    def resize(x: jax.Array) -> jax.Array:
        return ops.resize(x, scale=challenge.scale, method="bilinear")

    return trace(nn.Sequential([resize]), {}, (1, *challenge.frame, 3))
