"""Makes files that ship from the folders of runs: weights, the facts about them, and the card made of these.

    publish("runs/m5", qat="runs/m5_qat", data=["Set5", "Set14"], calibrate="General100", folder="out")

writes ``sesr_m5_x2.safetensors`` (collapsed), ``sesr_m5_x2_expanded.safetensors`` where that is small,
``sesr_m5_x2_qat.safetensors`` (collapsed, with its ranges), ``sesr_m5_x2.json`` (the facts) and, made of
the facts alone, ``sesr_m5_x2.md`` (the card) and ``sesr_m5_x2.svg`` (the curve of its training). Where one
run alone trained for INT8, as by the recipe ``abpn_x3``, the first two hold its weights without the ranges.

Every figure is measured here, in float and with the INT8 .tflite files that LiteRT runs. It is measured
on what the network writes, luma or RGB (`metrics.choose_protocol`), from degraded photos if it was
trained on such, and on the luma of 8-bit RGB. The files hold no paths of this machine: runs and data sets
appear under the names of their folders.
"""

import collections
import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import ml_collections

from sesr_jax import __version__, report
from sesr_jax.compare import Case, choose_calibration, export_int8_files, measure, pair_cases
from sesr_jax.data import open_source
from sesr_jax.errors import InputError, MissingError
from sesr_jax.export import CALIBRATION_IMAGES
from sesr_jax.files import make_folder, write_file
from sesr_jax.graph import count_cost, eval_shapes
from sesr_jax.metrics import RGB8, Protocol, choose_protocol
from sesr_jax.models import VARIANTS
from sesr_jax.models.network import Network, save
from sesr_jax.models.published import OUTPUT
from sesr_jax.publish.card import FILES, has_float_network, make_card, plot_curve
from sesr_jax.train import PastRun, load_network, read_history
from sesr_jax.train.stages import StagePlan, plan
from sesr_jax.untrusted import parse_json, refuse_damaged
from sesr_jax.upscale import from_network, from_tflite

_OBSERVER = "min_max"
"""The default of `sesr export --calibrate`."""

_LARGEST_EXPANDED = 2_000_000
"""In bytes: expanded weights that are larger do not ship."""


