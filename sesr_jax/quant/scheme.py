"""Schemes: what of a network is quantised, and how finely.

Scheme()                              # full INT8
Scheme(exclude=("tail/*",))           # but for the last convolution
"""

import dataclasses
import fnmatch
from typing import Literal

import numpy as np

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
                f"activations are {self.activations!r}: they must be int8, int16 or float; choose one."
            )

    def excludes(self, name: str) -> bool:
        """Whether the node `name` stays float."""
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.exclude)


INT8 = Scheme()
"""What an integer-only NPU runs."""


def affine(low: float, high: float, activations: str = "int8") -> tuple[float, int]:
    """The scale and zero point of the codes for the range [low, high].

    An INT8 zero point is an integer, so that the range moves by up to half a code (TFLite's nudging).
    """
    if activations == "int16":
        return float(np.float32(max(-low, high)) / np.float32(32767)), 0
    scale = np.float32(high - low) / np.float32(255)
    return float(scale), round(min(max(-low / float(scale), 0.0), 255.0)) - 128
