"""Converts a Graph to a TFLite model through StableHLO and LiteRT's own converter, without TensorFlow.

    model = convert(graph, ranges, Options(converter="litert"))

It is the second way, and a check on the first, `jax2tf`. jax exports the network as StableHLO in which
every seam and every constant is a composite "quant.fake_quant"; the converter's strict mode turns these
into integer operators with just those scales. Operators that StableHLO spells with several
(depth_to_space, PReLU, …) are composites named after TFLite's, and put in their place before conversion.

The package litert-converter documents neither its Python interface nor these names, so that all code that
depends on them stands here. It was tried with version 0.5.0.
"""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from sesr_jax import ops
from sesr_jax.errors import require_extra
from sesr_jax.export.jax2tf import silence_tensorflow
from sesr_jax.export.options import Options
from sesr_jax.graph import Graph, Node
from sesr_jax.quant import Ranges, affine, find_points
from sesr_jax.quant.weight_codes import symmetric_scale

_TFL = "tfl."
_DTYPES = {"int8": "i8", "int16": "i16"}


def convert(graph: Graph, ranges: Ranges, options: Options) -> bytes:
    """Returns the TFLite model of `graph`; `ranges` are read where activations are integers.

    Raises:
      InputError: litert-converter is not installed.
    """
    scheme = options.scheme
    places = find_points(graph, scheme)
    group, absorbed = places.group, places.absorbed if options.absorbs_clips else ()

    def composite(kind: str, name: str, x: jax.Array, result: Any) -> jax.Array:
        if name not in group:
            return x
        scale, zero_point = affine(*ranges[group[name]], options.precision)
        return _call_quant(kind, x, scale, zero_point, options.precision, result=result)

    def network(x: jax.Array) -> jax.Array:
        def seam(name: str, y: jax.Array) -> jax.Array:
            return composite("fake_quant", name, y, y.dtype)

        image = composite("dequantize", graph.input, x, jnp.float32)
        values = {graph.input: seam(graph.input, image)}
        for node in graph.nodes:
            inputs = [values[name] for name in node.inputs]
            integer = group.keys() >= {*node.inputs} and not scheme.excludes(node.name)
            y = inputs[0] if node.name in absorbed else _call_node(node, inputs, integer)
            values[node.name] = seam(node.name, y)
        return composite("quantize", graph.output, values[graph.output], options.precision)

    dtype = options.precision if graph.input in group else "float32"
    x = jax.ShapeDtypeStruct(graph.input_shape, jnp.dtype(dtype))
    return _convert_module(export.export(jax.jit(network), platforms=["cpu"])(x).mlir_module())


def _call_quant(
    kind: str,
    x: jax.Array,
    scale: Any,
    zero_point: int,
    codes: str,
    *,
    axis: int | None = None,
    result: Any = None,
) -> jax.Array:
    """Calls the composite "quant.<kind>"; weights, which have an axis, do not use the code -128."""
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    attributes = {
        "scale": scales,
        "zero_point": np.full(scales.shape, zero_point, np.int64),
        "dtype": _DTYPES[codes],
        "narrow_range": axis is not None,
    }
    if axis is not None and scales.size > 1:
        attributes["quantization_dimension"] = np.int32(axis)
    return jax.lax.composite(lambda y, **_: y.astype(result or y.dtype), f"quant.{kind}")(
        x, **attributes
    )


def _call_node(node: Node, inputs: list[jax.Array], integer: bool) -> jax.Array:
    """Returns the node's output; its parameters have codes if it runs in integers."""
    if node.op == "unbias":
        factor = np.asarray(ops.bessel_factor(inputs.pop().shape, node.attrs["axes"]), np.float32)
        node = dataclasses.replace(node, op="mul", args=(node.args[0], factor), attrs={})
    rest = iter(inputs)
    args = [
        next(rest) if isinstance(arg, str) else _encode_parameter(node, i, np.asarray(arg), integer)
        for i, arg in enumerate(node.args)
    ]
    return _OPERATORS.get(node.op, _run_operation)(node, *args)


def _encode_parameter(node: Node, index: int, array: np.ndarray, integer: bool) -> jax.Array:
    """Returns a parameter with the codes that `jax2tf` gives it; a bias's codes follow from its kernel's."""
    if node.op == "prelu":
        array = array[None, None]
    if node.op == "conv2d_transpose" and index == 1:
        array = array[::-1, ::-1].transpose(3, 0, 1, 2)  # as TFLite has it: mirrored, OHWI
    constant = jnp.asarray(array, jnp.float32)
    channels = {"conv2d": 3, "conv2d_transpose": 0}.get(node.op)
    if not integer or (channels is not None and index > 1):
        return constant
    if channels is not None:
        scale = symmetric_scale(array, tuple(i for i in range(4) if i != channels))
        return _call_quant("fake_quant", constant, scale, 0, "int8", axis=channels)
    if node.op == "prelu":
        scale = symmetric_scale(array)
        return _call_quant("fake_quant", constant, scale, 0, "int8", axis=-1)
    scale, zero_point = affine(min(float(array.min()), 0.0), max(float(array.max()), 0.0))
    return _call_quant("fake_quant", constant, scale, zero_point, "int8")


def _run_operation(node: Node, *args: jax.Array) -> jax.Array:
    return ops.OPS[node.op](*args, **node.attrs)


def _call_operator(name: str, node: Node, *args: jax.Array, **attributes: Any) -> jax.Array:
    """Calls TFLite's operator `name` as a composite, whose body is never run."""
    body = functools.partial(jnp.zeros, node.shape)
    return jax.lax.composite(lambda *_, **__: body(), _TFL + name)(*args, **attributes)


