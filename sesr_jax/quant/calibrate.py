"""Post-training ranges: what a network's tensors reach on sample images.

ranges = calibrate(graph, (y[None] for y in luma_images))
"""

from collections.abc import Iterable

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt

from sesr_jax.errors import InputError
from sesr_jax.graph import Graph, run
from sesr_jax.quant.ranges import Range, points


def calibrate(graph: Graph, images: Iterable[npt.ArrayLike]) -> dict[str, Range]:
    """The smallest and largest value of every group of tensors over all `images`, and 0.

    Args:
      graph: the network; its own input size does not matter.
      images: float ``[N, H, W, C]`` in [0, 1], of any sizes; each new size compiles once.

    Returns:
      A range for each group of `points(graph)`, those that are fixed included.

    Raises:
      InputError: there is no image, or one has another number of channels or values that are not
        finite, or drives a tensor to such values.
    """
    wanted = points(graph)

    @jax.jit
    def observe(x: jax.Array) -> dict[str, jax.Array]:
        seen: dict[str, jax.Array] = {}

        def tap(name: str, y: jax.Array) -> jax.Array:
            if name in wanted.group:
                seen[name] = min_max(y)
            return y

        run(graph, x, tap)
        return seen

    # With 0 to start from, every range holds it: padding and ReLU need it to be exact.
    total = dict.fromkeys(wanted.group.values(), (0.0, 0.0))
    count = 0
    for count, image in enumerate(images, 1):
        x = np.asarray(image, np.float32)
        if x.ndim != 4 or x.shape[-1] != graph.input_shape[-1]:
            raise InputError(
                f"calibration image {count} has shape {x.shape}: the network takes [N, H, W, "
                f"{graph.input_shape[-1]}]; convert it first."
            )
        for name, (low, high) in jax.device_get(observe(x)).items():
            if not np.isfinite([low, high]).all():
                raise InputError(
                    f"calibration image {count} gives {name!r} values that are not finite; check "
                    "the image and the weights for NaN."
                )
            key = wanted.group[name]
            total[key] = (min(total[key][0], float(low)), max(total[key][1], float(high)))
    if not count:
        raise InputError("no calibration image was given: at least one is needed; pass some.")
    return total | dict(wanted.fixed)


def min_max(y: jax.Array) -> jax.Array:
    """The observer: ``[2]``, the smallest and the largest value."""
    return jnp.stack([y.min(), y.max()])