def publish(
    run: str | os.PathLike[str],
    *,
    data: Sequence[str],
    calibrate: str | None = None,
    folder: str | os.PathLike[str],
    qat: str | os.PathLike[str] | None = None,
    name: str | None = None,
    origin: tuple[pathlib.Path, int | None] | None = None,
    hardware: str = "not recorded",
) -> dict[str, Any]:
    """Writes the files of a trained network to `folder`, and returns the facts.

    Args:
      run: the folder of the run that trained it in float, or that trained it for INT8 by its own recipe.
      data: the data sets that it is measured on.
      calibrate: the images whose ranges the post-training INT8 file gets; as for `choose_calibration`.
      folder: where the files go.
      qat: the folder of the quantised run that continued a float one; None where there is none.
      name: the name that it ships under, without the scale; by default the zoo's name. A network with options
        of its own needs another one.
      origin: see `train.read_history`.
      hardware: stands for the hardware of runs that did not record theirs.

    Raises:
      InputError: see `read_history`, `load_network`, `Case`, `choose_calibration` and `measure`; or the zoo
        has another network of that name, or two data sets have one name, or nothing tells how the weights
        were trained that the first run began with.
    """
    history, earlier = _list_runs([run, *([] if qat is None else [qat])], origin)
    (case,) = pair_cases([load_network(run)], [] if qat is None else [load_network(qat)])
    calibrate = choose_calibration([case], calibrate)
    network = case.in_float
    name = name or network.name
    if name in VARIANTS and (network.options or name != network.name):
        raise InputError(
            f"{run} trained {network.title}, which is not the zoo's {name}: it needs another --name."
        )
    name = f"{name}_x{network.scale}"
    folder = make_folder(folder)
    # Wrong data sets are refused before the long measurement, which ends before any file is written.
    for images in (*data, *([] if calibrate is None else [calibrate])):
        open_source(images, network.scale)
    if len({_get_set_name(images) for images in data}) < len(data):
        raise InputError(
            f"the data sets {', '.join(data)} must have different names, which the card prints."
        )
    protocol = _choose_protocol(history[-1][0], network.channels)
    figures = _measure_figures(case, data, calibrate, protocol)
    shape = (1, *(n // network.scale for n in OUTPUT), network.channels)
    spent = eval_shapes(lambda: count_cost(network.collapse().trace(shape)))
    facts: dict[str, Any] = {
        "name": name,
        "model": network.name,
        "scale": network.scale,
        **({"options": dict(network.options)} if network.options else {}),
        "version": __version__,
        "protocol": protocol.name,
        "cost": {
            "weights": spent.weights,
            "parameters": spent.parameters,
            "macs": spent.macs,
            "trained_parameters": _count_parameters(network),
        },
        "files": _write_weights(case, folder, name),
        "training": [
            *earlier.training,
            *(
                part
                for past, previous in history
                for part in _describe_run(past, previous, hardware)
            ),
        ],
        "data": {
            "training": {
                **earlier.images,
                **_count_images(
                    dict.fromkeys(
                        stage.config.data.train
                        for past, _ in history
                        for stage in _list_stages(past)
                    )
                ),
            },
            "calibration": {}
            if calibrate is None
            else _count_images([calibrate], CALIBRATION_IMAGES),
            "evaluation": _count_images(data),
        },
        "figures": figures,
    }
    write_file(folder / f"{name}.json", json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    report.write_svg(plot_curve(facts), folder / f"{name}.svg")
    write_file(folder / f"{name}.md", make_card(facts))
    return facts


def _write_weights(case: Case, folder: pathlib.Path, name: str) -> dict[str, int]:
    """Writes the weights, removes older forms that no longer ship, and returns {file name: bytes}."""
    forms = {"": case.in_float.collapse()}
    expands = _count_parameters(case.in_float) != _count_parameters(forms[""])
    if expands and _count_bytes(case.in_float) < _LARGEST_EXPANDED:
        forms["_expanded"] = case.in_float
    if case.trained is not None:
        forms["_qat"] = case.trained.collapse()
    sizes = {}
    for form in FILES:
        file = folder / f"{name}{form}.safetensors"
        if form not in forms:
            file.unlink(missing_ok=True)
            continue
        save(forms[form], file)
        sizes[file.name] = file.stat().st_size
    return sizes


def _count_bytes(network: Network) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(network.variables))


def _count_parameters(network: Network) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(network.variables["params"]))


@dataclasses.dataclass(frozen=True)
class _Earlier:
    """What the facts of a published network say of how it was trained: the parts of it, and the images.

    The name of the last run is None where nothing came before.
    """

    training: Sequence[dict[str, Any]] = ()
    images: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
    last: str | None = None


def _list_runs(
    runs: Sequence[str | os.PathLike[str]], origin: tuple[pathlib.Path, int | None] | None
) -> tuple[list[tuple[PastRun, str | None]], _Earlier]:
    """Returns the runs that led to the weights of `runs`, and what came before the first of them.

    Each run has the name of the run whose weights it began with.
    """
    found: dict[pathlib.Path, tuple[PastRun, str | None]] = {}
    earlier = _Earlier()
    for run in runs:
        history = read_history(run, origin)
        if history.start:
            earlier = _read_earlier(run, history.start)
        previous = earlier.last if history.start else None
        for past in history.runs:
            found.setdefault(past.run.resolve(), (past, previous))
            previous = past.run.name
    return list(found.values()), earlier


def _read_earlier(run: str | os.PathLike[str], weights: pathlib.Path) -> _Earlier:
    """Reads how published weights, without ranges, were trained, from the facts beside them.

    Raises:
      InputError: they have no facts, or damaged ones.
    """
    file = weights.with_name(weights.stem.removesuffix("_expanded") + ".json")
    if not file.is_file():
        raise InputError(
            f"{run} began with {weights}, which is not in the folder of a run and has no facts ({file.name}) "
            "beside it: a card lists all runs that led to the weights, so that --from RUN or --from "
            "RUN@STEPS must name that run."
        )
    with refuse_damaged(f"{file} does not hold the facts of a published network"):
        facts = parse_json(file.read_text("utf-8"), str(file))
        training = facts["training"]
        if has_float_network(facts):  # which the training for INT8 did not change
            training = [part for part in training if "quantise" not in part["stages"]]
        return _Earlier(training, dict(facts["data"]["training"]), training[-1]["run"])


def _list_stages(past: PastRun) -> list[StagePlan]:
    """Returns the stages that a run reached."""
    return [stage for stage in plan(past.config) if stage.start < past.steps]


def _describe_run(past: PastRun, previous: str | None, hardware: str) -> list[dict[str, Any]]:
    """Returns the facts about each stage of a run."""
    return [
        _describe_stage(past, stage, past.run.name if stage.start else previous, hardware)
        for stage in _list_stages(past)
    ]


def _describe_stage(
    past: PastRun, stage: StagePlan, previous: str | None, hardware: str
) -> dict[str, Any]:
    config = stage.config
    earlier, so_far = (
        dataclasses.replace(past, log=[line for line in past.log if line["step"] <= end])
        for end in (stage.start, stage.end)
    )
    curve = so_far.curve[len(earlier.curve) :]
    return {
        "run": past.run.name,
        "model": config.model.name,
        "scale": config.model.scale,
        "from": previous,
        "steps": min(past.steps, stage.end) - stage.start,
        "seed": config.seed,
        "batch": config.data.batch,
        "patch": config.data.patch,
        "loss": _describe_loss(config),
        "optimiser": config.optim.name,
        "learning_rate": config.optim.lr,
        "schedule": config.optim.schedule,
        "planned_steps": stage.end - stage.start,
        "ema": config.ema,
        "stages": [stage.entry.name],
        "hardware": past.hardware or hardware,
        "hours": round(so_far.hours - earlier.hours, 2),
        "watched_on": _get_set_name(config.data.eval),
        "curve": [[int(step) - stage.start, round(psnr, 3)] for step, psnr in curve],
    }


def _describe_loss(config: ml_collections.ConfigDict) -> str:
    """Returns the name of the loss, what else judges the network, and on what it is trained."""
    told = config.loss
    if config.trainer != "supervised":
        told += f", {config.trainer}"
    if config.data.degraded:
        told += ", from degraded images" + (" to sharpened ones" if config.data.sharpened else "")
    if not config.distill.weight:
        return told
    teacher = "/".join(pathlib.Path(config.distill.teacher).parts[-2:])
    ensemble = "the self-ensemble of " if config.distill.ensemble else ""
    return f"{told}, {config.distill.weight:g} of its target by {ensemble}{teacher}"


def _get_set_name(spec: str) -> str:
    """Returns the name of a data set, without the path to it."""
    return spec if spec.startswith(("embedded:", "tfds:")) else pathlib.Path(spec).name


def _count_images(
    specs: Sequence[str] | dict[str, None], most: int | None = None
) -> dict[str, int | None]:
    """Counts the images of each data set; the count is None where the set is not on this machine.

    A folder that holds several folders of images counts as several sets.

    Args:
      specs: the data sets, as a config names them.
      most: counts at most so many images of each of `specs`.
    """
    counts: dict[str, int | None] = collections.defaultdict(int)
    for spec in specs:
        try:
            images = open_source(spec)[:most]
        except MissingError:
            counts[_get_set_name(spec)] = None
            continue
        for name in map(images.get_name, range(len(images))):
            inner, apart, _ = name.rpartition("/")
            owner = inner.split("/")[0] if apart else _get_set_name(spec)
            counts[owner] = (counts[owner] or 0) + 1
    return dict(counts)


def _choose_protocol(past: PastRun, channels: int) -> Protocol:
    """Returns the protocol that measures what a run trained its network for."""
    return choose_protocol(channels, degraded=_list_stages(past)[-1].config.data.degraded)


def _measure_figures(
    case: Case, data: Sequence[str], calibrate: str | None, protocol: Protocol
) -> list[dict[str, Any]]:
    """Measures PSNR and SSIM of every form, by `protocol` and by `RGB8`, on each data set."""
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        images = () if calibrate is None else open_source(calibrate)
        files = export_int8_files(case, images, pathlib.Path(scratch), [_OBSERVER])
        forms = {case.float_form: from_network(case.in_float)}
        forms |= {form: from_tflite(path) for form, path in files.items()}
        for form, upscaler in forms.items():
            for by in (protocol, RGB8):
                figures += [
                    {"form": form, "protocol": by.name, "data": score.title}
                    | {key: round(value, 4) for key, value in score.mean.items()}
                    for score in measure(upscaler, data, by)
                ]
    return figures
