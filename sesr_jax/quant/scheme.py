"""Schemes: what of a network is quantised, and how finely.

Scheme()                              # full INT8
Scheme(exclude=("tail/*",))           # but for the last convolution
"""

import dataclasses
import fnmatch
import math
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scheme:
    """Weights have 8 bits and a scale for each output channel; activations have what is said here.

    Attributes:
      activations: "int8", asymmetric; "int16", symmetric with zero point 0, as TFLite's 16x8 has it; or
        "float" for weights alone.
      exclude: patterns (`fnmatch`) of the names of nodes whose parameters and outputs stay float.

    Raises:
      InputError: activations are of another kind.
    """

    activations: Literal["int8", "int16", "float"] = "int8"
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.activations not in ("int8", "int16", "float"):
            raise InputError(
                f"activations are {self.activations!r}: they must be int8, int16 or float."
            )

    def excludes(self, name: str) -> bool:
        """Returns whether the node `name` stays float."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.exclude)


INT8 = Scheme()
"""What an integer-only NPU runs."""


NARROWEST = 1e-6
"""The least width of a range, which the converter demands."""


def affine(low: float, high: float, activations: str = "int8") -> tuple[float, int]:
    """Returns the scale and zero point of the codes for the range [low, high], as a file holds them.

    An INT8 zero point is an integer, so that the range moves by up to half a code (TFLite's nudging).
    """
    if activations == "int16":
        low, high = widen(low, high)
        return float(np.float32(max(-low, high)) / np.float32(32767)), 0
    scale, zero_point = exact_affine(low, high)
    return float(np.float32(scale)), zero_point


def exact_affine(low: float, high: float) -> tuple[float, int]:
    """Returns `affine` for INT8 with its scale in float64, which gives the codes of parameters."""
    low, high = widen(np.float32(low), np.float32(high))
    scale = (high - low) / 255
    return float(scale), math.floor(-low / scale + 0.5) - 128


def widen(low: npt.ArrayLike, high: npt.ArrayLike) -> tuple[Any, Any]:
    """Widens the ranges [low, high], in float64, to `NARROWEST` at least."""
    low, high = np.asarray(low, np.float64), np.asarray(high, np.float64)
    narrow = high - low <= NARROWEST
    return (
        np.where(narrow, np.minimum(low, -NARROWEST / 2), low),
        np.where(narrow, np.maximum(high, NARROWEST / 2), high),
    )
