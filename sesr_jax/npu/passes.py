"""Layers as passes: trips of a map through the MAC array, the vector engine, or the DMA alone.

    passes = lower(layers, find_target("ethos-n78-4tops"))

A layer is one pass, with these exceptions, which the target's rules (`OpRule`) decide:

- what costs nothing (a reshape in place, a change of scale and zero point) is no pass: its readers
  read what it read.
- what the target joins to a convolution, as the addition of a residual, is part of that pass.
- an activation that the target cannot run on a convolution's results is a pass of its own.
- depth_to_space by 2 on a MAC array is a transposed 2×2 convolution with a kernel of zeros and ones;
  by 4 it is two of them.
- a transposed convolution multiplies the inserted zeros: it costs its output's pixels. A large one
  may need its zero-inserted map from a pass before it.
- a strided convolution may need its input reordered first.
- a pooling, a mean or a resizing on a MAC array is a depthwise convolution without weights: its cost is
  that of its window.

What the target does not run becomes a copy from DRAM to DRAM that carries a `flag`: its memory
traffic is counted; its arithmetic, done elsewhere, is not.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from sesr_jax.npu.engines import Convolution, ceil_div
from sesr_jax.npu.layers import Layer, Map4, as_nhwc
from sesr_jax.targets import ON_MAC, OpRule, Target


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """One trip.

    Attributes:
      name: the layer's, with a suffix where the layer takes several.
      op: what it does.
      layer: the layer's name.
      inputs: the activations read, by tensor name.
      input_shapes: theirs, ``[1, H, W, C]``.
      output: the tensor written.
      output_shape: ``[1, H, W, C]``.
      engine: that leads: "mac", "vector" or "copy".
      conv: of the MAC array; None where it rests.
      patch_cycles: of the vector engine, for one patch.
      vector_map: the map that it goes through.
      stripe_cycles: its overhead a stripe.
      reach: rows (and columns) of input beyond an output pixel's own, before and after it.
      upscales: how many rows of output a row of input makes; 1 where it does not grow.
      appended: whether an operation of its own runs on the convolution's results.
      joined: whether stripes flow neither into it nor out of it.
      weight_bytes: constants, read once.
      macs: of the layer that this pass does; 0 in its auxiliary passes.
      flag: why the target cannot run it; "" if it can.
    """

    name: str
    op: str
    layer: str
    inputs: tuple[str, ...]
    output: str
    output_shape: Map4
    engine: str
    conv: Convolution | None = None
    patch_cycles: float = 0
    vector_map: tuple[int, int, int] = (0, 0, 0)
    stripe_cycles: float = 0
    reach: tuple[int, int] = (0, 0)
    upscales: int = 1
    appended: bool = False
    joined: bool = False
    weight_bytes: int = 0
    macs: int = 0
    flag: str = ""
    input_shapes: tuple[Map4, ...] = ()

    @property
    def overlaps(self) -> bool:
        """Whether a stripe of output needs more than the stripe of input that it lies on."""
        return self.reach != (0, 0) and (self.conv is None or self.conv.kernel != (1, 1))

    @property
    def anonymous(self) -> "Pass":
        """The same work without its names: what its cost depends on."""
        inputs = tuple(str(self.inputs.index(name)) for name in self.inputs)
        return dataclasses.replace(
            self, name="", layer="", inputs=inputs, output="", macs=0, flag=""
        )


def lower(layers: Iterable[Layer], target: Target) -> tuple[Pass, ...]:
    """The passes in which `target` runs `layers`, in order."""
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
            free = rule is not None and rule.engine == "none" and not refusal(part, target)
            scalar = part.op in ("add", "mul") and _is_scalar(part)
            rescales = scalar and (rule is None or not rule.counts_scalars)
            if part.inputs and (free or rescales):
                alias[part.output] = _resolved(part.inputs, alias)
                continue
            for p in _lower(part, target):
                shapes[p.output] = p.output_shape
                inputs = _resolved(p.inputs, alias)
                sizes = tuple(shapes[name] for name in inputs)
                p = dataclasses.replace(p, inputs=inputs, input_shapes=sizes)
                if scalar and not p.flag:  # any number of channels fills the lanes
                    lanes = target.vector.lanes
                    elements = math.prod(p.vector_map)
                    p = dataclasses.replace(p, vector_map=(1, ceil_div(elements, lanes), lanes))
                if rule is not None and rule.joins and not p.flag and not scalar:
                    p = _joined(passes, p, reads)
                passes.append(p)
    return tuple(passes)


def _joined(passes: list[Pass], p: Pass, reads: Mapping[str, int]) -> Pass:
    """`p`, or the convolution taken from the end of `passes` with `p` on its results."""
    before = passes[-1] if passes else p
    alone = len(p.inputs) == 1 or reads[before.output] != 1 or before.output not in p.inputs
    if alone or before.conv is None or before.joined:
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


def find_rule(layer: Layer, target: Target) -> OpRule | None:
    """The target's rule for the layer's operation; None where it has none."""
    kh, kw = layer.kernel
    names = (f"{layer.op}_{kh}x{kw}", layer.op, "*")
    return next((target.ops[name] for name in names if name in target.ops), None)


def refusal(layer: Layer, target: Target) -> str:
    """Why `target` cannot run `layer`, in a few words; "" if it can."""
    if not layer.inputs:
        return "constant inputs"
    rule = find_rule(layer, target)
    if rule is None:
        windows = [name for name in target.ops if name.startswith(f"{layer.op}_")]
        sides = "×".join(map(str, layer.kernel))
        return f"a {sides} window ({', '.join(windows)})" if windows else "an unsupported operation"
    if rule.engine == "refused":
        return rule.note or "an unsupported operation"
    if target.bits == 8 and layer.bits != 8:
        return f"elements of {layer.bits} bits"
    shapes = [as_nhwc(shape) for shape in layer.input_shapes]
    output = as_nhwc(layer.output_shape)
    channels = [shape[3] for shape in (*shapes, output)]
    scales = _scales(layer)
    groups = 1 if layer.groups == 1 else -1 if layer.groups == channels[0] == channels[-1] else 0
    checks = (
        (rule.kernels and not set(layer.kernel) <= set(rule.kernels), f"a {layer.kernel} kernel"),
        (rule.strides and not _allowed_strides(layer, rule), f"stride {layer.strides}"),
        (not set(layer.dilations) <= set(rule.dilations), f"dilation {layer.dilations}"),
        (
            rule.scales and not all(_is_allowed_scale(scale, rule) for scale in scales),
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


def _allowed_strides(layer: Layer, rule: OpRule) -> bool:
    return layer.strides[0] == layer.strides[1] and layer.strides[0] in rule.strides


def _scales(layer: Layer) -> tuple[float, float]:
    """By what the height and the width grow; by what they shrink, of a space_to_depth."""
    before, after = as_nhwc(layer.input_shapes[0])[1:3], as_nhwc(layer.output_shape)[1:3]
    if layer.op == "space_to_depth":
        before, after = after, before
    return after[0] / before[0], after[1] / before[1]


def _is_allowed_scale(scale: float, rule: OpRule) -> bool:
    """Whether `scale` is an allowed one, or several of them one after another."""
    return any(
        math.isclose(scale, allowed**n)
        for allowed in rule.scales
        for n in range(1, 7)
        if allowed > 1
    )


def _is_scalar(layer: Layer) -> bool:
    return len(layer.inputs) == 1 and layer.constants == 1


def _resolved(names: Sequence[str], alias: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(source for name in names for source in alias.get(name, (name,)))


def _split_activation(layer: Layer, target: Target) -> list[Layer]:
    """The layer; its activation apart where the target cannot append it."""
    if layer.activation is None:
        return [layer]
    rule = target.ops.get(layer.activation, target.ops.get("*"))
    if rule is not None and rule.fuses and not refusal(layer, target):
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


def _lower(layer: Layer, target: Target) -> tuple[Pass, ...]:
    if reason := refusal(layer, target):
        return (_copy(layer, flag=reason),)
    rule = find_rule(layer, target)
    assert rule is not None
    if rule.engine == "copy":
        return (_copy(layer, flag=""),)
    if rule.engine == "mac":
        return _ON_MAC[layer.op](layer, target)
    return (_vector(layer, target, rule),)


def _copy(layer: Layer, *, flag: str) -> Pass:
    return Pass(
        name=layer.name,
        op=layer.op,
        layer=layer.name,
        inputs=layer.inputs,
        output=layer.output,
        output_shape=as_nhwc(layer.output_shape),
        engine="copy",
        weight_bytes=layer.weight_bytes,
        macs=layer.macs,
        flag=flag,
    )


def _vector(layer: Layer, target: Target, rule: OpRule) -> Pass:
    """A pass of the vector engine; an identity carries the data to one behind the MAC array."""
    _, *before = as_nhwc(layer.input_shapes[0])
    shape = as_nhwc(layer.output_shape)
    # The engines see the larger of input and output: a pooling's input, an upsampling's output.
    h, w, c = max(tuple(before), shape[1:], key=math.prod)
    carried = target.vector.behind_mac and len(layer.inputs) == 1
    window = max(layer.kernel) // 2
    return Pass(
        name=layer.name,
        op=layer.op,
        layer=layer.name,
        inputs=layer.inputs,
        output=layer.output,
        output_shape=shape,
        engine="vector",
        conv=_identity((h, w, c)) if carried else None,
        patch_cycles=rule.cycles,
        vector_map=(h, w, c),
        stripe_cycles=_stripe_cycles(rule, target),
        reach=(window, window),
        upscales=max(1, shape[1] // before[0]),
        weight_bytes=layer.weight_bytes,
    )


def _identity(shape: tuple[int, int, int]) -> Convolution:
    return Convolution(kernel=(1, 1), output=shape, channels=shape[2], groups=shape[2])


def _stripe_cycles(rule: OpRule | None, target: Target) -> float:
    own = None if rule is None else rule.stripe_cycles
    return target.stripes.cycles if own is None else own


def _convolution(layer: Layer, target: Target) -> tuple[Pass, ...]:
    rule = find_rule(layer, target)
    assert rule is not None
    if layer.strides == (1, 1) or not rule.strided_by:
        return (_convolve(layer, target, layer.inputs),)
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
        conv=_identity((h, w, c)),
        patch_cycles=reordering.cycles,
        vector_map=(h, w, c),
        stripe_cycles=_stripe_cycles(reordering, target),
    )
    return (before, _convolve(layer, target, (name,)))


def _transposed(layer: Layer, target: Target) -> tuple[Pass, ...]:
    rule = target.ops["conv2d_transpose"]
    _, before, _, channels = as_nhwc(layer.input_shapes[0])
    shape = as_nhwc(layer.output_shape)
    if not rule.inline_kernel or max(layer.kernel) <= rule.inline_kernel:
        return (_convolve(layer, target, layer.inputs, upscales=shape[1] // before),)
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
        conv=_identity(zeros[1:]),
        patch_cycles=target.vector.pass_cycles,
        vector_map=zeros[1:],
        stripe_cycles=target.stripes.cycles,
        reach=(0, 1),
        upscales=shape[1] // before,
        weight_bytes=channels,
    )
    return (upsample, _convolve(layer, target, (name,)))


def _convolve(layer: Layer, target: Target, inputs: tuple[str, ...], *, upscales: int = 1) -> Pass:
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
        stripe_cycles=_stripe_cycles(activation, target),
        reach=(extent // 2, (extent - 1) // 2) if upscales == 1 else (1, 1),
        upscales=upscales,
        appended=target.vector.behind_mac and cycles != target.vector.pass_cycles,
        weight_bytes=layer.weight_bytes,
        macs=layer.macs,
    )


def _depth_to_space(layer: Layer, target: Target) -> tuple[Pass, ...]:
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


def _pooling(layer: Layer, target: Target) -> tuple[Pass, ...]:
    rule = find_rule(layer, target)
    assert rule is not None
    _, *before, channels = as_nhwc(layer.input_shapes[0])
    _, h, w, c = shape = as_nhwc(layer.output_shape)
    whole = layer.op == "mean"  # of all pixels, which stripes may bring one after another
    kernel = (before[0], before[1]) if whole else layer.kernel
    window = 0 if whole else max(kernel) // 2
    return (
        Pass(
            name=layer.name,
            op=layer.op,
            layer=layer.name,
            inputs=layer.inputs,
            output=layer.output,
            output_shape=shape,
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
            stripe_cycles=_stripe_cycles(rule, target),
            reach=(window, window),
            upscales=max(1, h // before[0]),
        ),
    )


_ON_MAC: Mapping[str, Callable[[Layer, Target], tuple[Pass, ...]]] = {
    "conv2d": _convolution,
    "fully_connected": _convolution,
    "conv2d_transpose": _transposed,
    "depth_to_space": _depth_to_space,
    "max_pool": _pooling,
    "average_pool": _pooling,
    "mean": _pooling,
    "resize": _pooling,
}
assert _ON_MAC.keys() == ON_MAC
