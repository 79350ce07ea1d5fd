"""How the layers of a network become passes.

    passes = lower(layers, find_target("ethos-n78-4tops"))

A layer is one pass, with these exceptions, which the target's rules (`OpRule`) decide:

- An operation that costs nothing (a reshape in place, a change of scale and zero point) is no pass: the
  passes after it read its input.
- An operation that the target joins to a convolution, such as the addition of a residual, is part of that
  pass.
- An activation that the target cannot run on a convolution's results is a pass of its own.
- depth_to_space by 2 on a MAC array is a transposed 2×2 convolution with a kernel of zeros and ones;
  by 4 it is two of them.
- A transposed convolution multiplies the inserted zeros: it costs its output's pixels. A large one
  may need a pass before it that inserts the zeros.
- A strided convolution may need its input reordered first.
- A pooling, a mean or a resizing on a MAC array costs as much as a depthwise convolution with its window,
  without weights.

A layer that the target does not run becomes a copy from DRAM to DRAM that carries a `flag`. Its memory
traffic is counted; its arithmetic, which another processor does, is not.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from sesr_jax.npu.engines import ceil_div
from sesr_jax.npu.layers import Layer, Map4, as_nhwc
from sesr_jax.npu.lower_layer import lower_layer
from sesr_jax.npu.passes import Pass
from sesr_jax.npu.rules import find_refusal, find_rule
from sesr_jax.targets import Target


def lower(layers: Iterable[Layer], target: Target) -> tuple[Pass, ...]:
    """Returns the passes in which `target` runs `layers`, in order."""
    alias: dict[str, tuple[str, ...]] = {}
    shapes: dict[str, Map4] = {}
    passes: list[Pass] = []
    layers = tuple(layers)
    reads = Counter(name for layer in layers for name in layer.inputs)
    for layer in layers:
        for name, shape in zip(layer.inputs, layer.input_shapes, strict=True):
            shapes.setdefault(name, as_nhwc(shape))
        for part in _split_activation(layer, target):
            rule = find_rule(part, target)
            free = rule is not None and rule.engine == "none" and not find_refusal(part, target)
            scalar = part.op in ("add", "mul") and _is_scalar(part)
            rescales = scalar and (rule is None or not rule.counts_scalars)
            if part.inputs and (free or rescales):
                alias[part.output] = _follow_aliases(part.inputs, alias)
                continue
            for p in lower_layer(part, target):
                shapes[p.output] = p.output_shape
                inputs = _follow_aliases(p.inputs, alias)
                sizes = tuple(shapes[name] for name in inputs)
                p = dataclasses.replace(p, inputs=inputs, input_shapes=sizes)
                if scalar and not p.flag:  # any number of channels fills the lanes
                    lanes = target.vector.lanes
                    elements = math.prod(p.vector_map)
                    p = dataclasses.replace(p, vector_map=(1, ceil_div(elements, lanes), lanes))
                if rule is not None and rule.joins and not p.flag and not scalar:
                    p = _join_to_last(passes, p, reads)
                passes.append(p)
    return tuple(passes)


def _join_to_last(passes: list[Pass], p: Pass, reads: Mapping[str, int]) -> Pass:
    """Returns `p`, or the convolution at the end of `passes` with `p` on its results, taken from there."""
    before = passes[-1] if passes else p
    separate = len(p.inputs) == 1 or reads[before.output] != 1 or before.output not in p.inputs
    if separate or before.conv is None or before.joined:
        return dataclasses.replace(p, joined=True)
    others = [
        (name, size)
        for name, size in zip(p.inputs, p.input_shapes, strict=True)
        if name != before.output
    ]
    passes.pop()
    return dataclasses.replace(
        before,
        op=f"{before.op}+{p.op}",
        inputs=(*before.inputs, *(name for name, _ in others)),
        input_shapes=(*before.input_shapes, *(size for _, size in others)),
        output=p.output,
        patch_cycles=max(before.patch_cycles, p.patch_cycles),
        weight_bytes=before.weight_bytes + p.weight_bytes,
        joined=True,
    )


def _is_scalar(layer: Layer) -> bool:
    return len(layer.inputs) == 1 and layer.constants == 1


def _follow_aliases(names: Sequence[str], alias: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(source for name in names for source in alias.get(name, (name,)))


def _split_activation(layer: Layer, target: Target) -> list[Layer]:
    """Returns the layer, and its activation as another where the target cannot append it."""
    if layer.activation is None:
        return [layer]
    rule = target.ops.get(layer.activation, target.ops.get("*"))
    if rule is not None and rule.fuses and not find_refusal(layer, target):
        return [layer]
    inner = f"{layer.name}/inner"
    return [
        dataclasses.replace(layer, output=inner, activation=None),
        Layer(
            name=layer.output,
            op=layer.activation,
            inputs=(inner,),
            input_shapes=(layer.output_shape,),
            output=layer.output,
            output_shape=layer.output_shape,
            weight_bytes=layer.activation_bytes,
            constants=layer.activation_bytes,
            bits=layer.bits,
        ),
    ]
