"""How one layer becomes passes, by its operation. `npu.lowering` puts those of a network together."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from sesr_jax.npu.engines import Convolution
from sesr_jax.npu.layers import Layer, as_nhwc
from sesr_jax.npu.passes import Pass
from sesr_jax.npu.rules import find_refusal, find_rule
from sesr_jax.targets import ON_MAC, OpRule, Target


def lower_layer(layer: Layer, target: Target) -> tuple[Pass, ...]:
    """Returns the passes in which `target` runs `layer`; one copy with a flag where it does not."""
    if reason := find_refusal(layer, target):
        return (_lower_to_copy(layer, flag=reason),)
    rule = find_rule(layer, target)
    assert rule is not None
    if rule.engine == "copy":
        return (_lower_to_copy(layer, flag=""),)
    if rule.engine == "mac":
        return _ON_MAC[layer.op](layer, target)
    return (_lower_to_vector(layer, target, rule),)


def _lower_to_copy(layer: Layer, *, flag: str) -> Pass:
    return Pass(
        **_name_whole(layer),
        engine="copy",
        weight_bytes=layer.weight_bytes,
        macs=layer.macs,
        flag=flag,
    )


def _name_whole(layer: Layer) -> dict[str, Any]:
    """Returns the names and the shape in a pass that does the whole of a layer."""
    return {
        "name": layer.name,
        "op": layer.op,
        "layer": layer.name,
        "inputs": layer.inputs,
        "output": layer.output,
        "output_shape": as_nhwc(layer.output_shape),
    }


def _lower_to_vector(layer: Layer, target: Target, rule: OpRule) -> Pass:
    """Returns a pass of the vector engine; where that lies behind the MAC array, an identity feeds it."""
    _, *before = as_nhwc(layer.input_shapes[0])
    _, *after = as_nhwc(layer.output_shape)
    # The engines go through the larger of input and output: a pooling's input, a resizing's output.
    h, w, c = max(before, after, key=math.prod)
    carried = target.vector.behind_mac and len(layer.inputs) == 1
    window = max(layer.kernel) // 2
    return Pass(
        **_name_whole(layer),
        engine="vector",
        conv=_make_identity_convolution((h, w, c)) if carried else None,
        patch_cycles=rule.cycles,
        vector_map=(h, w, c),
        stripe_cycles=_find_stripe_cycles(rule, target),
        reach=(window, window),
        upscales=max(1, after[0] // before[0]),
        weight_bytes=layer.weight_bytes,
    )


def _make_identity_convolution(shape: tuple[int, int, int]) -> Convolution:
    """Returns the depthwise 1×1 by which a map (height, width, channels) passes the MAC array."""
    return Convolution(kernel=(1, 1), output=shape, channels=shape[2], groups=shape[2])


def _find_stripe_cycles(rule: OpRule | None, target: Target) -> float:
    """Returns the vector engine's cycles per stripe: the rule's own, or else the target's."""
    own = None if rule is None else rule.stripe_cycles
    return target.stripes.cycles if own is None else own


