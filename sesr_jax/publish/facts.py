"""From the folders of runs to files that ship: weights, the facts about them, and the card made of these.

    publish("runs/m5", qat="runs/m5_qat", data=["Set5", "Set14"], calibrate="General100", folder="out")

writes ``sesr_m5_x2.safetensors`` (collapsed), ``sesr_m5_x2_expanded.safetensors`` where that is small,
``sesr_m5_x2_qat.safetensors`` (collapsed, with its ranges), ``sesr_m5_x2.json`` (the facts) and, made of
the facts alone, ``sesr_m5_x2.md`` (the card) and ``sesr_m5_x2.svg`` (the training's curve).

Every figure is measured here, in float and from the INT8 .tflite files that LiteRT runs: on what the
network writes, luma or RGB (`metrics.native_protocol`), and on the luma of 8-bit RGB. Paths of the
machine do not get into the files: runs and sets of images appear under the names of their folders.
"""

import collections
import dataclasses
import json
import os
import pathlib
import tempfile
from collections.abc import Sequence
from typing import Any

import jax
import ml_collections

from sesr_jax import __version__, report
from sesr_jax.compare import Case, int8_files, measure
from sesr_jax.data import source
from sesr_jax.errors import InputError, MissingError
from sesr_jax.export import CALIBRATION_IMAGES
from sesr_jax.files import make_folder, replace_file
from sesr_jax.graph import cost, in_shapes
from sesr_jax.metrics import RGB8, native_protocol
from sesr_jax.models import VARIANTS
from sesr_jax.models.network import Network, save
from sesr_jax.models.published import OUTPUT
from sesr_jax.publish.card import FILES, FLOAT, card, curve
from sesr_jax.train import PastRun, load_network, read_history
from sesr_jax.train.stages import StagePlan, plan
from sesr_jax.upscale import from_network, from_tflite

_OBSERVER = "min_max"  # as `sesr export --calibrate` has it unasked
_LARGEST_EXPANDED = 2_000_000  # bytes


