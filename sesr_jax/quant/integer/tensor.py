"""Tensors of codes, what they stand for, and how sums are brought to another scale."""

import dataclasses
from collections.abc import Callable
from typing import Any, Self, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np

from sesr_jax.quant.fixed_point import multiplier, multiply
from sesr_jax.quant.scheme import exact_affine, widen
from sesr_jax.quant.weight_codes import round_to_codes

LOW, HIGH = -128, 127

Kernel: TypeAlias = Callable[..., jax.Array]
"""Computes a node's codes before saturation from the node, what its output's codes stand for, and its
operands: a `Tensor`, or an array for a parameter."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Affine:
    """What codes stand for: ``scale · (code - zero_point)``.

    Attributes:
      scale: float64, one or one per output channel, from which the converter computes codes.
      zero_point: the code of 0.
    """

    scale: Any
    zero_point: int = 0

    @classmethod
    def of(cls, low: float, high: float) -> Self:
        """Returns what the codes of a tensor with the range [low, high] stand for."""
        scale, zero_point = exact_affine(low, high)
        return cls(scale=scale, zero_point=zero_point)

    @property
    def stored(self) -> Any:
        """The scale as a file holds it, float32, from which a runtime computes its factors."""
        return np.float32(self.scale)

    @property
    def double(self) -> Any:
        """The stored scale for the kernels that compute their factors in float64."""
        return np.float64(self.stored)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tensor:
    """Codes, on the device or of a parameter, and what they stand for."""

    codes: Any
    affine: Affine

    @property
    def offset(self) -> jax.Array:
        """The codes as int32, counted from the zero point."""
        return jnp.asarray(self.codes, jnp.int32) - self.affine.zero_point


def as_tensor(arg: Tensor | np.ndarray) -> Tensor:
    """Returns the operand of an element-wise operation; a parameter's range is that of its values and 0."""
    if isinstance(arg, Tensor):
        return arg
    low, high = widen(min(arg.min(), 0), max(arg.max(), 0))
    scale = (high - low) / 255
    # The end with the smaller numbers decides: in float64 the two differ by a rounding.
    by_low = -LOW - low / scale < HIGH + high / scale
    zero_point = int(round_to_codes(LOW - low / scale if by_low else HIGH - high / scale))
    codes = round_to_codes(arg / scale + zero_point)
    return Tensor(codes=codes, affine=Affine(scale=scale, zero_point=zero_point))


def rescale(sums: jax.Array, factor: Any, to: Affine) -> jax.Array:
    """Returns the codes, not yet saturated, for `sums` of the scale ``factor · to.scale``."""
    return multiply(sums, multiplier(factor)) + to.zero_point
