"""Which parts of a network its INT8 loss comes from: each is quantised, or stays float, by itself.

    for row in measure_sensitivity(graph, ranges, lr, hr): print(row.part, row.alone, row.won, row.left)

A part is the codes of one group of tensors, or the weights of one layer. The network is simulated by fake
quantisation. Which parts are quantised is an argument of the compiled function, so that it is compiled once.
A probe can also give some groups codes of 16 bits, for what mixed precision would lose.
"""

import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Literal, Protocol

import jax
import jax.numpy as jnp
import numpy.typing as npt

from sesr_jax import graph as graphs
from sesr_jax.graph import Arg, Graph, Node
from sesr_jax.ops import SPECS
from sesr_jax.quant.fake import quantise, with_quantised_weights
from sesr_jax.quant.ranges import Ranges, find_points, look_up_range, validate
from sesr_jax.quant.scheme import INT8, Scheme


@dataclasses.dataclass(frozen=True, order=True)
class Part:
    """What can be quantised by itself.

    Attributes:
      name: of the group of tensors, which is that of its first tensor, or of the layer.
      kind: the codes of the one, or the weights of the other.
    """

    name: str
    kind: Literal["codes", "weights"]

    def __str__(self) -> str:
        """Returns the name and the kind."""
        return f"{self.name} {self.kind}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """What one part costs, in dB of PSNR.

    Attributes:
      part: the part.
      alone: what is lost where it alone is quantised.
      won: what is won back where it alone stays float, and all else is quantised.
      left: what is still lost where it and all parts that cost more alone stay float.
    """

    part: Part
    alone: float
    won: float
    left: float


class Probe(Protocol):
    """Measures a network some of whose parts are quantised."""

    def __call__(
        self, ranges: Ranges, quantised: Collection[Part], wide: Collection[Part] = ()
    ) -> float:
        """Returns the mean squared error.

        Args:
          ranges: the range of each group of tensors.
          quantised: the parts that are quantised.
          wide: those of them, codes alone, that have 16 bits: symmetric, as `Scheme` says.
        """
        ...


def list_parts(graph: Graph, scheme: Scheme = INT8) -> tuple[Part, ...]:
    """Returns the parts of `graph` in order, codes before weights."""
    groups = dict.fromkeys(find_points(graph, scheme).group.values())
    layers = (n.name for n in graph.nodes if n.parameters and not scheme.excludes(n.name))
    return (*(Part(name, "codes") for name in groups), *(Part(name, "weights") for name in layers))


def make_probe(
    graph: Graph, images: npt.ArrayLike, references: npt.ArrayLike, scheme: Scheme = INT8
) -> Probe:
    """Returns a function that measures the network with some of its parts quantised.

    Args:
      graph: the network.
      images: float ``[N, H, W, C]`` in [0, 1].
      references: float ``[N, s·H, s·W, C]``, which the clipped output is compared with.
      scheme: what can be quantised.
    """
    parts = list_parts(graph, scheme)
    fixed = find_points(graph, scheme).fixed
    kernels = {n.name: n.args[1] for n in graph.nodes if SPECS[n.op].kind == "convolution"}

    @jax.jit
    def measure(
        x: jax.Array, y: jax.Array, kernels: Any, ranges: Any, chosen: jax.Array, broad: Any
    ) -> jax.Array:
        taken = dict(zip(parts, chosen, strict=True))
        wide = None if broad is None else dict(zip(parts, broad, strict=True))
        # Codes of constant kernels would be computed by the compiler, which takes long.
        given = graph.map_nodes(
            lambda n: (
                dataclasses.replace(n, args=(n.args[0], kernels[n.name], *n.args[2:]))
                if n.name in kernels
                else n
            )
        )
        output = run_partly(given, ranges, x, taken, scheme, wide)
        return jnp.mean((jnp.clip(output, 0, 1) - y) ** 2)

    x, y = (jnp.asarray(each, jnp.float32) for each in (images, references))

    def probe(ranges: Ranges, quantised: Collection[Part], wide: Collection[Part] = ()) -> float:
        validate(graph, ranges, scheme)
        needed = {p.name: ranges[p.name] for p in parts if p.kind == "codes"} | dict(fixed)
        chosen = jnp.asarray([part in quantised for part in parts])
        broad = jnp.asarray([part in wide for part in parts]) if wide else None
        return float(measure(x, y, kernels, needed, chosen, broad))

    return probe


def run_partly(
    graph: Graph,
    ranges: Mapping[str, Any],
    x: jax.Array,
    taken: Mapping[Part, Any],
    scheme: Scheme = INT8,
    wide: Mapping[Part, Any] | None = None,
) -> jax.Array:
    """Computes the output of `graph` for `x`, as `fake.run` with some of the parts quantised.

    Args:
      graph: the network.
      ranges: by group, two numbers or ``[2]``.
      x: ``[N, H, W, C]`` in [0, 1].
      taken: whether each part is quantised, perhaps as tracers.
      scheme: what can be quantised.
      wide: whether the codes of each part have 16 bits, perhaps as tracers; None for those of `scheme`.
    """
    group = find_points(graph, scheme).group

    def choose_weights(node: Node, rounded: Node) -> Node:
        if node is rounded or not node.parameters:
            return node
        chosen = taken[Part(node.name, "weights")]

        def choose(arg: Arg, codes: Arg) -> Arg:
            if isinstance(arg, str) or isinstance(codes, str):
                return arg
            return jnp.where(chosen, codes, arg)

        return dataclasses.replace(node, args=tuple(map(choose, node.args, rounded.args)))

    def choose_codes(name: str, y: jax.Array) -> jax.Array:
        if name not in group:
            return y
        low, high = look_up_range(group[name], ranges)
        part = Part(group[name], "codes")
        codes = quantise(y, low, high, scheme.activations)
        if wide is not None:
            codes = jnp.where(wide[part], quantise(y, low, high, "int16"), codes)
        return jnp.where(taken[part], codes, y)

    nodes = zip(graph.nodes, with_quantised_weights(graph, scheme).nodes, strict=True)
    mixed = dataclasses.replace(graph, nodes=tuple(choose_weights(*pair) for pair in nodes))
    return graphs.run(mixed, x, choose_codes)


def measure_sensitivity(
    graph: Graph,
    ranges: Ranges,
    images: npt.ArrayLike,
    references: npt.ArrayLike,
    scheme: Scheme = INT8,
    show: Callable[[Iterable[Part]], Iterable[Part]] = iter,
) -> list[Sensitivity]:
    """Measures what each part costs, and returns the dearest first.

    PSNR is that of all pixels of `images` together, in the network's channels, without rounding.

    Args:
      graph: the network.
      ranges: the range of each group of tensors.
      images: float ``[N, H, W, C]`` in [0, 1].
      references: the high resolutions, float ``[N, s·H, s·W, C]``.
      scheme: what is quantised.
      show: wraps what is iterated over, as a progress bar does.

    Raises:
      InputError: `ranges` do not suit the graph.
    """
    probe, parts = make_probe(graph, images, references, scheme), list_parts(graph, scheme)
    anchor, whole = probe(ranges, ()), probe(ranges, parts)

    def lose(error: float, before: float) -> float:
        return 10 * math.log10(error / before) if error and before else 0.0

    found = {}
    for part in show(parts):
        others = [other for other in parts if other is not part]
        won = lose(whole, probe(ranges, others))
        found[part] = lose(probe(ranges, [part]), anchor), won
    order, rows = sorted(parts, key=lambda part: -found[part][0]), []
    for i, part in enumerate(show(order), 1):
        left = lose(probe(ranges, order[i:]), anchor)
        alone, won = found[part]
        rows.append(Sensitivity(part=part, alone=alone, won=won, left=left))
    return rows