def publish(
    run: str | os.PathLike[str],
    *,
    data: Sequence[str],
    calibrate: str,
    folder: str | os.PathLike[str],
    qat: str | os.PathLike[str] | None = None,
    name: str | None = None,
    origin: tuple[pathlib.Path, int | None] | None = None,
    hardware: str = "not recorded",
) -> dict[str, Any]:
    """Writes the files of a trained network to `folder`, and gives the facts.

    Args:
      run: the folder of the run that trained it in float.
      data: the sets that it is measured on.
      calibrate: the images whose ranges the post-training INT8 file gets.
      folder: where the files go.
      qat: the folder of the run that went on from it, quantised; None where there is none.
      name: what it ships as, but for the scale; by default the zoo's name. A network with options of its own
        needs another.
      origin: as `train.read_history`.
      hardware: of runs that do not say it themselves.

    Raises:
      InputError: as `read_history`, `load_network`, `Case`, `measure`; or the zoo has another network of that
        name.
    """
    chain = _chain([run, *([] if qat is None else [qat])], origin)
    case = Case(network=load_network(run), trained=None if qat is None else load_network(qat))
    network = case.network
    name = name or network.name
    if name in VARIANTS and (network.options or name != network.name):
        raise InputError(
            f"{run} trained {network.title}, which is not the zoo's {name}; give it its own name by --name."
        )
    name = f"{name}_x{network.scale}"
    folder = make_folder(folder)
    # Before anything is measured, and all of that before anything is written.
    for images in (*data, calibrate):
        source(images, network.scale)
    if len({_set_name(images) for images in data}) < len(data):
        raise InputError(
            f"two of {', '.join(data)} have one name, which the card prints; rename one."
        )
    figures = _measure_figures(case, data, calibrate)
    shape = (1, *(n // network.scale for n in OUTPUT), network.channels)
    spent = in_shapes(lambda: cost(network.collapsed().graph(shape)))
    facts: dict[str, Any] = {
        "name": name,
        "model": network.name,
        "scale": network.scale,
        **({"options": dict(network.options)} if network.options else {}),
        "version": __version__,
        "cost": {
            "weights": spent.weights,
            "parameters": spent.parameters,
            "macs": spent.macs,
            "trained_parameters": _count(network),
        },
        "files": _write_weights(case, folder, name),
        "training": [
            part for leg, before in chain for part in _describe_run(leg, before, hardware)
        ],
        "data": {
            "training": _count_images(
                dict.fromkeys(stage.config.data.train for leg, _ in chain for stage in _stages(leg))
            ),
            "calibration": _count_images([calibrate], CALIBRATION_IMAGES),
            "evaluation": _count_images(data),
        },
        "figures": figures,
    }
    with replace_file(folder / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n", "utf-8")
    report.write_svg(curve(facts), folder / f"{name}.svg")
    with replace_file(folder / f"{name}.md") as temporary:
        temporary.write_text(card(facts), "utf-8")
    return facts


def _write_weights(case: Case, folder: pathlib.Path, name: str) -> dict[str, int]:
    """Writes the weights, and removes those of an earlier time; gives the files' sizes in bytes by name."""
    forms = {"": case.network.collapsed()}
    expands = _count(case.network) != _count(forms[""])
    if expands and _bytes(case.network) < _LARGEST_EXPANDED:
        forms["_expanded"] = case.network
    if case.trained is not None:
        forms["_qat"] = case.trained.collapsed()
    sizes = {}
    for form in FILES:
        file = folder / f"{name}{form}.safetensors"
        if form not in forms:
            file.unlink(missing_ok=True)
            continue
        save(forms[form], file)
        sizes[file.name] = file.stat().st_size
    return sizes


def _bytes(network: Network) -> int:
    return sum(leaf.nbytes for leaf in jax.tree.leaves(network.variables))


def _count(network: Network) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(network.variables["params"]))


def _chain(
    runs: Sequence[str | os.PathLike[str]], origin: tuple[pathlib.Path, int | None] | None
) -> list[tuple[PastRun, str | None]]:
    """Every leg that led to one of `runs`, in their order, and the run whose weights it began with."""
    chain: dict[pathlib.Path, tuple[PastRun, str | None]] = {}
    for run in runs:
        before = None
        for leg in read_history(run, origin):
            chain.setdefault(leg.run.resolve(), (leg, before))
            before = leg.run.name
    return list(chain.values())


def _stages(leg: PastRun) -> list[StagePlan]:
    """Those that the leg reached."""
    return [stage for stage in plan(leg.config) if stage.start < leg.steps]


def _describe_run(leg: PastRun, before: str | None, hardware: str) -> list[dict[str, Any]]:
    """What is said of each stage of a leg."""
    return [
        _describe_stage(leg, stage, leg.run.name if stage.start else before, hardware)
        for stage in _stages(leg)
    ]


def _describe_stage(
    leg: PastRun, stage: StagePlan, before: str | None, hardware: str
) -> dict[str, Any]:
    config = stage.config
    earlier, so_far = (
        dataclasses.replace(leg, log=[line for line in leg.log if line["step"] <= end])
        for end in (stage.start, stage.end)
    )
    curve = so_far.curve[len(earlier.curve) :]
    return {
        "run": leg.run.name,
        "model": config.model.name,
        "scale": config.model.scale,
        "from": before,
        "steps": min(leg.steps, stage.end) - stage.start,
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
        "hardware": leg.hardware or hardware,
        "hours": round(so_far.hours - earlier.hours, 2),
        "watched_on": _set_name(config.data.eval),
        "curve": [[int(step) - stage.start, round(psnr, 3)] for step, psnr in curve],
    }


def _describe_loss(config: ml_collections.ConfigDict) -> str:
    """Its name, and what it is taken to where that is not the image alone."""
    if not config.distill.weight:
        return config.loss
    teacher = "/".join(pathlib.Path(config.distill.teacher).parts[-2:])
    ensemble = "the self-ensemble of " if config.distill.ensemble else ""
    return f"{config.loss}, {config.distill.weight:g} of its target by {ensemble}{teacher}"


def _set_name(spec: str) -> str:
    """What a set of images is called, without the path to it."""
    return spec if spec.startswith(("embedded:", "tfds:")) else pathlib.Path(spec).name


def _count_images(
    specs: Sequence[str] | dict[str, None], most: int | None = None
) -> dict[str, int | None]:
    """The images by set, a set being a folder in a folder that holds several; None where it is not here.

    Of each of `specs`, the first `most` count.
    """
    counts: dict[str, int | None] = collections.defaultdict(int)
    for spec in specs:
        try:
            images = source(spec)[:most]
        except MissingError:
            counts[_set_name(spec)] = None
            continue
        for name in map(images.name, range(len(images))):
            inner, apart, _ = name.rpartition("/")
            of = inner.split("/")[0] if apart else _set_name(spec)
            counts[of] = (counts[of] or 0) + 1
    return dict(counts)


def _measure_figures(case: Case, data: Sequence[str], calibrate: str) -> list[dict[str, Any]]:
    """PSNR and SSIM of every form, by protocol and set."""
    figures = []
    with tempfile.TemporaryDirectory() as scratch:
        files = int8_files(case, source(calibrate), pathlib.Path(scratch), [_OBSERVER])
        forms = {FLOAT: from_network(case.network)}
        forms |= {form: from_tflite(path) for form, path in files.items()}
        for form, upscaler in forms.items():
            for protocol in (native_protocol(case.network.channels), RGB8):
                figures += [
                    {"form": form, "protocol": protocol.name, "data": score.title}
                    | {key: round(value, 4) for key, value in score.mean.items()}
                    for score in measure(upscaler, data, protocol)
                ]
    return figures
