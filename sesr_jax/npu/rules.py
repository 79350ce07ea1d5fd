"""Which layers a target runs: its rule for each, and the reason where it refuses one."""

import math

from sesr_jax.npu.layers import Layer, as_nhwc
from sesr_jax.targets import OpRule, Target


def find_rule(layer: Layer, target: Target) -> OpRule | None:
    """Returns the target's rule for the layer's operation, or None where it has none."""
    kh, kw = layer.kernel
    names = (f"{layer.op}_{kh}x{kw}", layer.op, "*")
    return next((target.ops[name] for name in names if name in target.ops), None)


def find_refusal(layer: Layer, target: Target) -> str:
    """Returns why `target` cannot run `layer`, in a few words; "" if it can."""
    if not layer.inputs:
        return "constant inputs"
    rule = find_rule(layer, target)
    if rule is None:
        windows = [name for name in target.ops if name.startswith(f"{layer.op}_")]
        sides = "×".join(map(str, layer.kernel))
        return f"a {sides} window ({', '.join(windows)})" if windows else "an unsupported operation"
    if rule.engine == "refused":
        return rule.note or "an unsupported operation"
    if target.bits == 8 and layer.bits not in (8, *target.untimed_bits):
        return f"elements of {layer.bits} bits"
    shapes = [as_nhwc(shape) for shape in layer.input_shapes]
    output = as_nhwc(layer.output_shape)
    channels = [shape[3] for shape in (*shapes, output)]
    scales = _find_scales(layer)
    groups = 1 if layer.groups == 1 else -1 if layer.groups == channels[0] == channels[-1] else 0
    checks = (
        (rule.kernels and not set(layer.kernel) <= set(rule.kernels), f"a {layer.kernel} kernel"),
        (rule.strides and not _allows_strides(layer, rule), f"stride {layer.strides}"),
        (not set(layer.dilations) <= set(rule.dilations), f"dilation {layer.dilations}"),
        (
            rule.scales and not all(_allows_scale(scale, rule) for scale in scales),
            f"a scale of {'×'.join(f'{scale:g}' for scale in dict.fromkeys(scales))}",
        ),
        (rule.maps and not set(shapes[0][1:3]) <= set(rule.maps), f"a map {shapes[0][1:3]}"),
        (rule.groups == "one" and groups != 1, f"{layer.groups} groups"),
        (rule.groups == "depthwise" and not groups, f"{layer.groups} groups"),
        (rule.operands and len(shapes) > rule.operands, f"{len(shapes)} activations"),
        (not rule.broadcasts and len(set(shapes)) > 1, "operands of different shapes"),
        (
            len(set(channels)) > 1 and any(c % rule.channel_multiple for c in channels),
            f"channels {channels}, which are no multiples of {rule.channel_multiple}",
        ),
    )
    return next((reason for wrong, reason in checks if wrong), "")


def _allows_strides(layer: Layer, rule: OpRule) -> bool:
    return layer.strides[0] == layer.strides[1] and layer.strides[0] in rule.strides


def _find_scales(layer: Layer) -> tuple[float, float]:
    """Returns the factors by which height and width grow, or by which they shrink in a space_to_depth."""
    before, after = as_nhwc(layer.input_shapes[0])[1:3], as_nhwc(layer.output_shape)[1:3]
    if layer.op == "space_to_depth":
        before, after = after, before
    return after[0] / before[0], after[1] / before[1]


def _allows_scale(scale: float, rule: OpRule) -> bool:
    """Returns whether `scale` is one that the rule allows, or a power of one."""
    return any(
        math.isclose(scale, allowed**n)
        for allowed in rule.scales
        for n in range(1, 7)
        if allowed > 1
    )
