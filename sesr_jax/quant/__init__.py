"""INT8 ranges of a Graph's tensors: where they are needed, and how they are found."""

from sesr_jax.quant.calibrate import calibrate
from sesr_jax.quant.ranges import Points, Range, Ranges, affine, points, validate

__all__ = ["Points", "Range", "Ranges", "affine", "calibrate", "points", "validate"]