def _conv2d_transpose(node: Node, x: jax.Array, kernel: jax.Array, *bias: jax.Array) -> jax.Array:
    down, right = node.attrs["strides"]
    size = jnp.asarray(node.shape, jnp.int32)
    return _call_operator(
        "transpose_conv",
        node,
        *(size, kernel, x, *(bias or (jnp.zeros(node.shape[-1]),))),
        padding=node.attrs["padding"],
        stride_h=np.int32(down),
        stride_w=np.int32(right),
        fused_activation_function="NONE",
    )


def _depth_to_space(node: Node, x: jax.Array) -> jax.Array:
    block = node.attrs["block"]
    if node.attrs.get("form") == "transpose":
        n, height, width, channels = x.shape
        rows = x.reshape(n * height, width, block, channels // block)
        return rows.transpose(0, 2, 1, 3).reshape(node.shape)
    return _call_operator(node.op, node, x, block_size=np.int32(block))


def _leaky_relu(node: Node, x: jax.Array) -> jax.Array:
    return _call_operator("leaky_relu", node, x, alpha=np.float32(node.attrs["slope"]))


def _prelu(node: Node, x: jax.Array, slope: jax.Array) -> jax.Array:
    return _call_operator("prelu", node, x, slope)


def _channel_shuffle(node: Node, x: jax.Array) -> jax.Array:
    n, height, width, channels = x.shape
    groups = node.attrs["groups"]
    rows = x.reshape(n * height, width, groups, channels // groups)
    return rows.transpose(0, 1, 3, 2).reshape(node.shape)


def _softmax(node: Node, x: jax.Array) -> jax.Array:
    return _call_operator("softmax", node, x, beta=np.float32(1))


def _pad(node: Node, x: jax.Array) -> jax.Array:
    if node.attrs["mode"] == "constant":
        return _run_operation(node, x)
    amounts = jnp.asarray(((0, 0), *node.attrs["padding"], (0, 0)), jnp.int32)
    return _call_operator(
        "mirror_pad", node, x, amounts, mode=f"#tfl<mirror_pad_attr {node.attrs['mode'].upper()}>"
    )


def _average_pool(node: Node, x: jax.Array) -> jax.Array:
    (height, width), (down, right) = node.attrs["window"], node.attrs["strides"]
    return _call_operator(
        "average_pool_2d",
        node,
        x,
        filter_height=np.int32(height),
        filter_width=np.int32(width),
        padding=node.attrs["padding"],
        stride_h=np.int32(down),
        stride_w=np.int32(right),
        fused_activation_function="NONE",
    )


def _resize(node: Node, x: jax.Array, *_: jax.Array) -> jax.Array:
    names = {"nearest": "resize_nearest_neighbor", "bilinear": "resize_bilinear"}
    size = jnp.asarray(node.shape[1:3], jnp.int32)
    flags = {"align_corners": False, "half_pixel_centers": True}
    return _call_operator(names[node.attrs["method"]], node, x, size, **flags)


_OPERATORS: dict[str, Callable[..., jax.Array]] = {
    "average_pool": _average_pool,
    "channel_shuffle": _channel_shuffle,
    "conv2d_transpose": _conv2d_transpose,
    "depth_to_space": _depth_to_space,
    "leaky_relu": _leaky_relu,
    "pad": _pad,
    "prelu": _prelu,
    "resize": _resize,
    "resize_like": _resize,
    "softmax": _softmax,
    "space_to_depth": _depth_to_space,
}
"""For each operation whose operator StableHLO would hide from the converter, the function that calls it."""


def _convert_module(module: str) -> bytes:
    """Converts a StableHLO module in text to a TFLite model."""
    silence_tensorflow()  # the package contains parts of it
    with require_extra("export", "the converter litert"):
        from litert_converter.mlir import ir, passmanager
        from litert_converter.mlir._mlir_libs import converter_api_ext as api
    context = ir.Context()
    api.prepare_mlir_context(context)
    with context, ir.Location.unknown():
        parsed = ir.Module.parse(module)
        for op in list(_find_composites(parsed.operation)):
            name = ir.StringAttr(op.attributes["name"]).value
            if name.startswith(_TFL):
                _replace(ir, op, name)
        config = api.ConvertToTFLConfig()
        config.strict_qdq_mode = True
        api.run_convert_to_tfl_passes(parsed, passmanager.PassManager(), config)
        return bytes(api.export_flatbuffer_to_bytes(parsed.operation))


def _find_composites(op: Any) -> Iterator[Any]:
    for region in op.regions:
        for block in region.blocks:
            for inner in block.operations:
                if inner.operation.name == "stablehlo.composite":
                    yield inner.operation
                yield from _find_composites(inner.operation)


def _parse_attribute(ir: Any, attribute: Any) -> Any:
    """Returns the value of a composite's `attribute`, parsed where it is text in MLIR's own syntax."""
    value = attribute.attr
    if isinstance(value, ir.StringAttr) and value.value.startswith("#tfl<"):
        return ir.Attribute.parse(value.value)
    return value


def _replace(ir: Any, op: Any, name: str) -> None:
    """Replaces the composite `op` by the operator `name`."""
    given: Any = ()
    if "composite_attributes" in op.attributes:
        given = op.attributes["composite_attributes"]
    operator = ir.Operation.create(
        name,
        results=[result.type for result in op.results],
        operands=list(op.operands),
        attributes={each.name: _parse_attribute(ir, each) for each in given},
        ip=ir.InsertionPoint(op),
    )
    op.results[0].replace_all_uses_with(operator.results[0])
    op.erase()