def _lower_convolution(layer: Layer, target: Target) -> tuple[Pass, ...]:
    """Returns a convolution's pass, behind one that reorders its input where its stride needs that."""
    rule = find_rule(layer, target)
    assert rule is not None
    if layer.strides == (1, 1) or not rule.strided_by:
        return (_make_convolution_pass(layer, target, layer.inputs),)
    n, h, w, c = as_nhwc(layer.input_shapes[0])
    stride = layer.strides[0]
    reordering = target.ops[rule.strided_by]
    name = f"{layer.name}/{rule.strided_by}"
    before = Pass(
        name=name,
        op=rule.strided_by,
        layer=layer.name,
        inputs=layer.inputs,
        output=name,
        output_shape=(n, -(-h // stride), -(-w // stride), stride**2 * c),
        engine="vector",
        conv=_make_identity_convolution((h, w, c)),
        patch_cycles=reordering.cycles,
        vector_map=(h, w, c),
        stripe_cycles=_find_stripe_cycles(reordering, target),
    )
    return (before, _make_convolution_pass(layer, target, (name,)))


def _lower_transposed(layer: Layer, target: Target) -> tuple[Pass, ...]:
    """Returns a transposed convolution's pass, behind one that inserts zeros where its kernel is large."""
    rule = target.ops["conv2d_transpose"]
    _, before, _, channels = as_nhwc(layer.input_shapes[0])
    shape = as_nhwc(layer.output_shape)
    if not rule.inline_kernel or max(layer.kernel) <= rule.inline_kernel:
        return (_make_convolution_pass(layer, target, layer.inputs, upscales=shape[1] // before),)
    name = f"{layer.name}/upsampled"
    zeros = (*shape[:3], channels)
    upsample = Pass(
        name=name,
        op="upsample",
        layer=layer.name,
        inputs=layer.inputs,
        output=name,
        output_shape=zeros,
        engine="mac",
        conv=_make_identity_convolution(zeros[1:]),
        patch_cycles=target.vector.pass_cycles,
        vector_map=zeros[1:],
        stripe_cycles=target.stripes.cycles,
        reach=(0, 1),
        upscales=shape[1] // before,
        weight_bytes=channels,
    )
    return (upsample, _make_convolution_pass(layer, target, (name,)))


def _make_convolution_pass(
    layer: Layer, target: Target, inputs: tuple[str, ...], *, upscales: int = 1
) -> Pass:
    """Returns the pass of a convolution with its activation.

    Args:
      layer: the convolution.
      target: the NPU.
      inputs: the tensors that the pass reads, which may be those of a pass before it.
      upscales: as of `Pass`.
    """
    _, h, w, c = shape = as_nhwc(layer.output_shape)
    kernel, extent = layer.kernel, max(layer.extent)
    activation = target.ops.get(layer.activation or "", target.ops.get("*"))
    if layer.activation is None:
        activation = None
    cycles = target.vector.pass_cycles if activation is None else activation.cycles
    return Pass(
        name=layer.name,
        op=layer.op + (f"+{layer.activation}" if layer.activation else ""),
        layer=layer.name,
        inputs=inputs,
        output=layer.output,
        output_shape=shape,
        engine="mac",
        conv=Convolution(
            kernel=kernel,
            output=(h, w, c),
            channels=as_nhwc(layer.input_shapes[0])[3],
            groups=layer.groups,
            stride=1 if layer.op == "conv2d_transpose" else layer.strides[0],
            upscales=upscales,
            fast=upscales == 1
            and (layer.strides == (1, 1) or layer.op == "conv2d_transpose")
            and layer.groups == 1
            and kernel != (1, 1),
        ),
        patch_cycles=cycles,
        vector_map=(h, w, c),
        stripe_cycles=_find_stripe_cycles(activation, target),
        reach=(extent // 2, (extent - 1) // 2) if upscales == 1 else (1, 1),
        upscales=upscales,
        appended=target.vector.behind_mac and cycles != target.vector.pass_cycles,
        weight_bytes=layer.weight_bytes,
        macs=layer.macs,
    )


def _lower_depth_to_space(layer: Layer, target: Target) -> tuple[Pass, ...]:
    """Returns transposed convolutions by the target's smallest block, one after another up to the whole."""
    n, h, w, c = as_nhwc(layer.input_shapes[0])
    whole = as_nhwc(layer.output_shape)[1] // h
    block = min((*target.ops["depth_to_space"].scales, whole))
    steps = round(math.log(whole, block))
    passes = []
    inputs = layer.inputs
    for step in range(1, steps + 1):
        h, w, channels, c = block * h, block * w, c, c // block**2
        output = layer.output if step == steps else f"{layer.name}/{block**step}"
        passes.append(
            Pass(
                name=layer.name if steps == 1 else f"{layer.name}/{block**step}",
                op="depth_to_space",
                layer=layer.name,
                inputs=inputs,
                output=output,
                output_shape=(n, h, w, c),
                engine="mac",
                conv=Convolution(kernel=(block, block), output=(h, w, c), channels=channels),
                patch_cycles=target.vector.pass_cycles,
                vector_map=(h, w, c),
                stripe_cycles=target.stripes.cycles,
                reach=(1, 1),
                upscales=block,
                weight_bytes=block**2 * channels * c,
            )
        )
        inputs = (output,)
    return tuple(passes)


def _lower_pooling(layer: Layer, target: Target) -> tuple[Pass, ...]:
    """Returns the pass of a pooling, a mean or a resizing, as a depthwise convolution without weights."""
    rule = find_rule(layer, target)
    assert rule is not None
    _, *before, channels = as_nhwc(layer.input_shapes[0])
    _, h, w, c = as_nhwc(layer.output_shape)
    whole = layer.op == "mean"  # of all pixels, which stripes may bring one after another
    kernel = (before[0], before[1]) if whole else layer.kernel
    window = 0 if whole else max(kernel) // 2
    return (
        Pass(
            **_name_whole(layer),
            engine="mac",
            conv=Convolution(
                kernel=kernel,
                output=(h, w, c),
                channels=channels,
                groups=channels,
                stride=max(kernel) if whole else layer.strides[0],
                pools=not whole,
            ),
            patch_cycles=rule.cycles,
            vector_map=(h, w, c),
            stripe_cycles=_find_stripe_cycles(rule, target),
            reach=(window, window),
            upscales=max(1, h // before[0]),
        ),
    )


_ON_MAC: Mapping[str, Callable[[Layer, Target], tuple[Pass, ...]]] = {
    "conv2d": _lower_convolution,
    "fully_connected": _lower_convolution,
    "conv2d_transpose": _lower_transposed,
    "depth_to_space": _lower_depth_to_space,
    "max_pool": _lower_pooling,
    "average_pool": _lower_pooling,
    "mean": _lower_pooling,
    "resize": _lower_pooling,
}
assert _ON_MAC.keys() == ON_MAC
