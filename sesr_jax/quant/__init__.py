"""INT8 ranges of a Graph's tensors: where they are needed, how they are found, what they do."""

from sesr_jax.quant.calibrate import calibrate
from sesr_jax.quant.choice import CHOSEN, choose_ranges, find_ranges
from sesr_jax.quant.fake import RANGES, apply
from sesr_jax.quant.observers import OBSERVERS, Observer
from sesr_jax.quant.ranges import Points, Range, Ranges, find_points, validate, without_absorbed
from sesr_jax.quant.scheme import INT8, Scheme, affine
from sesr_jax.quant.sensitivity import (
    Part,
    Sensitivity,
    list_parts,
    make_probe,
    measure_sensitivity,
)

__all__ = [
    "CHOSEN",
    "INT8",
    "OBSERVERS",
    "RANGES",
    "Observer",
    "Part",
    "Points",
    "Range",
    "Ranges",
    "Scheme",
    "Sensitivity",
    "affine",
    "apply",
    "calibrate",
    "choose_ranges",
    "find_points",
    "find_ranges",
    "list_parts",
    "make_probe",
    "measure_sensitivity",
    "validate",
    "without_absorbed",
]
