"""The closed set of tensor operations that a deployable network may use.

Models call nothing else on activations, so that every network can be traced into a
`sesr_jax.graph.Graph` and from there be counted, quantised, exported and simulated.

Activations are ``[N, H, W, C]``; kernels ``[kh, kw, in / groups, out]``. Array arguments are
positional (activations or parameters); everything static is keyword-only. Each operation
runs under a `jax.jit` whose name spells the operation and its static arguments. (Lists and NumPy's numbers
are taken; a value of another type than the signature's raises InputError.) The name survives in a jaxpr,
through differentiation and batching, and that is all `graph.trace` needs: there is no global recorder.

    y = ops.relu(ops.conv2d(x, kernel, bias))

A new operation is a function in one of this package's files with its `Spec`, and a kernel in each
interpreter; docs/adding_an_operation.md has the steps, and `tests/test_ops.py` names what is missing.
"""

from sesr_jax.ops.convolutions import conv2d, conv2d_transpose
from sesr_jax.ops.moving import (
    channel_shuffle,
    concat,
    crop,
    depth_to_space,
    pad,
    resize,
    resize_like,
    slice,  # noqa: A004
    space_to_depth,
)
from sesr_jax.ops.pointwise import (
    add,
    clip,
    div,
    exp,
    leaky_relu,
    mul,
    prelu,
    relu,
    sigmoid,
    silu,
    softmax,
    sqrt,
    sub,
    tanh,
)
from sesr_jax.ops.pooling import (
    average_pool,
    bessel_factor,
    max_pool,
    mean,
    mean_and_deviation,
    standard_deviation,
    unbias,
    variance,
)
from sesr_jax.ops.registry import OPS, SPECS, Padding, parse_name
from sesr_jax.ops.spec import (
    Call,
    Look,
    Looks,
    Spec,
    get_pixels_before,
    interpolation,
    spread_window,
    window,
)

__all__ = [
    "OPS",
    "SPECS",
    "Call",
    "Look",
    "Looks",
    "Padding",
    "Spec",
    "add",
    "average_pool",
    "bessel_factor",
    "channel_shuffle",
    "clip",
    "concat",
    "conv2d",
    "conv2d_transpose",
    "crop",
    "depth_to_space",
    "div",
    "exp",
    "get_pixels_before",
    "interpolation",
    "leaky_relu",
    "max_pool",
    "mean",
    "mean_and_deviation",
    "mul",
    "pad",
    "parse_name",
    "prelu",
    "relu",
    "resize",
    "resize_like",
    "sigmoid",
    "silu",
    "slice",
    "softmax",
    "space_to_depth",
    "spread_window",
    "sqrt",
    "standard_deviation",
    "sub",
    "tanh",
    "unbias",
    "variance",
    "window",
]
