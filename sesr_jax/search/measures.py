"""What a design costs before it is trained, and the bounds that a search sets.

limits = make_limits(config, space)
limits.find_refusal(design)          # "" where it keeps the bounds
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import ml_collections

from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, count_cost, eval_shapes, measure_extent
from sesr_jax.models import network
from sesr_jax.npu import estimate, find_best_tiling, layers_from_graph
from sesr_jax.search.config import BOUNDED, parse_frame
from sesr_jax.search.space import Design, Space
from sesr_jax.targets import Target, find_target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measures:
    """What a collapsed design costs.

    Attributes:
      params: the parameters, biases and slopes included.
      macs: for the frame.
      activations: the elements of the convolutions' outputs, for the frame.
      memory: the most elements of tensors alive at once for the frame; in INT8 as many bytes.
      milliseconds: the time of a frame on the target; 0 without a target.
      refusal: why the target does not run it; "" if it does.
    """

    params: int
    macs: int
    activations: int
    memory: int
    milliseconds: float = 0.0
    refusal: str = ""


def measure(
    design: Design,
    frame: tuple[int, int],
    target: Target | None = None,
    *,
    tiles: bool = False,
    saving: float = 0.0,
) -> Measures:
    """Measures a design by its shapes; no weight is computed.

    Args:
      design: the design.
      frame: height and width of the input.
      target: the NPU, for milliseconds.
      tiles: whether the target may cut the frame into tiles.
      saving: as in `npu.estimate`.
    """

    def trace() -> Graph:
        fresh = network.init(
            design.model, scale=design.scale, key=jax.random.key(0), **design.options
        )
        return fresh.trace((1, *frame, fresh.channels))

    graph = eval_shapes(trace)
    cost = count_cost(graph)
    found = Measures(
        params=cost.parameters,
        macs=cost.macs,
        activations=cost.activations,
        memory=cost.peak_elements,
    )
    if target is None:
        return found
    layers = layers_from_graph(graph)
    try:
        if not tiles:
            report = estimate(layers, target, activation_saving=saving)
            seconds = report.seconds
        else:
            looks = measure_extent(graph)
            tiling = find_best_tiling(
                layers,
                target,
                frame=frame,
                halo=looks.get_halo(design.title),
                align=looks.align,
                activation_saving=saving,
            )
            report, seconds = tiling.whole, tiling.seconds
    except InputError as error:
        return dataclasses.replace(found, refusal=str(error))
    reasons = dict.fromkeys(f"{row.op}: {row.flag}" for row in report.flagged)
    refusal = f"{target.name} does not run {'; '.join(reasons)}" if reasons else ""
    return dataclasses.replace(found, milliseconds=seconds * 1e3, refusal=refusal)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds on what a design costs.

    Attributes:
      bounds: the least and the most of what `BOUNDED` names; 0 for no bound.
      measure: measures a design; equal designs are measured once.
      count_parameters: as `Space.count_parameters`.
    """

    bounds: Mapping[str, tuple[float, float]]
    measure: Callable[[Design], Measures]
    count_parameters: Callable[[Design], int] | None = None

    def find_refusal(self, design: Design) -> str:
        """Returns why the design breaks the bounds or does not run; "" where neither is so."""
        if self.count_parameters and any(self.bounds["params"]):
            reason = self._compare("params", self.count_parameters(design))
            if reason:
                return reason
        found = self.measure(design)
        if found.refusal:
            return found.refusal
        reasons = (self._compare(name, getattr(found, name)) for name in BOUNDED)
        return next(filter(None, reasons), "")

    def _compare(self, name: str, value: float) -> str:
        low, high = self.bounds[name]
        if value < low:
            return f"{value:,.6g} {BOUNDED[name]} are fewer than {low:,g}"
        if high and value > high:
            return f"{value:,.6g} {BOUNDED[name]} are more than {high:,g}"
        return ""


def make_limits(config: ml_collections.ConfigDict, space: Space) -> Limits:
    """Returns the bounds that `config.search` sets.

    Raises:
      InputError: there is no such target.
    """
    found = config.search
    target = find_target(found.target) if found.target else None
    frame = parse_frame(found.frame)
    cache: dict[str, Measures] = {}

    def measure_once(design: Design) -> Measures:
        if design.key not in cache:
            cache[design.key] = measure(
                design, frame, target, tiles=found.tiles, saving=found.saving
            )
        return cache[design.key]

    count = None
    if space.count_parameters is not None:
        count = functools.partial(_count, space.count_parameters)
    return Limits(
        bounds={name: (found[f"min_{name}"], found[f"max_{name}"]) for name in BOUNDED},
        measure=measure_once,
        count_parameters=count,
    )


def _count(count: Callable[[Mapping[str, object], int], int], design: Design) -> int:
    return count(design.options, design.scale)
