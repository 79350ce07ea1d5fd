"""The closed set of tensor operations that a deployable network may use.

Models call nothing else on activations, so that every network can be traced into a
`sesr_jax.graph.Graph` and from there be counted, quantised, exported and simulated.

Activations are ``[N, H, W, C]``; kernels ``[kh, kw, in / groups, out]``. Array arguments are
positional (activations or parameters); everything static is keyword-only. Each op runs under a
`jax.jit` whose name spells the op and its static arguments (lists and NumPy's numbers are taken; what is
of another type than the signature's raises InputError). The name survives in a jaxpr, through
differentiation and batching, and that is all `graph.trace` needs: there is no global recorder.

    y = ops.relu(ops.conv2d(x, kernel, bias))

A new op is a function below with the decorator, and one entry in each interpreter of `graph/`,
`export/` and `npu/`; the conformance tests say which are missing.
"""

import ast
import functools
import inspect
import itertools
import math
import typing
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from sesr_jax import convolution
from sesr_jax.errors import InputError

Padding = Literal["SAME", "VALID"] | tuple[tuple[int, int], tuple[int, int]]

OPS: dict[str, Callable[..., jax.Array]] = {}
"""Every operation by name; the values are the decorated functions of this module."""

_PREFIX = "sesr_jax.ops."

# Sums no longer than this are added in an order that does not depend on the image's size by XLA's CPU
# backend. Float64 is the dtype of proofs: a tile must equal its part of the whole image to the last bit.
_ORDERED_TERMS = 400


