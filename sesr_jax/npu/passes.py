"""How Ethos-N78 runs a layer: as passes of its MAC engine (MCE) and vector engine (PLE).

A pass streams its inputs through the MCE (a convolution, or an identity that only carries data to
the PLE), then through one PLE kernel, into its output. A layer is one pass, with these exceptions,
all of them the driver stack's:

- depth_to_space by 2 is a transposed 2×2 convolution with a kernel of zeros and ones; by 4 it is
  two of them.
- a transposed convolution multiplies the inserted zeros: it costs its output's pixels. Above 7×7
  the zero-inserted map is made by a pass of its own.
- stride 2 needs its input de-interleaved first.
- adding or multiplying by one constant number only reinterprets the quantised values: no pass.
- concat, slice, reshape and transpose are copies from DRAM to DRAM.

What the NPU does not support becomes a copy that carries a `flag`: its memory traffic is counted
and its arithmetic, done elsewhere, is not.
"""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping

from sesr_jax.npu.layers import Layer, as_nhwc
from sesr_jax.npu.targets import Target

_COPIES = frozenset({"slice", "reshape", "transpose"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pass:
    """One trip through the engines.

    Attributes:
      name: the layer's, with a suffix where the layer takes several.
      op: what it does.
      layer: the layer's name.
      inputs: the activations read, by tensor name.
      output: the tensor written.
      output_shape: ``[1, H, W, C]``.
      mce_cycles: of the MAC engine; 0 where it is not used.
      ple_cycles: of the vector engine, without its overhead a stripe.
      algorithm: "direct", "winograd" or "" (no MAC engine).
      kernel: of the PLE; "" for a copy.
      reach: whether an output pixel needs input pixels beyond its own: a halo.
      upscales: whether the MAC engine inserts pixels as it reads.
      weight_bytes: read once.
      macs: of the layer that this pass does; 0 in its auxiliary passes.
      flag: why the target cannot run it; "" if it can.
    """

    name: str
    op: str
    layer: str
    inputs: tuple[str, ...]
    output: str
    output_shape: tuple[int, int, int, int]
    mce_cycles: int = 0
    ple_cycles: int = 0
    algorithm: str = ""
    kernel: str = ""
    reach: bool = False
    upscales: bool = False
    weight_bytes: int = 0
    macs: int = 0
    flag: str = ""

    @property
    def is_copy(self) -> bool:
        """Whether it moves data from DRAM to DRAM, and so keeps nothing on chip."""
        return not self.kernel


def direct_cycles(
    target: Target,
    kernel: tuple[int, int],
    output: tuple[int, int, int],
    input_channels: int,
    *,
    depthwise: bool = False,
) -> int:
    """MAC cycles of a convolution by its definition.

    The array takes whole patches of 4 × 2 pixels and whole groups of input and output channels:
    ``k · k · ⌈H⌉₄ · ⌈W⌉₂ · ⌈Cin⌉ · ⌈Cout⌉ / (MACs a cycle)``. A depthwise convolution uses one
    output generator for each input generator.

    Args:
      target: the NPU.
      kernel: height and width.
      output: height, width, channels.
      input_channels: of the convolution.
      depthwise: one input channel an output channel.
    """
    height, width, channels = output
    pixels = round_up(height, 4) * round_up(width, 2)
    if depthwise:
        groups = ceil_div(channels, target.input_channels)
    else:
        groups = ceil_div(input_channels, target.input_channels) * ceil_div(
            channels, target.output_channels
        )
    return math.prod(kernel) * pixels * groups // target.macs_per_unit


def winograd_cycles(
    target: Target, kernel: tuple[int, int], output: tuple[int, int, int], input_channels: int
) -> int:
    """MAC cycles of a stride-1 convolution by Winograd's method.

    A sub-filter of 3×3 (3×1, 1×3) taps makes 2×2 (2×4, 4×2) outputs from 16 products; a larger
    kernel is the sum of several sub-filters. The transform of the weights runs beside the products
    and takes at most half their time in blocks of `winograd_block_pixels`, so it is left out.
    """
    kh, kw = kernel
    height, width, channels = output
    tile_h = 4 if kh == 1 else 2  # two outputs along the filter, four across it
    tile_w = 4 if kw == 1 else 2
    subfilters = ceil_div(kh, 3) * ceil_div(kw, 3)
    tiles = ceil_div(height, tile_h) * ceil_div(width, tile_w)
    groups = ceil_div(input_channels, target.input_channels) * ceil_div(
        channels, target.output_channels
    )
    return tiles * subfilters * target.winograd_macs * groups // target.macs_per_unit


def ple_cycles(
    target: Target, kernel: str, shape: tuple[int, int, int], *, block_pixels: int
) -> int:
    """Cycles of the vector engine for a map of `shape` (height, width, channels).

    It works in 4×4 patches, one a lane at a time, and pays for each block of accumulators that it
    takes over and for each call of its kernel. Additions read SRAM and have no blocks.
    """
    height, width, channels = shape
    lanes = ceil_div(channels, target.engines * target.ple_lanes)
    cycles = ceil_div(height, 4) * ceil_div(width, 4) * lanes * target.ple_cycles[kernel]
    if kernel == "add":
        return cycles
    groups = ceil_div(height * width, target.ple_group_pixels) * lanes
    blocks = groups * (target.ple_group_pixels // block_pixels)
    return cycles + groups * target.ple_group_cycles + blocks * target.ple_block_cycles


def requantised(layers: Iterable[Layer]) -> list[Layer]:
    """The layers without those that a change of scale and zero point does for free."""
    alias: dict[str, str] = {}
    kept = []
    for layer in layers:
        inputs = tuple(alias.get(name, name) for name in layer.inputs)
        if layer.op in ("add", "mul") and len(inputs) == 1 and layer.weight_bytes == 1:
            alias[layer.output] = inputs[0]
        else:
            kept.append(dataclasses.replace(layer, inputs=inputs))
    return kept


def lower(layer: Layer, target: Target) -> tuple[Pass, ...]:
    """The passes in which `target` runs `layer`; a flagged copy if it cannot."""
    if reason := _unsupported(layer, target):
        return (_copy(layer, flag=reason),)
    return _LOWER.get(layer.op, _lower_copy)(layer, target)


def _unsupported(layer: Layer, target: Target) -> str:
    """Why the target cannot run `layer`; "" if it can."""
    kernel = f"a {layer.kernel[0]}×{layer.kernel[1]} kernel"
    sizes = target.kernel_sizes
    brick = target.brick[2]
    if not layer.inputs:
        return "constant inputs"
    shapes = [as_nhwc(shape) for shape in layer.input_shapes]
    output = as_nhwc(layer.output_shape)
    match layer.op:
        case "conv2d" | "conv2d_transpose" if not sizes.issuperset(layer.kernel):
            return f"{kernel} (sizes are {sorted(sizes)})"
        case "conv2d" if layer.strides not in target.strides:
            return f"stride {layer.strides}"
        case "conv2d" if layer.groups > 1 and not layer.groups == shapes[0][3] == output[3]:
            return f"{layer.groups} groups"
        case "conv2d_transpose" if layer.strides != (2, 2) or layer.groups > 1:
            return f"a transposed convolution of stride {layer.strides}"
        case "depth_to_space" if output[1] // shapes[0][1] not in (2, 4):
            return f"block {output[1] // shapes[0][1]} (block 2, or 4 as two of them)"
        case "resize" if output[1:3] != (2 * shapes[0][1], 2 * shapes[0][2]):
            return "a scale other than 2"
        case "add" | "mul" if len(shapes) == 1 and layer.weight_bytes > shapes[0][3]:
            return "a constant with more than one value a channel"
        case "add" if len(shapes) > 1 and len(set(shapes)) > 1:
            return "an addition that broadcasts"
        case "mul" if len(shapes) > 1:
            return "a product of two activations"
        case "concat" | "slice" if any(
            len({shape[3], output[3]}) > 1 and (shape[3] % brick or output[3] % brick)
            for shape in shapes
        ):
            return f"channels in other multiples than of {brick}"
        case "max_pool" if (layer.kernel, layer.strides) not in (
            ((2, 2), (2, 2)),
            ((3, 3), (2, 2)),
        ):
            return "a window other than 2×2 and 3×3 with stride 2"
        case "average_pool" if (layer.kernel, layer.strides) != ((3, 3), (1, 1)):
            return "a window other than 3×3 with stride 1"
        case "mean" if shapes[0][1:3] not in ((7, 7), (8, 8)):
            return "a map other than 7×7 and 8×8"
        case "prelu":
            return "a slope for each channel (ReLU, or one slope for all, is supported)"
        case op if op not in _LOWER and op not in _COPIES:
            return "an unsupported operation"
    return ""


def _lower_conv(layer: Layer, target: Target) -> tuple[Pass, ...]:
    before: tuple[Pass, ...] = ()
    inputs = layer.inputs
    if layer.strides == (2, 2):
        n, h, w, c = as_nhwc(layer.input_shapes[0])
        shape = (n, ceil_div(h, 2), ceil_div(w, 2), 4 * c)
        interleave = ple_cycles(
            target, "interleave_2x2", (h, w, c), block_pixels=target.ple_group_pixels
        )
        inputs = (f"{layer.name}/interleaved",)
        before = (
            Pass(
                name=inputs[0],
                op="interleave",
                layer=layer.name,
                inputs=layer.inputs,
                output=inputs[0],
                output_shape=shape,
                mce_cycles=direct_cycles(target, (1, 1), (h, w, c), c, depthwise=True),
                ple_cycles=interleave,
                algorithm="direct",
                kernel="interleave_2x2",
            ),
        )
    return (*before, _convolve(layer, target, inputs))


def _lower_transposed(layer: Layer, target: Target) -> tuple[Pass, ...]:
    if max(layer.kernel) <= 7:
        return (_convolve(layer, target, layer.inputs),)
    n, h, w, _ = as_nhwc(layer.output_shape)
    shape = (n, h, w, as_nhwc(layer.input_shapes[0])[3])
    upsampled = f"{layer.name}/upsampled"
    up = _identity(layer, target, name=upsampled, inputs=layer.inputs, shape=shape)
    return (up, _convolve(layer, target, (upsampled,)))


def _convolve(layer: Layer, target: Target, inputs: tuple[str, ...]) -> Pass:
    """The better algorithm, which is the one whose slower engine is the faster."""
    _, h, w, c = shape = as_nhwc(layer.output_shape)
    channels = as_nhwc(layer.input_shapes[0])[3]
    kernel = {"leaky_relu": "leaky_relu", "sigmoid": "sigmoid"}.get(
        layer.activation or "", "passthrough"
    )
    depthwise = layer.groups > 1
    mce = direct_cycles(target, layer.kernel, (h, w, c), channels, depthwise=depthwise)
    ple = ple_cycles(target, kernel, (h, w, c), block_pixels=target.ple_group_pixels)
    options = [(mce, ple, "direct")]
    unit_stride = layer.strides == (1, 1) or layer.op == "conv2d_transpose"
    if unit_stride and not depthwise and layer.kernel != (1, 1):
        # In one dimension a Winograd block may have twice the pixels: no fewer than a direct one.
        block = target.winograd_block_pixels * (2 if 1 in layer.kernel else 1)
        mce = winograd_cycles(target, layer.kernel, (h, w, c), channels)
        ple = ple_cycles(target, kernel, (h, w, c), block_pixels=block)
        options.append((mce, ple, "winograd"))
    mce, ple, algorithm = min(options, key=lambda option: (max(option[:2]), option[0]))
    return Pass(
        name=layer.name,
        op=layer.op + (f"+{layer.activation}" if layer.activation else ""),
        layer=layer.name,
        inputs=inputs,
        output=layer.output,
        output_shape=shape,
        mce_cycles=mce,
        ple_cycles=ple,
        algorithm=algorithm,
        kernel=kernel,
        reach=layer.kernel != (1, 1),
        upscales=inputs == layer.inputs and layer.op == "conv2d_transpose",
        weight_bytes=layer.weight_bytes,
        macs=layer.macs,
    )


def _lower_depth_to_space(layer: Layer, target: Target) -> tuple[Pass, ...]:
    n, h, w, c = as_nhwc(layer.input_shapes[0])
    steps = (as_nhwc(layer.output_shape)[1] // h).bit_length() - 1
    passes = []
    inputs = layer.inputs
    for step in range(1, steps + 1):
        h, w, channels, c = 2 * h, 2 * w, c, c // 4
        output = layer.output if step == steps else f"{layer.name}/{2**step}"
        passes.append(
            Pass(
                name=layer.name if steps == 1 else f"{layer.name}/{2**step}",
                op="depth_to_space",
                layer=layer.name,
                inputs=inputs,
                output=output,
                output_shape=(n, h, w, c),
                mce_cycles=direct_cycles(target, (2, 2), (h, w, c), channels),
                ple_cycles=ple_cycles(
                    target, "passthrough", (h, w, c), block_pixels=target.ple_group_pixels
                ),
                algorithm="direct",
                kernel="passthrough",
                reach=True,
                upscales=True,
                weight_bytes=4 * channels * c,
            )
        )
        inputs = (output,)
    return tuple(passes)


def _lower_add(layer: Layer, target: Target) -> tuple[Pass, ...]:
    if len(layer.inputs) == 1:
        return _lower_identity(layer, target)
    shape = as_nhwc(layer.output_shape)
    cycles = ple_cycles(target, "add", shape[1:], block_pixels=target.ple_group_pixels)
    return (
        Pass(
            name=layer.name,
            op="add",
            layer=layer.name,
            inputs=layer.inputs,
            output=layer.output,
            output_shape=shape,
            ple_cycles=cycles,
            kernel="add",
        ),
    )


def _lower_identity(layer: Layer, target: Target) -> tuple[Pass, ...]:
    """A pointwise operation, or a pooling, on data that an identity carries through the MCE."""
    kernel = {
        "leaky_relu": "leaky_relu",
        "sigmoid": "sigmoid",
        "mean": "mean",
        "max_pool": f"max_pool_{layer.kernel[0]}x{layer.kernel[1]}",
        "average_pool": "average_pool_3x3",
    }.get(layer.op, "passthrough")
    return (
        _identity(
            layer,
            target,
            name=layer.name,
            inputs=layer.inputs,
            shape=as_nhwc(layer.output_shape),
            output=layer.output,
            kernel=kernel,
        ),
    )


def _identity(
    layer: Layer,
    target: Target,
    *,
    name: str,
    inputs: tuple[str, ...],
    shape: tuple[int, int, int, int],
    output: str | None = None,
    kernel: str = "passthrough",
) -> Pass:
    # The engines see the larger of input and output: a pooling's input, an upsampling's output.
    _, *before = as_nhwc(layer.input_shapes[0])
    h, w, c = max(tuple(before), shape[1:], key=math.prod)
    return Pass(
        name=name,
        op=layer.op if output else "upsample",
        layer=layer.name,
        inputs=inputs,
        output=output or name,
        output_shape=shape,
        mce_cycles=direct_cycles(target, (1, 1), (h, w, c), c, depthwise=True),
        ple_cycles=ple_cycles(target, kernel, (h, w, c), block_pixels=target.ple_group_pixels),
        algorithm="direct",
        kernel=kernel,
        reach=layer.kernel != (1, 1) and output is not None,
        upscales=shape[1] > before[0],
        weight_bytes=layer.weight_bytes if output else c,
    )


def _lower_copy(layer: Layer, target: Target) -> tuple[Pass, ...]:
    del target  # a copy is the DMA's work
    return (_copy(layer, flag=""),)


def _copy(layer: Layer, *, flag: str) -> Pass:
    return Pass(
        name=layer.name,
        op=layer.op,
        layer=layer.name,
        inputs=layer.inputs,
        output=layer.output,
        output_shape=as_nhwc(layer.output_shape),
        weight_bytes=layer.weight_bytes,
        macs=layer.macs,
        flag=flag,
    )


_LOWER: Mapping[str, Callable[[Layer, Target], tuple[Pass, ...]]] = {
    "conv2d": _lower_conv,
    "conv2d_transpose": _lower_transposed,
    "depth_to_space": _lower_depth_to_space,
    "add": _lower_add,
    "mul": _lower_identity,
    "relu": _lower_identity,
    "clip": _lower_identity,
    "leaky_relu": _lower_identity,
    "sigmoid": _lower_identity,
    "max_pool": _lower_identity,
    "average_pool": _lower_identity,
    "mean": _lower_identity,
    "resize": _lower_identity,
    "quantize": _lower_identity,
    "pad": _lower_identity,
    "concat": _lower_copy,
}


def ceil_div(n: int, step: int) -> int:
    """How many steps cover `n`."""
    return -(-n // step)


def round_up(n: int, step: int) -> int:
    """The least multiple of `step` that is at least `n`."""
    return ceil_div(n, step) * step
