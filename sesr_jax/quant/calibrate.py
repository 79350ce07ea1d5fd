"""Calibration: measures the ranges of a network's tensors on sample images, after training.

ranges = calibrate(graph, (y[None] for y in luma_images))
"""

import logging
from collections.abc import Iterable

import jax
import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError, look_up
from sesr_jax.graph import Graph, run
from sesr_jax.quant.observers import OBSERVERS
from sesr_jax.quant.ranges import Range, find_points
from sesr_jax.quant.scheme import INT8, Scheme, widen

_log = logging.getLogger(__name__)


def calibrate(
    graph: Graph,
    images: Iterable[npt.ArrayLike],
    scheme: Scheme = INT8,
    observer: str = "min_max",
) -> dict[str, Range]:
    """Measures the range of every group of tensors over all `images`, widened to hold 0.

    Args:
      graph: the network; its input size does not matter.
      images: float ``[N, H, W, C]`` in [0, 1], of any sizes; each new size compiles once.
      scheme: what is quantised.
      observer: a key of `OBSERVERS`. A group of several tensors gets the range that holds those of all.

    Returns:
      A range for each group of `find_points(graph, scheme)`, those that are fixed included.

    Raises:
      InputError: there is no such observer or no image; or an image has another number of channels, or it
        or a tensor has values that are not finite.
    """
    wanted = find_points(graph, scheme)
    chosen = look_up("observer", observer, OBSERVERS)

    @jax.jit
    def observe(x: jax.Array) -> dict[str, jax.Array]:
        seen: dict[str, jax.Array] = {}

        def tap(name: str, y: jax.Array) -> jax.Array:
            if name in wanted.group:
                seen[name] = chosen.measure(y)
            return y

        run(graph, x, tap)
        return seen

    measures: dict[str, list[np.ndarray]] = {}
    count = 0
    for count, image in enumerate(images, 1):
        x = np.asarray(image, np.float32)
        if x.ndim != 4 or x.shape[-1] != graph.input_shape[-1]:
            raise InputError(
                f"calibration image {count} has shape {x.shape}: the network takes [N, H, W, "
                f"{graph.input_shape[-1]}]."
            )
        for name, (low, high) in jax.device_get(observe(x)).items():
            if not np.isfinite([low, high]).all():
                raise InputError(
                    f"calibration image {count} gives {name!r} values that are not finite: images and "
                    "weights must be finite."
                )
            measures.setdefault(name, []).append(np.asarray([low, high], np.float64))
    if not count:
        raise InputError("no calibration image was given: at least one is needed.")
    # Every range starts from 0 and so contains it, since padding and ReLU need an exact 0.
    total = dict.fromkeys(wanted.group.values(), (0.0, 0.0))
    for name, found in measures.items():
        lows, highs = np.stack(found).T
        low, high = (lows.min(), highs.max()) if chosen.union else (lows.mean(), highs.mean())
        key = wanted.group[name]
        total[key] = (min(total[key][0], float(low)), max(total[key][1], float(high)))
    for key, ends in total.items():
        if not any(ends):  # as behind dead ReLUs
            _log.warning("%s is 0 on all %d calibration images, and will be 0 in INT8", key, count)
            low, high = widen(*ends)
            total[key] = (float(low), float(high))
    return total | dict(wanted.fixed)
