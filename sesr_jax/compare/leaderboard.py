"""The Mobile AI challenges' table, ours beside the published rows.

    ours = [entered("runs/xlsr", "DIV2K_valid", timing=estimated(find_target("vs680")))]
    print(text_table(*leaderboard(ours, edition="2021")))

Scores compare where the pictures do: the published ones are of DIV2K (0801 to 0900, or the hidden test set).
A time is that of a frame of 640×360, estimated for an NPU, measured by LiteRT on this CPU, or given.
"""

import dataclasses
import statistics
import time
from collections.abc import Callable, Sequence

import jax
import numpy as np
from flax import linen as nn

from sesr_jax import ops
from sesr_jax.compare.sets import measure
from sesr_jax.errors import InputError
from sesr_jax.export import TFLiteModel, to_tflite
from sesr_jax.graph import Graph, in_shapes, trace
from sesr_jax.metrics import MOBILE_AI, equal_time, score
from sesr_jax.metrics.challenge import FRAME, SCALE, challenge_entries
from sesr_jax.models.network import Network
from sesr_jax.npu import Layer, estimate, layers_from_graph, layers_from_tflite
from sesr_jax.pretrained import find_network
from sesr_jax.quant import points
from sesr_jax.targets import Target
from sesr_jax.upscale import load_upscaler

BICUBIC = f"bicubic_x{SCALE}"
"""The baseline's name as a model."""

_TIMED_RUNS = 5

Timing = Callable[[str], float]
"""From a model's name or file to the milliseconds of a frame."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Entered:
    """A model of ours.

    Attributes:
      model: as it was named.
      psnr: dB on RGB, by the challenges' protocol.
      ssim: likewise.
      milliseconds: of a frame.
      by: whose time that is.
    """

    model: str
    psnr: float
    ssim: float
    milliseconds: float
    by: str


def entered(model: str, data: str, *, timing: Timing, by: str) -> Entered:
    """`model`, measured on the pictures of `data` and timed.

    Args:
      model: as `upscale.load_upscaler`; "bicubic_x3" is the baseline.
      data: a folder of images, or "embedded:eval".
      timing: gives the milliseconds.
      by: what to call that.

    Raises:
      InputError: as `load_upscaler`, `measure` and `timing`, or the model is not of ×3.
    """
    upscaler = load_upscaler(model)
    if upscaler.scale != SCALE:
        raise InputError(
            f"{model} upscales ×{upscaler.scale}, where the challenge is of ×{SCALE}; name such a model."
        )
    milliseconds = timing(model)
    if upscaler.channels == 1 and model != BICUBIC:
        by += ", luma alone"  # colours are for who runs the network, at no time here
    (found,) = measure(upscaler, [data], MOBILE_AI)
    return Entered(
        model=model,
        psnr=found.mean["psnr"],
        ssim=found.mean["ssim"],
        milliseconds=milliseconds,
        by=by,
    )


def estimated(target: Target) -> Timing:
    """Times on `target`, of the simulator.

    The baseline is timed as a bilinear resizing, since TFLite has no bicubic one.
    """
    return lambda model: estimate(_layers(model), target).seconds * 1e3


def given(milliseconds: float) -> Timing:
    """That time, of a frame of 640×360.

    Raises:
      InputError: on its call, with a .tflite file for another size.
    """

    def timing(model: str) -> float:
        if model.endswith(".tflite"):
            _check_frame(model, TFLiteModel(model).input_shape)
        return milliseconds

    return timing


def measured(model: str) -> float:
    """The median milliseconds of a .tflite file, or of the baseline as in `estimated`, on this CPU by LiteRT.

    Raises:
      InputError: `model` is no such file for frames of 640×360.
    """
    if model == BICUBIC:
        graph = _resizing()
        file = TFLiteModel(to_tflite(graph, ranges=points(graph).fixed))
    elif model.endswith(".tflite"):
        file = TFLiteModel(model)
    else:
        raise InputError(f"{model} is no .tflite file, and only these run here; export it first.")
    _check_frame(model, file.input_shape)
    frame = np.zeros(file.input_shape, file.input.dtype if file.input else np.float32)
    spent = []
    for _ in range(_TIMED_RUNS + 1):
        start = time.perf_counter()
        file.run(frame)
        spent.append(time.perf_counter() - start)
    return statistics.median(spent[1:]) * 1e3  # the first run also allocates


def leaderboard(ours: list[Entered], edition: str) -> tuple[list[list[str]], list[str]]:
    """Rows and header, best score first; what has no time stands last.

    "= bicubic in" is the time in which the bicubic baseline would have the same score, by its own PSNR:
    of our pictures for our rows, where `ours` has it, and the published one for the others.
    """
    anchors = {entry.team: entry.psnr for entry in challenge_entries()}
    own = {one.model: one.psnr for one in ours}.get(BICUBIC)
    found: list[tuple[float, list[str]]] = []
    for entry in challenge_entries():
        if entry.edition != edition and entry.milliseconds is not None:
            continue
        found.append(
            _row(
                entry.team,
                f"published, {entry.edition}",
                (entry.psnr, entry.ssim, entry.milliseconds),
                anchors["bicubic"],
                edition,
            )
        )
    for one in ours:
        quality = one.psnr, one.ssim, one.milliseconds
        found.append(_row(one.model, one.by, quality, own, edition))
    rows = [cells for _, cells in sorted(found, key=lambda row: -row[0])]
    return rows, ["entry", "time", "PSNR", "SSIM", "ms", "score", "= bicubic in"]


def _row(
    name: str,
    by: str,
    quality: tuple[float, float, float | None],
    bicubic: float | None,
    edition: str,
) -> tuple[float, list[str]]:
    psnr, ssim, milliseconds = quality
    cells = [name, by, f"{psnr:.2f}", f"{ssim:.4f}"]
    if milliseconds is None:
        return 0.0, [*cells, "–", "–", "–"]
    points = score(psnr, milliseconds, edition)
    equal = "–" if bicubic is None else f"{equal_time(psnr, milliseconds, bicubic):.1f} ms"
    return points, [*cells, f"{milliseconds:.2f}", f"{points:.2f}", equal]


def _layers(model: str) -> Sequence[Layer]:
    if model == BICUBIC:
        return layers_from_graph(_resizing())
    if model.endswith(".tflite"):
        _check_frame(model, TFLiteModel(model).input_shape)
        return layers_from_tflite(model)
    return challenge_layers(find_network(model))


def challenge_layers(network: Network) -> Sequence[Layer]:
    """The layers of `network` for a frame."""
    shape = (1, *FRAME, network.channels)
    return in_shapes(lambda: layers_from_graph(network.collapsed().graph(shape)))


def _check_frame(model: str, shape: tuple[int, ...]) -> None:
    if shape[1:3] != FRAME:
        raise InputError(
            f"{model} takes {shape[2]}×{shape[1]}, where the challenge times {FRAME[1]}×{FRAME[0]}; export "
            f"it with --size {FRAME[1]}x{FRAME[0]}."
        )


def _resizing() -> Graph:
    def resize(x: jax.Array) -> jax.Array:
        return ops.resize(x, scale=SCALE, method="bilinear")

    return trace(nn.Sequential([resize]), {}, (1, *FRAME, 3))
