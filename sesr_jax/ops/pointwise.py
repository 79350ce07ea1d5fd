"""Calculations on each element: sums, products and activations."""

import jax
import jax.numpy as jnp

from sesr_jax.ops.registry import operation
from sesr_jax.ops.spec import Spec

_LOGISTIC = (0.0, 255 / 256)
"""The kernels of LOGISTIC and SOFTMAX write the scale 1/256 and the zero point -128, and no other."""


_TANH = (-1.0, 127 / 128)
"""The kernel of TANH writes the scale 1/128 and the zero point 0, and no other."""


@operation(Spec(kind="pointwise", before_relu=True))
def add(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the element-wise sum, broadcast over channels."""
    return x + y


@operation(Spec(kind="pointwise", before_relu=True))
def mul(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the element-wise product, broadcast over channels."""
    return x * y


@operation(
    Spec(
        kind="pointwise",
        before_relu=True,
        layer="add",
        no_int16="SUB with 16 bits has been tried with neither converter",
    )
)
def sub(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the element-wise difference, broadcast over channels."""
    return x - y


@operation(Spec(kind="pointwise", before_relu=True, no_int16="TFLite has no DIV with 16 bits"))
def div(x: jax.Array, y: jax.Array) -> jax.Array:
    """Returns the element-wise quotient, broadcast over channels.

    LiteRT refuses to run an INT8 file on an image for which a code of `y` stands for 0.
    """
    return x / y


@operation(Spec(kind="pointwise", no_int16="TFLite has no SQRT with 16 bits"))
def sqrt(x: jax.Array) -> jax.Array:
    """Returns the square root, whose gradient at 0 is infinite.

    LiteRT refuses to run an INT8 file on an image for which a code of `x` stands for less than 0.
    """
    return jnp.sqrt(x)


@operation(
    Spec(kind="pointwise", no_int16="EXP with 16 bits has been tried with neither converter")
)
def exp(x: jax.Array) -> jax.Array:
    """Returns the exponential of `x`."""
    return jnp.exp(x)


@operation(
    Spec(
        kind="pointwise",
        ranges=_LOGISTIC,
        no_int16="SOFTMAX with 16 bits has been tried with neither converter",
    )
)
def softmax(x: jax.Array) -> jax.Array:
    """Returns the exponentials of each pixel's channels, divided by their sum."""
    return jax.nn.softmax(x, axis=-1)


@operation(Spec(kind="pointwise", activation=True))
def relu(x: jax.Array) -> jax.Array:
    """Returns max(x, 0), with gradient 0 at 0."""
    return jax.nn.relu(x)


@operation(Spec(kind="pointwise", activation=True))
def prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
    """Returns x where positive, slope · x elsewhere; a slope ``[C]`` per channel (He et al. 2015, eq. 1)."""
    return jnp.where(x > 0, x, slope * x)


@operation(Spec(kind="pointwise", activation=True))
def leaky_relu(x: jax.Array, *, slope: float) -> jax.Array:
    """Returns x where positive, slope · x elsewhere."""
    return jnp.where(x > 0, x, slope * x)


@operation(Spec(kind="pointwise", ranges="shared", activation=True))
def clip(x: jax.Array, *, low: float, high: float) -> jax.Array:
    """Returns x limited to [low, high]."""
    return jnp.clip(x, low, high)


@operation(
    Spec(
        kind="pointwise",
        ranges=_LOGISTIC,
        activation=True,
        no_int16="no converter writes LOGISTIC with 16 bits",
    )
)
def sigmoid(x: jax.Array) -> jax.Array:
    """Returns 1 / (1 + exp(-x))."""
    return jax.nn.sigmoid(x)


@operation(
    Spec(
        kind="pointwise",
        ranges=_TANH,
        activation=True,
        no_int16="TANH with 16 bits has been tried with neither converter",
    )
)
def tanh(x: jax.Array) -> jax.Array:
    """Returns the hyperbolic tangent."""
    return jnp.tanh(x)


def silu(x: jax.Array) -> jax.Array:
    """Returns x · sigmoid(x), also called swish: two operations, since TFLite has none for both."""
    return mul(x, sigmoid(x))
