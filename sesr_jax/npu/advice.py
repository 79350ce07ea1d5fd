"""Changes that would make a network faster on a target, each tried on its layers and estimated.

    for idea in find_ideas(layers, target): print(idea.text, idea.seconds)

An idea says what a change saves, and not what it costs in quality.
"""

import dataclasses
from collections import Counter
from collections.abc import Sequence

from sesr_jax.npu.estimate import estimate
from sesr_jax.npu.layers import Layer
from sesr_jax.targets import Target


@dataclasses.dataclass(frozen=True)
class Idea:
    """A change of a network.

    Attributes:
      text: what to change.
      seconds: what it saves per frame; negative where the network becomes slower.
    """

    text: str
    seconds: float


def find_ideas(
    layers: Sequence[Layer], target: Target, *, activation_saving: float = 0.0
) -> tuple[Idea, ...]:
    """Returns the ideas that apply to `layers`, the one that saves most first.

    Args:
      layers: a network that can be estimated on the target.
      target: the NPU.
      activation_saving: as in `estimate`.
    """

    def seconds(changed: Sequence[Layer]) -> float:
        return estimate(changed, target, activation_saving=activation_saving).seconds

    before = seconds(layers)
    kinds = dict.fromkeys(layer.activation for layer in layers if layer.activation)
    changes = [(f"{kind} to ReLU", _with_relu(layers, kind)) for kind in kinds if kind != "relu"]
    if any(_is_residual(layer) for layer in layers):
        changes.append(("no additions of two maps (residuals)", _without_residuals(layers)))
    width = _find_hidden_width(layers)
    if width:
        changes += [
            (f"{width} to {fewer} channels", _with_width(layers, width, fewer))
            for fewer in (width * 3 // 4, width // 2)
        ]
    ideas = [Idea(text, before - seconds(changed)) for text, changed in changes]
    return tuple(sorted(ideas, key=lambda idea: -idea.seconds))


def _with_relu(layers: Sequence[Layer], kind: str) -> list[Layer]:
    return [
        dataclasses.replace(layer, activation="relu", activation_bytes=0)
        if layer.activation == kind
        else layer
        for layer in layers
    ]


def _is_residual(layer: Layer) -> bool:
    return layer.op == "add" and len(layer.inputs) == 2


def _without_residuals(layers: Sequence[Layer]) -> list[Layer]:
    """Returns the layers without additions; what read a sum reads the operand that was computed last."""
    alias: dict[str, str] = {}
    made: list[str] = []
    kept = []
    for layer in layers:
        inputs = tuple(alias.get(name, name) for name in layer.inputs)
        if _is_residual(layer):
            alias[layer.output] = max(
                inputs, key=lambda name: made.index(name) if name in made else -1
            )
            continue
        made.append(layer.output)
        kept.append(dataclasses.replace(layer, inputs=inputs))
    return kept


def _find_hidden_width(layers: Sequence[Layer]) -> int:
    """Returns the most common number of channels of convolutions' outputs; 0 where no two agree."""
    widths = Counter(layer.output_shape[-1] for layer in layers[:-1] if layer.op == "conv2d")
    (width, count), *_ = widths.most_common(1) or [(0, 0)]
    return width if count > 1 and width >= 4 else 0


def _with_width(layers: Sequence[Layer], width: int, fewer: int) -> list[Layer]:
    def shape(before: tuple[int, ...]) -> tuple[int, ...]:
        return (*before[:-1], fewer) if before[-1] == width else before

    found = []
    for layer in layers:
        inputs = tuple(map(shape, layer.input_shapes))
        output = shape(layer.output_shape)
        share = 1.0
        if layer.macs and layer.inputs:
            share = (
                inputs[0][-1] * output[-1] / (layer.input_shapes[0][-1] * layer.output_shape[-1])
            )
        found.append(
            dataclasses.replace(
                layer,
                input_shapes=inputs,
                output_shape=output,
                groups=fewer if layer.groups == width else layer.groups,
                macs=round(layer.macs * share),
                weight_bytes=round(layer.weight_bytes * share),
            )
        )
    return found