def _op(function: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Registers `function` and jits it under a name that carries its static arguments."""
    op = function.__name__
    keywords = {
        name: parameter
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    static = {name: parameter.default for name, parameter in keywords.items()}

    @functools.lru_cache(maxsize=None, typed=True)  # 2 and 2.0 are equal, and of two types
    def compiled(**attributes: Any) -> Callable[..., jax.Array]:
        for name, value in attributes.items():
            _check(f"ops.{op}'s {name}", value, keywords[name].annotation)

        def named(*arrays: jax.Array) -> jax.Array:
            return function(*arrays, **attributes)

        named.__name__ = f"{_PREFIX}{op}{tuple(attributes.items())!r}"
        return jax.jit(named)

    @functools.wraps(function)
    def call(*arrays: jax.Array | float | None, **attributes: Any) -> jax.Array:
        missing = [name for name, default in static.items() if default is inspect.Parameter.empty]
        if unknown := (attributes.keys() - static) | (set(missing) - attributes.keys()):
            raise TypeError(
                f"ops.{op} takes the keywords {sorted(static)}; wrong or absent: {sorted(unknown)}"
            )
        given = {name: _plain(value) for name, value in attributes.items()}
        return compiled(**dict(sorted((static | given).items())))(*arrays)

    OPS[op] = call
    return call


def _plain(value: Any) -> Any:
    """`value` in tuples and numbers of Python's own, whose `repr` can be read back.

    What is of no keyword's type becomes a text, which can be looked up, and is refused.
    """
    if type(value) in (int, float, str):
        return value
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    return _plain(value.tolist()) if isinstance(value, np.generic | np.ndarray) else repr(value)


def _check(what: str, value: Any, kind: Any) -> None:
    """Raises InputError where `value` is not of the type `kind`."""
    if not _fits(value, kind):
        rule = "a finite number" if kind is float else inspect.formatannotation(kind)
        raise InputError(f"{what} is {value!r}: it must be {rule}; give it one.")


def _fits(value: Any, kind: Any) -> bool:
    """Whether `value` is of the type `kind`; floats may be whole numbers, and are finite."""
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return value in inner
    if typing.get_origin(kind) is tuple:
        if not isinstance(value, tuple):
            return False
        kinds = inner[:1] * len(value) if inner[-1] is Ellipsis else inner
        return len(value) == len(kinds) and all(map(_fits, value, kinds))
    if inner:  # a union
        return any(_fits(value, one) for one in inner)
    if kind is float:
        return type(value) in (int, float) and math.isfinite(value)
    return type(value) is kind


def parse_name(name: str) -> tuple[str, dict[str, Any]] | None:
    """The op and static attributes that a jaxpr equation's name spells; None for any other name."""
    if not name.startswith(_PREFIX):
        return None
    op, _, attributes = name.removeprefix(_PREFIX).partition("(")
    return op, dict(ast.literal_eval(f"({attributes}"))


@_op
def conv2d(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: tuple[int, int] = (1, 1),
    padding: Padding = "SAME",
    groups: int = 1,
) -> jax.Array:
    """Cross-correlation of ``[N, H, W, in]`` with ``[kh, kw, in / groups, out]``, plus ``[out]``."""
    correlate = functools.partial(
        lax.conv_general_dilated,
        window_strides=strides,
        padding=padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=groups,
    )
    if convolution.applies(x, strides=strides, padding=padding, groups=groups):
        y = convolution.convolve(x, kernel, padding, groups)
        return y if bias is None else y + bias
    channels = _ORDERED_TERMS // math.prod(kernel.shape[:2])
    if x.dtype == jnp.float64 and groups == 1 and kernel.shape[2] > channels > 0:
        starts = list(range(channels, kernel.shape[2], channels))
        parts = zip(jnp.split(x, starts, -1), jnp.split(kernel, starts, 2), strict=True)
        y = functools.reduce(jnp.add, itertools.starmap(correlate, parts))
    else:
        y = correlate(x, kernel)
    return y if bias is None else y + bias


@_op
def conv2d_transpose(
    x: jax.Array,
    kernel: jax.Array,
    bias: jax.Array | None = None,
    *,
    strides: tuple[int, int],
) -> jax.Array:
    """Transposed convolution with TensorFlow's "SAME" padding: ``[N, H·s, W·s, out]``.

    `kernel` is ``[kh, kw, in, out]``: the input's zero-inserted map is correlated with it.
    """
    return lax.conv_transpose(
        x, kernel, strides, "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    ) + (0 if bias is None else bias)


@_op
def add(x: jax.Array, y: jax.Array) -> jax.Array:
    """Element-wise sum, broadcast over channels."""
    return x + y


@_op
def mul(x: jax.Array, y: jax.Array) -> jax.Array:
    """Element-wise product, broadcast over channels."""
    return x * y


@_op
def concat(*xs: jax.Array) -> jax.Array:
    """Concatenation along the channels."""
    return jnp.concatenate(xs, axis=-1)


@_op
def slice(x: jax.Array, *, begin: tuple[int, ...], size: tuple[int, ...]) -> jax.Array:  # noqa: A001
    """The box of `size` that starts at `begin`, one entry a dimension; a size of -1 is the rest."""
    limits = [n if s == -1 else b + s for n, b, s in zip(x.shape, begin, size, strict=True)]
    return lax.slice(x, begin, limits)


@_op
def relu(x: jax.Array) -> jax.Array:
    """max(x, 0), with gradient 0 at 0."""
    return jax.nn.relu(x)


@_op
def prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
    """x where positive, slope · x elsewhere; one slope a channel, ``[C]`` (He et al. 2015, eq. 1)."""
    return jnp.where(x > 0, x, slope * x)


@_op
def leaky_relu(x: jax.Array, *, slope: float) -> jax.Array:
    """x where positive, slope · x elsewhere."""
    return jnp.where(x > 0, x, slope * x)


@_op
def clip(x: jax.Array, *, low: float, high: float) -> jax.Array:
    """x limited to [low, high]."""
    return jnp.clip(x, low, high)


@_op
def sigmoid(x: jax.Array) -> jax.Array:
    """1 / (1 + exp(-x))."""
    return jax.nn.sigmoid(x)


@_op
def depth_to_space(
    x: jax.Array, *, block: int, form: Literal["operator", "transpose"] = "operator"
) -> jax.Array:
    """``[N, H, W, block² · C]`` to ``[N, block · H, block · W, C]``, in TensorFlow's (DCR) order.

    `form` is how files write it: as an operator of that name, or as a transposition of rank 4 between two
    reshapes, for targets without one.
    """
    n, h, w, c = x.shape
    y = x.reshape(n, h, w, block, block, c // block**2).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h * block, w * block, c // block**2)


@_op
def space_to_depth(x: jax.Array, *, block: int) -> jax.Array:
    """The inverse of `depth_to_space`.

    Raises:
      InputError: a side of the image is no multiple of `block`.
    """
    n, h, w, c = x.shape
    if h % block or w % block:
        raise InputError(
            f"{h}×{w} pixels (height × width) do not make blocks of {block}×{block}, which this network "
            f"starts from; take sides that are multiples of {block}."
        )
    y = x.reshape(n, h // block, block, w // block, block, c).transpose(0, 1, 3, 2, 4, 5)
    return y.reshape(n, h // block, w // block, block**2 * c)


@_op
def resize(
    x: jax.Array, *, scale: int, method: Literal["nearest", "bilinear"] = "nearest"
) -> jax.Array:
    """``[N, scale · H, scale · W, C]``, with half-pixel centres."""
    n, h, w, c = x.shape
    if method == "nearest":
        return jnp.repeat(jnp.repeat(x, scale, axis=1), scale, axis=2)
    return jax.image.resize(x, (n, h * scale, w * scale, c), "bilinear")


@_op
def max_pool(
    x: jax.Array,
    *,
    window: tuple[int, int],
    strides: tuple[int, int] = (1, 1),
    padding: Literal["SAME", "VALID"] = "VALID",
) -> jax.Array:
    """The largest value in each window."""
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, *window, 1), (1, *strides, 1), padding)


@_op
def mean(x: jax.Array, *, axes: tuple[int, ...] = (1, 2)) -> jax.Array:
    """The mean over `axes`, which stay as dimensions of length 1."""
    return jnp.mean(x, axis=axes, keepdims=True)
